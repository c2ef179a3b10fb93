//! Several requests at a time in one process, as on Lambda's managed instances, and how a process ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use purrline_local::{FaultAction, FaultRule, Service, When};
use serde_json::Value;

use crate::support::{User, World, eventually};

/// Concurrent requests.
const AT_A_TIME: usize = 8;

/// Starts a stack with one process of each function, which handles several events at a time.
async fn concurrent_world() -> World {
    let mut options = World::options();
    options.workers = 1;
    options.concurrency = AT_A_TIME;
    World::with(options).await
}

/// Fails if a function takes its next event only after it has handled the previous one.
#[tokio::test]
async fn one_process_serves_several_requests_at_a_time() {
    let world = concurrent_world().await;
    let users: Vec<User> = (0..AT_A_TIME).map(|_| world.user("nabi")).collect();
    for user in &users {
        user.post_id("meow").await;
    }
    // Shorter than a call may take, and long enough to distinguish concurrent from sequential requests.
    let slow = Duration::from_millis(1500);
    let rule = FaultRule::new(When::Before, FaultAction::Delay(slow)).function("profile");
    world
        .on_call(rule.service(Service::Tables).times(u64::MAX))
        .unwrap();
    let began = Instant::now();
    let replies = join_all(users.iter().map(|user| user.get("/v1/me"))).await;
    let took = began.elapsed();
    assert!(took < slow * 4, "took {took:?}");
    let status = world.status().await.unwrap();
    assert_eq!(status.functions["profile"].processes, 1);
    let mut callers = BTreeSet::new();
    for (user, reply) in users.iter().zip(replies) {
        let reply = reply.expect(200);
        assert_eq!(reply.json()["id"], user.id.as_str());
        // Each request has a log line of its own, with its caller and calls.
        let id = reply.header("x-request-id").unwrap();
        let line = eventually("its line", async || {
            let lines = world.logs("profile").unwrap();
            let mut lines = lines
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines.find(|line: &Value| line["request_id"] == id && line["message"] == "request")
        });
        let line = line.await;
        assert_eq!(line["dynamodb"], 1, "{line}");
        callers.insert(line["caller"].as_str().unwrap().to_owned());
    }
    assert_eq!(callers.len(), AT_A_TIME);
}

/// Concurrent batches keep counters exact, and bring each post to each follower.
#[tokio::test]
async fn one_process_handles_several_batches_at_a_time() {
    let world = concurrent_world().await;
    let author = world.user("author");
    let fans: Vec<User> = (0..20).map(|_| world.user("fan")).collect();
    join_all(fans.iter().map(|fan| fan.follow(&author))).await;
    world.wait_until_drained().await;
    let posts = join_all((0..5).map(|_| author.post_id("meow"))).await;
    let likes = fans
        .iter()
        .flat_map(|fan| posts.iter().map(|post| fan.like(post)));
    join_all(likes).await;
    world.wait_until_drained().await;
    assert_eq!(author.me().await["followers"], 20);
    for post in &posts {
        assert_eq!(author.read_post(post).await["likes"], 20);
    }
    let feeds = join_all(fans.iter().map(|fan| fan.feed_ids(20))).await;
    assert!(feeds.iter().all(|feed| feed.len() == posts.len()));
}

/// On SIGTERM, a process answers its requests before it ends. Fails if SIGTERM ends the process at once.
#[tokio::test]
async fn a_process_finishes_its_work_on_sigterm() {
    let world = World::own().await;
    let user = world.user("nabi");
    user.me().await;
    let slow = Duration::from_millis(150);
    let rule = FaultRule::new(When::Before, FaultAction::Delay(slow)).function("profile");
    world.on_call(rule.service(Service::Tables)).unwrap();
    world.reset_calls();
    let told = eventually("it is at work and told", async || {
        let calls = world.calls();
        let mut calls = calls.keys();
        calls
            .any(|call| call.function == "profile" && call.service == Service::Tables)
            .then(|| world.terminate_function("profile").unwrap())
    });
    let (reply, told) = futures::join!(user.get("/v1/me"), told);
    reply.expect(200);
    assert_eq!(told, 1);
    eventually("it is gone", async || {
        let status = world.status().await.unwrap();
        (status.functions["profile"].processes == 0).then_some(())
    })
    .await;
    // Another process takes its place.
    user.me().await;
}
