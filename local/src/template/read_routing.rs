//! The load balancer's listener: rules, target groups and their functions.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::error::TemplateError;
use super::evaluate::Evaluator;
use super::node::{Kind, Node};
use super::plan::{Action, Listener, Plan, Rule};
use super::reader::Reader;

type Result<T> = std::result::Result<T, TemplateError>;

/// The load balancer's limits on a rule: the number of values in its conditions, and of wildcards in its paths.
const MAX_VALUES: usize = 5;
const MAX_WILDCARDS: usize = 6;

/// A target group: its function, and whether its events have multiple values of headers.
struct Group {
    function: String,
    multi_value: bool,
}

pub(super) fn read(evaluator: &Evaluator<'_>, plan: &Plan) -> Result<Option<Listener>> {
    let mut groups = BTreeMap::new();
    for (id, node) in evaluator.resources("AWS::ElasticLoadBalancingV2::TargetGroup")? {
        let properties = evaluator.properties(id, node)?;
        if let Some(group) = group(&properties, plan)? {
            let arn = evaluator.value_at(&reference(id, node.line), "Resources")?;
            groups.insert(arn.as_str().unwrap_or_default().to_owned(), group);
        }
    }
    let mut listeners = evaluator.resources("AWS::ElasticLoadBalancingV2::Listener")?;
    let Some((id, node)) = listeners.pop() else {
        return Ok(None);
    };
    let properties = evaluator.properties(id, node)?;
    if !listeners.is_empty() {
        return Err(properties.wrong("the local stack supports only one listener"));
    }
    let default = action(&properties.field("DefaultActions")?, &groups)?;
    let headers = headers(&properties)?;

    let mut rules = Vec::new();
    for (id, node) in evaluator.resources("AWS::ElasticLoadBalancingV2::ListenerRule")? {
        rules.push(rule(id, &evaluator.properties(id, node)?, &groups)?);
    }
    rules.sort_by_key(|rule| rule.priority);
    for pair in rules.windows(2) {
        if let [first, second] = pair
            && first.priority == second.priority
        {
            let place = format!("Resources.{}.Properties.Priority", second.logical_id);
            return Err(TemplateError::new(
                0,
                place,
                format!("must differ from that of {}", first.logical_id),
            ));
        }
    }
    Ok(Some(Listener {
        rules,
        default,
        headers,
    }))
}

/// Reads the headers from the listener's attributes `routing.http.response.<name>.header_value`.
fn headers(properties: &Reader) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = Vec::new();
    for attribute in properties.list("ListenerAttributes") {
        let (key, value) = (attribute.field("Key")?, attribute.field("Value")?);
        let name = key.text()?;
        let name = name
            .strip_prefix("routing.http.response.")
            .and_then(|name| name.strip_suffix(".header_value"))
            .and_then(|name| name.replace('_', "-").parse().ok())
            .ok_or_else(|| key.wrong("the local stack doesn't support this attribute"))?;
        let text = value.text()?;
        let text: HeaderValue = text
            .parse()
            .map_err(|_| value.wrong("must be a valid header value"))?;
        // Without a value, the load balancer leaves the header alone.
        if !text.is_empty() {
            headers.push((name, text));
        }
    }
    Ok(headers)
}

fn reference(id: &str, line: usize) -> Node {
    let name = Node {
        line,
        kind: Kind::Text(id.to_owned()),
    };
    Node {
        line,
        kind: Kind::Call("Ref".to_owned(), Box::new(name)),
    }
}

