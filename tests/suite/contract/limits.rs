//! Too many requests: 429, by caller and route.

use std::time::{Duration, Instant};

use purrline_local::{FaultAction, FaultRule, Outage, Service, When};
use reqwest::Method;
use serde_json::Value;

use super::routes;
use crate::support::{JPEG, Reply, User, World, eventually, image};

async fn limited_world(reads: &str, writes: &str) -> World {
    let options = World::options()
        .parameter("ReadLimit", reads)
        .parameter("WriteLimit", writes)
        .parameter("ClassifyLimit", writes);
    World::with(options).await
}

async fn call(caller: &User, method: &Method, path: &str, body: Option<&Value>) -> Reply {
    let mut request = caller.request(method.clone(), path);
    if let Some(body) = body {
        request = request.json(body);
    }
    caller.send(request).await
}

/// Returns the seconds after which to try again.
fn retry_after(reply: &Reply) -> u64 {
    reply.problem(429);
    reply.header("retry-after").unwrap().parse().unwrap()
}

/// Fails for a function that doesn't check limits.
#[tokio::test]
async fn every_route_has_a_limit_of_its_own_for_each_caller() {
    let world = limited_world("1/2", "1/2").await;
    let author = world.user("author");
    let post = author.post_id("x").await;
    let photo = author.upload("image/jpeg", &image(JPEG)).await;
    for (method, route, body) in routes::calls() {
        let body = body.map(|body| routes::with_image(body, &photo));
        let path = routes::path(route, &post, &author.id);
        let (caller, other) = (world.user("caller"), world.user("other"));
        for n in 0..2 {
            let reply = call(&caller, &method, &path, body.as_ref()).await;
            assert_ne!(reply.status, 429, "{n}: {}", reply.request);
        }
        let refused = call(&caller, &method, &path, body.as_ref()).await;
        assert!((50..=60).contains(&retry_after(&refused)), "{refused:?}");
        let reply = call(&other, &method, &path, body.as_ref()).await;
        assert_ne!(reply.status, 429, "somebody else: {}", reply.request);
    }
}

/// A refused write changes nothing; ids in the path make no difference, and HEAD counts as GET.
#[tokio::test]
async fn refused_requests_change_nothing() {
    let world = limited_world("1/3", "1/1").await;
    let (nabi, author) = (world.user("nabi"), world.user("author"));
    let post = nabi.post_id("first").await;
    let other = author.post_id("other").await;
    let again = nabi
        .create("/v1/posts", &serde_json::json!({ "text": "second" }))
        .await;
    retry_after(&again);
    assert_eq!(author.read_user(&nabi).await["posts"], 1);

    nabi.read_post(&post).await;
    let head = nabi.call(Method::HEAD, &format!("/v1/posts/{post}")).await;
    assert_eq!(head.status, 200);
    nabi.read_post(&other).await;
    let refused = nabi.get(&format!("/v1/posts/{other}")).await;
    retry_after(&refused);
    let head = nabi.call(Method::HEAD, &format!("/v1/posts/{post}")).await;
    assert_eq!((head.status, head.body.len()), (429, 0));
    // Another route has its own limit.
    nabi.me().await;
}

/// Fails if a refused request is served and its answer thrown away.
#[tokio::test]
async fn refused_requests_cost_no_more_calls() {
    let world = limited_world("1/1", "off").await;
    let nabi = world.user("nabi");
    let post = nabi.post_id("x").await;
    let path = format!("/v1/posts/{post}");
    nabi.read_post(&post).await;
    retry_after(&nabi.get(&path).await);
    let any = FaultRule::new(When::Before, FaultAction::Delay(Duration::ZERO));
    let any = any.function("post-read").times(u64::MAX);
    let calls = world.on_call(any).unwrap();
    // Each process knows of the limit once it has refused a call.
    let mut free = 0;
    for _ in 0..5 {
        let before = calls.fired();
        retry_after(&nabi.get(&path).await);
        free += u8::from(calls.fired() == before);
    }
    assert!(free > 0);
}

#[tokio::test]
async fn the_rate_limit_refills() {
    // One token every six seconds, which is longer than the two calls take.
    let world = limited_world("10/1", "off").await;
    let nabi = world.user("nabi");
    nabi.me().await;
    let started = Instant::now();
    let wait = retry_after(&nabi.get("/v1/me").await);
    assert!((1..=6).contains(&wait), "{wait} s");
    eventually("there is a token again", async || {
        (nabi.get("/v1/me").await.status == 200).then_some(())
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(20));
}

/// Limits fail open: without the cache, calls are neither refused nor slow.
#[tokio::test]
async fn without_the_cache_calls_pass() {
    let world = limited_world("1/1", "1/1").await;
    let nabi = world.user("nabi");
    let post = nabi.post_id("x").await;
    for outage in [Outage::Closed, Outage::Hang] {
        world.stop_service(Service::Cache, outage);
        for _ in 0..3 {
            let started = Instant::now();
            nabi.put(&format!("/v1/posts/{post}/like"))
                .await
                .expect(202);
            nabi.me().await;
            assert!(
                started.elapsed() < Duration::from_secs(2),
                "{:?}",
                started.elapsed()
            );
        }
        world.resume_service(Service::Cache);
    }
}
