//! The bar: `POST /v1/posts` with 60 followers is at most 5 % slower than with none.

use std::time::Instant;

use purrline_local::Options;
use serde_json::json;

use super::followers_of;
use crate::support::backstage::Backstage;
use crate::support::{User, World, eventually, retrying_soon};

/// Pairs of measurements in each order.
const PAIRS: usize = 150;
const FOLLOWERS: usize = 60;
const ALLOWED: f64 = 0.05;

/// The measured step.
#[derive(Debug, Clone, Copy)]
enum Timing {
    /// The client's round trip through the load balancer.
    RoundTrip,
    /// The function by itself.
    Function,
}

/// Returns the milliseconds until an author's post is answered.
async fn timed(stage: &Backstage, author: &User, way: Timing) -> f64 {
    let token = author.token.as_deref().unwrap();
    let event = json!({
        "requestContext": { "elb": { "targetGroupArn": "" } },
        "httpMethod": "POST",
        "path": "/v1/posts",
        "multiValueQueryStringParameters": {},
        "multiValueHeaders": { "authorization": [format!("Bearer {token}")], "content-type": ["application/json"] },
        "body": "{\"text\":\"how long?\"}",
        "isBase64Encoded": false,
    });
    let started = Instant::now();
    match way {
        Timing::RoundTrip => drop(author.post("how long?").await),
        Timing::Function => {
            let answer = stage.world.invoke("post-write", &event).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer["statusCode"], 201, "{answer}");
        }
    }
    let millis = started.elapsed().as_secs_f64() * 1000.0;
    // The fan-out of one post must not overlap with the next post.
    eventually("the post is fanned out", async || {
        stage.unfinished_fan_outs().await.is_empty().then_some(())
    })
    .await;
    millis
}

/// Returns the calls that the writer makes for one post.
async fn calls(stage: &Backstage, author: &User) -> Vec<String> {
    stage.world.reset_calls();
    timed(stage, author, Timing::RoundTrip).await;
    let calls = stage
        .world
        .call_log()
        .into_iter()
        .filter(|call| call.function == "post-write");
    calls
        .map(|call| format!("{:?} {}", call.service, call.operation))
        .collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Times pairs of posts, one by an author with followers and one by an author with none.
async fn compare(stage: &Backstage, popular: &User, lonely: &User, way: Timing) {
    let (mut with, mut without, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (a, b) = if pair % 2 == 0 {
            let a = timed(stage, popular, way).await;
            (a, timed(stage, lonely, way).await)
        } else {
            let b = timed(stage, lonely, way).await;
            (timed(stage, popular, way).await, b)
        };
        with.push(a);
        without.push(b);
        differences.push(a - b);
    }
    let (with, without, difference) = (
        median(&mut with),
        median(&mut without),
        median(&mut differences),
    );
    // The lower end of the one-sided 99.9 % interval of the median: 3.09 standard deviations of a
    // binomial below the middle.
    let pairs = f64::from(u32::try_from(PAIRS).unwrap());
    let rank = pairs / 2.0 - 3.09 * pairs.sqrt() / 2.0;
    let below = (0..PAIRS)
        .take_while(|at| f64::from(u32::try_from(*at).unwrap()) < rank)
        .count();
    let at_least = differences[below.saturating_sub(1)];
    println!(
        "POST /v1/posts, {way:?}, median of {PAIRS} pairs: {with:.2} ms with {FOLLOWERS} followers, \
         {without:.2} ms with none, {:+.1} % (paired {:+.1} %, surely above {:+.1} %)",
        (with / without - 1.0) * 100.0,
        difference / without * 100.0,
        at_least / without * 100.0,
    );
    assert!(
        at_least <= ALLOWED * without,
        "{way:?}: the followers cost the writer {at_least:.2} ms of {without:.2} ms"
    );
}

/// Times pairs of posts, one by an author with 60 followers and one by an author with none, in turns and in changing order,
/// so that the machine's other work affects both alike. Compares the medians of the client's round trip and of the
/// function's own time. The bar is missed when the median of the pairs' differences is above 5 % with 99.9 % confidence (by
/// the sign test's interval), so that a busy machine is no failure. The writer's calls are the same for both, call by call.
///
/// Fails when the writer pushes to feeds, reads followers, or waits for the fan-out itself.
#[tokio::test]
async fn sixty_followers_cost_the_writer_nothing() {
    let world = World::with(Options {
        warm: true,
        ..retrying_soon()
    })
    .await;
    let stage = Backstage::of(&world).await;
    let (popular, lonely) = (world.user("popular"), world.user("lonely"));
    followers_of(&stage, &popular, FOLLOWERS).await;
    // Nor must the indexing of the posts for search.
    world.pause_queue("IndexQueue").await.unwrap();
    for author in [&popular, &lonely, &popular, &lonely] {
        timed(&stage, author, Timing::Function).await;
    }
    let (mut with, mut without) = (calls(&stage, &popular).await, calls(&stage, &lonely).await);
    // Some calls are concurrent.
    with.sort_unstable();
    without.sort_unstable();
    assert_eq!(with, without);
    for way in [Timing::RoundTrip, Timing::Function] {
        compare(&stage, &popular, &lonely, way).await;
    }
}
