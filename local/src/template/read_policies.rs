//! Policies of queues and buckets that let AWS's own services in.

use super::error::TemplateError;
use super::evaluate::Evaluator;
use super::reader::Reader;
use crate::wildcard::matches;

type Result<T> = std::result::Result<T, TemplateError>;

/// A service's access to a resource, which a policy of that resource must allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access<'a> {
    /// The type of the policy.
    pub(super) policy: &'a str,
    /// The queue or bucket with the policy, as `Ref` returns it.
    pub(super) owner: &'a str,
    pub(super) service: &'a str,
    pub(super) action: &'a str,
    /// The ARN that the statement must name.
    pub(super) resource: &'a str,
    /// The ARN of the resource that the service acts for.
    pub(super) source: &'a str,
}

/// Returns whether a policy of the template allows the access.
pub(super) fn allow(evaluator: &Evaluator<'_>, access: &Access<'_>) -> Result<bool> {
    for (id, node) in evaluator.resources(access.policy)? {
        let policy = evaluator.properties(id, node)?;
        let owners = [policy.texts("Queues")?, policy.texts("Bucket")?].concat();
        if !owners.iter().any(|owner| owner == access.owner) {
            continue;
        }
        for statement in policy.field("PolicyDocument")?.list("Statement") {
            if statement.field("Effect")?.text()? == "Allow"
                && names(&statement, access)?
                && holds(&statement, access, &evaluator.local().account)?
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Returns whether a statement names the access's service, action and resource.
fn names(statement: &Reader, access: &Access<'_>) -> Result<bool> {
    let service = match statement.optional("Principal") {
        Some(principal) => principal.texts("Service")?,
        None => Vec::new(),
    };
    let actions = statement.texts("Action")?;
    let resources = statement.texts("Resource")?;
    Ok(service.iter().any(|name| name == access.service)
        && actions.iter().any(|name| matches(name, access.action))
        && resources.iter().any(|name| matches(name, access.resource)))
}

/// Returns whether a statement's conditions hold.
fn holds(statement: &Reader, access: &Access<'_>, account: &str) -> Result<bool> {
    let Some(conditions) = statement.optional("Condition") else {
        return Ok(true);
    };
    for (operator, keys) in conditions.entries()? {
        for (key, wanted) in keys.entries()? {
            let actual = match key.to_lowercase().as_str() {
                "aws:sourceaccount" => account,
                "aws:sourcearn" => access.source,
                _ => {
                    let problem = "the local stack knows only aws:SourceAccount and aws:SourceArn";
                    return Err(wanted.wrong(problem));
                }
            };
            let is_met = |wanted: &String| match operator.as_str() {
                "StringEquals" => wanted == actual,
                _ => matches(wanted, actual),
            };
            if !["StringEquals", "StringLike", "ArnEquals", "ArnLike"].contains(&operator.as_str())
            {
                return Err(keys.wrong("the local stack doesn't support this operator"));
            }
            let wanted: Vec<String> = wanted
                .items()
                .iter()
                .map(Reader::text)
                .collect::<Result<_>>()?;
            if !wanted.iter().any(is_met) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
