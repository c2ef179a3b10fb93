//! The functions' logs: one line for each request and batch, which trace a request's path, and metrics for `CloudWatch`.

use std::collections::{BTreeMap, BTreeSet};

use purrline_local::{FaultAction, FaultRule, Outage, Service, When};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::retrying_soon;
use crate::support::{JPEG, User, World, eventually, image, repository};

const TRACE: &str = "1-67891233-abcdef012345678912345678";

/// Returns a function's JSON log lines so far, oldest first.
fn lines(world: &World, function: &str) -> Vec<Value> {
    let lines = world.logs(function).unwrap();
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.collect()
}

/// Returns the first matching line of a function. Lines come a little later than answers.
async fn line(world: &World, function: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("a line of {function}"), async || {
        lines(world, function).into_iter().find(|line| wanted(line))
    })
    .await
}

/// Returns the line of the request with this id.
async fn request_line(world: &World, function: &str, request_id: &str) -> Value {
    line(world, function, |line| line["request_id"] == request_id).await
}

/// Returns the line of the batch that contains a message of this trace.
async fn batch_line(world: &World, function: &str, trace: &str) -> Value {
    let of_trace = |line: &Value| {
        let traces = line["traces"].as_str().unwrap_or_default();
        traces.split(' ').any(|of| of == trace)
    };
    line(world, function, of_trace).await
}

fn hash(user: &User) -> String {
    let digest = Sha256::digest(&user.id);
    let first = digest.as_slice().first_chunk().unwrap();
    format!("{:016x}", u64::from_be_bytes(*first))
}

async fn traced(user: &User, method: Method, path: &str, body: Option<&Value>) -> String {
    let request = user
        .request(method, path)
        .header("x-amzn-trace-id", format!("Root={TRACE};Sampled=0"));
    let request = match body {
        Some(body) => request.header("idempotency-key", "traced").json(body),
        None => request,
    };
    let reply = user.send(request).await;
    assert!(reply.status < 300, "{}", reply.text());
    reply.header("x-request-id").unwrap().to_owned()
}

#[tokio::test]
async fn a_request_is_one_line_with_its_caller_and_calls() {
    let world = World::own().await;
    let user = world.user("nabi");
    // On a new cache, the first call loads the script that admits calls, which takes more round trips.
    user.post_id("warm").await;
    world.reset_calls();
    let body = json!({ "text": "meow" });
    let id = traced(&user, Method::POST, "/v1/posts", Some(&body)).await;
    let line = request_line(&world, "post-write", &id).await;
    let made = |service: Service| -> u64 {
        let calls = world.calls();
        let of = calls
            .iter()
            .filter(|(call, _)| call.function == "post-write" && call.service == service);
        of.map(|(_, count)| count).sum()
    };
    for (name, value) in [
        ("message", json!("request")),
        ("trace", json!(TRACE)),
        ("caller", json!(hash(&user))),
        ("method", json!("POST")),
        ("route", json!("/v1/posts")),
        ("status", json!(201)),
        ("dynamodb", json!(made(Service::Tables))),
        ("sqs", json!(made(Service::Queues))),
        ("s3", json!(made(Service::Bucket))),
        ("cache", json!(made(Service::Cache))),
        ("lambda", json!(0)),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert!(made(Service::Tables) > 0 && made(Service::Queues) > 0);
    assert!(line["duration_ms"].is_u64(), "{line}");
    let about = |line: &Value| line["request_id"] == id.as_str();
    let all = lines(&world, "post-write");
    assert_eq!(all.into_iter().filter(about).count(), 1);
}

#[tokio::test]
async fn anonymous_requests_log_no_caller() {
    let world = World::shared().await;
    let reply = world.anonymous().get("/v1/feed").await.expect(401);
    let id = reply.header("x-request-id").unwrap();
    let line = request_line(&world, "feed", id).await;
    assert_eq!(line.get("caller"), None, "{line}");
    // The load balancer began a trace.
    assert!(line["trace"].as_str().unwrap().starts_with("1-"), "{line}");
}

#[tokio::test]
async fn a_trace_goes_from_the_load_balancer_through_the_queues() {
    let world = World::own().await;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    nabi.me().await;
    let follow = format!("/v1/users/{}/follow", nabi.id);
    traced(&fan, Method::PUT, &follow, None).await;
    let applied = batch_line(&world, "follow-consumer", TRACE).await;
    assert_eq!(applied["failed"], 0, "{applied}");
    assert!(applied["queued_ms"].is_u64(), "{applied}");
    assert!(applied["dynamodb"].as_u64() > Some(0), "{applied}");

    let body = json!({ "text": "meow" });
    traced(&nabi, Method::POST, "/v1/posts", Some(&body)).await;
    // Messages that the consumer sends carry the request's trace too.
    batch_line(&world, "fan-out", TRACE).await;
    batch_line(&world, "index", TRACE).await;

    let post = nabi.post_id("another").await;
    let like = format!("/v1/posts/{post}/like");
    traced(&fan, Method::PUT, &like, None).await;
    batch_line(&world, "like-consumer", TRACE).await;
}

/// A message keeps its trace through its attempts, into the dead-letter queue, and out of it.
#[tokio::test]
async fn a_trace_outlives_the_dead_letter_queue() {
    let world = World::with(retrying_soon()).await;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    let post = nabi.post_id("meow").await;
    world.wait_until_drained().await;
    let fails = FaultRule::new(When::Before, FaultAction::Status(500)).function("like-consumer");
    let fails = fails
        .service(Service::Tables)
        .operation("TransactWriteItems");
    world.on_call(fails.times(u64::MAX)).unwrap();
    let like = format!("/v1/posts/{post}/like");
    traced(&fan, Method::PUT, &like, None).await;
    eventually("it rests in the dead-letter queue", async || {
        let status = world.status().await.unwrap();
        (status.queues["LikesQueue"].dead_letters == 1).then_some(())
    })
    .await;
    let failed = line(&world, "like-consumer", |line| {
        line["message"] == "a message was not handled"
    });
    assert_eq!(failed.await["trace"], TRACE);
    world.clear_faults();
    let before = lines(&world, "like-consumer").len();
    world.redrive("LikesQueue").await.unwrap();
    let applied = eventually("it is applied", async || {
        let lines = lines(&world, "like-consumer");
        let mut later = lines.into_iter().skip(before);
        later.find(|line| line["traces"] == TRACE && line["failed"] == 0)
    });
    applied.await;
}

/// Returns the project's own metrics on the dashboard.
fn on_dashboard() -> BTreeSet<String> {
    let template = std::fs::read_to_string(repository().join("template.yaml")).unwrap();
    let own = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix(r#"["Purrline", ""#));
    own.map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

/// Returns the metrics of a line, after checking the line against `CloudWatch`'s rules:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
fn metrics(line: &Value) -> BTreeMap<String, String> {
    assert!(line["_aws"]["Timestamp"].is_u64(), "{line}");
    let mut metrics = BTreeMap::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], "Purrline", "{line}");
        assert_eq!(directive["Dimensions"], json!([["Stack"]]), "{line}");
        assert!(line["Stack"].is_string(), "{line}");
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let numbers = match &line[name] {
                Value::Array(values) => {
                    (1..=100).contains(&values.len()) && values.iter().all(Value::is_number)
                }
                value => value.is_number(),
            };
            assert!(numbers, "{name}: {line}");
            metrics.insert(name.to_owned(), metric["Unit"].as_str().unwrap().to_owned());
        }
    }
    metrics
}

