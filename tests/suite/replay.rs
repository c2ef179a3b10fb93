//! Replays the sample events of `events/` against the real binaries. The README there explains how expectations are written.
//! Every function and trigger of the template must have a sample.

use std::collections::BTreeMap;
use std::path::Path;

use purrline_local::template::Action;
use serde_json::{Value, json};

use crate::support::{World, id_of, repository};

/// A sample event as written, with its placeholders.
struct Sample {
    /// The name, such as `feed/first-page`.
    name: String,
    function: String,
    event: String,
    expected: String,
}

impl Sample {
    fn event(&self) -> Value {
        self.parse(&self.event)
    }

    fn expected(&self) -> Value {
        self.parse(&self.expected)
    }

    fn parse(&self, text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("events/{}: {error}", self.name))
    }
}

fn samples() -> Vec<Sample> {
    let events = repository().join("events");
    let read = |path: &Path| {
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut samples = Vec::new();
    for folder in std::fs::read_dir(&events)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
    {
        let function = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for file in std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let name = file.file_name().unwrap().to_str().unwrap();
            let Some(name) = name
                .strip_suffix(".json")
                .filter(|name| !name.ends_with(".expected"))
            else {
                continue;
            };
            let expected = read(&folder.join(format!("{name}.expected.json")));
            samples.push(Sample {
                name: format!("{function}/{name}"),
                function: function.clone(),
                event: read(&file),
                expected,
            });
        }
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    samples
}

/// Fills in `{{token:bob}}`, `{{user:alice}}`, `{{post:alice}}`, `{{comment:alice}}` and `{{cat:alice}}`, reusing those in
/// `known`.
async fn fill(world: &World, text: &str, known: &mut BTreeMap<String, String>) -> Value {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (placeholder, after) = after
            .split_once("}}")
            .expect("a placeholder without an end");
        if !known.contains_key(placeholder) {
            let value = match placeholder.split_once(':') {
                Some(("token", user)) => world.token(user).unwrap(),
                Some(("user", user)) => id_of(&world.user_with_id(user).me().await),
                Some(("post", user)) => world.user_with_id(user).post_id("a sample").await,
                Some(("cat", user)) => world.user_with_id(user).cat_id("나비").await,
                Some(("comment", name)) => {
                    let (user, of) = (world.user_with_id(name), format!("post:{name}"));
                    if !known.contains_key(&of) {
                        known.insert(of.clone(), user.post_id("a sample").await);
                    }
                    id_of(&user.comment(&known[&of], "a sample").await)
                }
                _ => panic!("no such placeholder: {placeholder}"),
            };
            known.insert(placeholder.to_owned(), value);
        }
        filled.push_str(before);
        filled.push_str(&known[placeholder]);
        rest = after;
    }
    filled.push_str(rest);
    serde_json::from_str(&filled).unwrap_or_else(|error| panic!("{error}: {filled}"))
}

/// Records every place where the result differs from the expectation.
fn compare(place: &str, expected: &Value, found: &Value, wrong: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(members), Value::Object(_)) => {
            for (name, expected) in members {
                match found.get(name) {
                    Some(found) => compare(&format!("{place}/{name}"), expected, found, wrong),
                    None => wrong.push(format!("{place}/{name} is missing")),
                }
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (at, (expected, found)) in items.iter().zip(others).enumerate() {
                compare(&format!("{place}/{at}"), expected, found, wrong);
            }
        }
        (Value::String(text), _) if text.starts_with('<') && text.ends_with('>') => {
            if !text
                .trim_matches(['<', '>'])
                .split(" or ")
                .any(|kind| is(kind, found))
            {
                wrong.push(format!("{place} is no {text} but {found}"));
            }
        }
        _ if expected == found => {}
        _ => wrong.push(format!("{place} is not {expected} but {found}")),
    }
}

/// Returns whether a value is of a kind, such as `string` of `<string or null>`.
fn is(kind: &str, value: &Value) -> bool {
    let text = value.as_str();
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "list" => value.is_array(),
        "time" => text.is_some_and(|text| {
            text.len() == 24
                && text.ends_with('Z')
                && serde_json::from_value::<purrline::domain::Timestamp>(value.clone()).is_ok()
        }),
        "id" => text.is_some_and(|text| purrline::domain::UserId::parse(text).is_ok()),
        _ => panic!("no such kind: {kind}"),
    }
}

/// Returns whether an answer has the headers that every answer needs.
fn is_protected(headers: &Value, https: bool) -> bool {
    headers["cache-control"].is_string()
        && headers["x-content-type-options"] == "nosniff"
        && headers["strict-transport-security"].is_string() == https
}

/// Returns the load balancer's answer in the form of expectations.
fn answer(found: &Value, expected: &Value) -> Value {
    let headers = &found["multiValueHeaders"];
    let first = |value: &Value| value.get(0).cloned().unwrap_or_else(|| value.clone());
    let headers = headers
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), first(value)))
        .collect();
    let body = found["body"].as_str().unwrap_or_default();
    assert!(found["isBase64Encoded"] != true, "{found}");
    let mut answer = json!({ "status": found["statusCode"], "headers": Value::Object(headers) });
    if expected.get("body").is_some() || !body.is_empty() {
        answer["body"] = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
    }
    answer
}