fn group(properties: &Reader, plan: &Plan) -> Result<Option<Group>> {
    if properties
        .optional("TargetType")
        .is_none_or(|field| field.value() != "lambda")
    {
        return Ok(None);
    }
    let targets = properties.field("Targets")?.items();
    let [target] = targets.as_slice() else {
        return Err(properties.wrong("a lambda target group must have exactly one target"));
    };
    let arn = target.field("Id")?.text()?;
    let function = arn.split(':').nth(6).unwrap_or_default().to_owned();
    if !plan.functions.contains_key(&function) {
        return Err(target.wrong(format!("{arn} must be a function of this template")));
    }
    let mut multi_value = false;
    for attribute in properties.list("TargetGroupAttributes") {
        if attribute.field("Key")?.value() == "lambda.multi_value_headers.enabled" {
            multi_value = attribute.field("Value")?.boolean()?;
        }
    }
    Ok(Some(Group {
        function,
        multi_value,
    }))
}

fn rule(id: &str, properties: &Reader, groups: &BTreeMap<String, Group>) -> Result<Rule> {
    let (mut paths, mut methods) = (Vec::new(), Vec::new());
    for condition in properties.field("Conditions")?.items() {
        match condition.field("Field")?.text()?.as_str() {
            "path-pattern" => {
                let config = condition
                    .optional("PathPatternConfig")
                    .unwrap_or_else(|| condition.clone());
                paths.extend(config.texts("Values")?);
            }
            "http-request-method" => methods.extend(
                condition
                    .field("HttpRequestMethodConfig")?
                    .texts("Values")?,
            ),
            other => {
                return Err(condition.wrong(format!(
                    "the local stack doesn't support the condition {other}"
                )));
            }
        }
    }
    if paths.len().saturating_add(methods.len()) > MAX_VALUES {
        return Err(properties.wrong(format!(
            "a rule must have at most {MAX_VALUES} values of conditions"
        )));
    }
    if paths
        .iter()
        .flat_map(|path| path.chars())
        .filter(|c| matches!(c, '*' | '?'))
        .count()
        > MAX_WILDCARDS
    {
        return Err(properties.wrong(format!(
            "a rule must have at most {MAX_WILDCARDS} wildcards"
        )));
    }
    let priority = properties.field("Priority")?;
    Ok(Rule {
        logical_id: id.to_owned(),
        priority: u32::try_from(priority.integer()?)
            .ok()
            .filter(|priority| (1..=50_000).contains(priority))
            .ok_or_else(|| priority.wrong("must be 1 to 50,000"))?,
        paths,
        methods,
        action: action(&properties.field("Actions")?, groups)?,
    })
}

fn action(actions: &Reader, groups: &BTreeMap<String, Group>) -> Result<Action> {
    let items = actions.items();
    let [action] = items.as_slice() else {
        return Err(actions.wrong("the local stack supports only rules with one action"));
    };
    match action.field("Type")?.text()?.as_str() {
        "forward" => {
            let group = match action.optional("ForwardConfig") {
                Some(config) => {
                    let groups = config.list("TargetGroups");
                    let [group] = groups.as_slice() else {
                        return Err(config
                            .wrong("the local stack supports only one target group per action"));
                    };
                    group.field("TargetGroupArn")?
                }
                None => action.field("TargetGroupArn")?,
            };
            let arn = group.text()?;
            let Group {
                function,
                multi_value,
            } = groups.get(&arn).ok_or_else(|| {
                group.wrong(format!(
                    "{arn} must be a lambda target group of this template"
                ))
            })?;
            Ok(Action::Forward {
                function: function.clone(),
                target_group_arn: arn,
                multi_value: *multi_value,
            })
        }
        "fixed-response" => {
            let config = action.field("FixedResponseConfig")?;
            let status = config.field("StatusCode")?;
            Ok(Action::Fixed {
                status: u16::try_from(status.integer()?)
                    .map_err(|_| status.wrong("must be a status code"))?,
                content_type: config
                    .optional("ContentType")
                    .map(|field| field.text())
                    .transpose()?,
                body: config
                    .optional("MessageBody")
                    .map_or(Ok(String::new()), |field| field.text())?,
            })
        }
        other => Err(action.wrong(format!(
            "the local stack doesn't support the action {other}"
        ))),
    }
}