/// Returns the sum of a function's values of a metric.
fn sum(world: &World, function: &str, metric: &str) -> f64 {
    let values = lines(world, function)
        .into_iter()
        .flat_map(|line| match &line[metric] {
            Value::Array(values) => values.clone(),
            Value::Null => Vec::new(),
            value => vec![value.clone()],
        });
    values.map(|value| value.as_f64().unwrap()).sum()
}

#[tokio::test]
async fn every_metric_of_the_dashboard_is_emitted() {
    let world = World::own().await;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    fan.follow(&nabi).await;
    world.wait_until_drained().await;
    // Neither user has a cached feed at first, and then both do.
    fan.feed(20).await;
    let post = nabi.post_id("meow").await;
    fan.like(&post).await;
    world.wait_until_drained().await;
    fan.feed(20).await;
    nabi.classify("", "image/jpeg", image(JPEG))
        .await
        .expect(200);

    let functions = [
        "feed",
        "fan-out",
        "like-consumer",
        "follow-consumer",
        "classify",
        "index",
    ];
    let measured = eventually("all is measured", async || {
        let lines = functions
            .iter()
            .flat_map(|function| lines(&world, function));
        let of_metrics = lines.filter(|line| line.get("_aws").is_some());
        let units: BTreeMap<String, String> = of_metrics.flat_map(|line| metrics(&line)).collect();
        let all = on_dashboard().iter().all(|name| units.contains_key(name));
        all.then_some(units)
    })
    .await;
    assert_eq!(
        measured.keys().cloned().collect::<BTreeSet<_>>(),
        on_dashboard()
    );
    for (name, unit) in &measured {
        let timed = ["FanOutLag", "QueueAge", "ClassifyTime"].contains(&name.as_str());
        assert_eq!(unit, if timed { "Milliseconds" } else { "Count" }, "{name}");
    }
    for (function, metric, expected) in [
        ("feed", "FeedMisses", 1.0),
        ("feed", "FeedRebuilds", 1.0),
        ("feed", "FeedHits", 1.0),
        ("fan-out", "FanOutFollowers", 1.0),
        ("like-consumer", "LikesApplied", 1.0),
        ("follow-consumer", "FollowsApplied", 1.0),
    ] {
        let is = sum(&world, function, metric);
        assert!((is - expected).abs() < 1e-9, "{function}: {metric} is {is}");
    }
}

/// Functions that no caller waits for log each run and its outcome.
#[tokio::test]
async fn each_run_of_a_schedule_has_a_line() {
    let world = World::with(World::options()).await;
    world.run_schedule("sweep").await.unwrap();
    let run = line(&world, "sweep", |line| line["message"] == "run").await;
    assert_eq!(run["failed"], false, "{run}");
    assert!(run["dynamodb"].as_u64() > Some(0), "{run}");
    assert!(run["duration_ms"].is_u64(), "{run}");
    world.stop_service(Service::Tables, Outage::Unavailable);
    world.run_schedule("sweep").await.unwrap_err();
    line(&world, "sweep", |line| line["failed"] == true).await;
}