#[tokio::test]
async fn every_sample_event_is_answered_as_expected() {
    let world = World::own().await;
    let mut wrong = Vec::new();
    for sample in samples() {
        let mut known = BTreeMap::new();
        let event = fill(&world, &sample.event, &mut known).await;
        let expected = fill(&world, &sample.expected, &mut known).await;
        let payload = match world.invoke(&sample.function, &event).await {
            Ok(payload) => payload,
            Err(error) => {
                wrong.push(format!("{}: {error}", sample.name));
                continue;
            }
        };
        let mut found: Value = serde_json::from_slice(&payload).unwrap();
        if event.get("httpMethod").is_some() {
            // A target group reads one of the two, depending on its settings.
            let single = found["headers"].as_object().unwrap();
            let multi = found["multiValueHeaders"].as_object().unwrap();
            let as_single = multi.iter().map(|(name, values)| (name, &values[0]));
            if !single.iter().eq(as_single) {
                wrong.push(format!("{}: headers differ by their shape", sample.name));
            }
            found = answer(&found, &expected);
            let https = event
                .to_string()
                .contains(r#""x-forwarded-proto":["https"]"#)
                || event.to_string().contains(r#""x-forwarded-proto":"https""#);
            if !is_protected(&found["headers"], https) {
                let headers = &found["headers"];
                wrong.push(format!("{}: not protected: {headers}", sample.name));
            }
            if expected.get("body").is_none() && found.get("body").is_some() {
                wrong.push(format!(
                    "{}: a body that isn't expected: {}",
                    sample.name, found["body"]
                ));
            }
        }
        compare(&format!("{}: ", sample.name), &expected, &found, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns whether a rule's path pattern, whose only wildcard is `*`, matches.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, rest)) => path.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len())
                .filter_map(|at| tail.get(at..))
                .any(|tail| matches(rest, tail))
        }),
    }
}

#[tokio::test]
async fn every_function_and_trigger_of_the_template_has_a_sample() {
    let world = World::shared().await;
    let (plan, samples) = (world.plan(), samples());
    let events: Vec<(&str, Value, Value)> = samples
        .iter()
        .map(|sample| (sample.function.as_str(), sample.event(), sample.expected()))
        .collect();
    let of = |function: &str| -> Vec<(&Value, &Value)> {
        events
            .iter()
            .filter(|(of, ..)| *of == function)
            .map(|(_, event, expected)| (event, expected))
            .collect()
    };
    let mut missing = Vec::new();
    for function in plan
        .functions
        .keys()
        .filter(|function| of(function).is_empty())
    {
        missing.push(format!("function {function}"));
    }
    for (function, ..) in events
        .iter()
        .filter(|(function, ..)| !plan.functions.contains_key(*function))
    {
        missing.push(format!("a function {function} in the template"));
    }

    let listener = plan.listener.as_ref().unwrap();
    for rule in &listener.rules {
        let Action::Forward {
            function,
            multi_value,
            ..
        } = &rule.action
        else {
            continue;
        };
        // HEAD is a GET without a body.
        for method in rule.methods.iter().filter(|method| *method != "HEAD") {
            for path in &rule.paths {
                let fits = |event: &Value| {
                    event["httpMethod"] == method.as_str()
                        && event["path"].as_str().is_some_and(|it| matches(path, it))
                        && event.get("multiValueHeaders").is_some() == *multi_value
                };
                if !of(function).iter().any(|(event, _)| fits(event)) {
                    missing.push(format!("{}: {method} {path}", rule.logical_id));
                }
            }
        }
    }
    let Action::Forward { function, .. } = &listener.default else {
        panic!("a default action of another kind")
    };
    if !of(function)
        .iter()
        .any(|(event, _)| event.get("httpMethod").is_some())
    {
        missing.push("the listener's default action".to_owned());
    }

    for mapping in &plan.mappings {
        // One malformed record among good ones.
        let fits = |event: &Value, expected: &Value| {
            let count = |list: &Value| list.as_array().map_or(0, Vec::len);
            let (records, failures) = (
                count(&event["Records"]),
                count(&expected["batchItemFailures"]),
            );
            event["Records"][0]["eventSource"] == "aws:sqs" && failures == 1 && records > 1
        };
        if !of(&mapping.function)
            .iter()
            .any(|(event, expected)| fits(event, expected))
        {
            missing.push(format!(
                "a batch with a poison record for {}",
                mapping.function
            ));
        }
    }
    for schedule in &plan.schedules {
        if !of(&schedule.function)
            .iter()
            .any(|(event, _)| event["detail-type"] == "Scheduled Event")
        {
            missing.push(format!("the schedule of {}", schedule.function));
        }
    }
    let any = |what: &str, fits: &dyn Fn(&Value) -> bool| {
        (!events.iter().any(|(_, event, _)| fits(event))).then(|| what.to_owned())
    };
    missing.extend(any("an event with single-value headers", &|event| {
        event.get("httpMethod").is_some() && event["headers"].is_object()
    }));
    missing.extend(any("an event with a base64 body", &|event| {
        event["isBase64Encoded"] == true
    }));
    assert!(
        missing.is_empty(),
        "without a sample event:\n{}",
        missing.join("\n")
    );
}
