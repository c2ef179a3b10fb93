//! The bar: `POST /v1/posts` with 60 followers is at most 5 % slower than with none.

use std::time::Instant;

use purrline_local::Options;

use super::backstage::Backstage;
use super::{followers_of, impatient};
use crate::support::{User, World};

const PAIRS: usize = 250;
const FOLLOWERS: usize = 60;
const ALLOWED: f64 = 0.05;

async fn timed(stage: &Backstage, author: &User) -> f64 {
    let started = Instant::now();
    author.post("how long?").await;
    let taken = started.elapsed().as_secs_f64() * 1000.0;
    // The fan-out of the one must not run beside the other.
    stage.world.drained().await;
    taken
}

/// What the writer calls for one post.
async fn calls(stage: &Backstage, author: &User) -> Vec<String> {
    stage.world.reset_calls();
    timed(stage, author).await;
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

/// Pairs of posts, one by an author with 60 followers and one by an author with none, in turns and in
/// changing order, so that whatever else the machine does meets both alike. Compares the medians; the
/// bar is missed when the median of the pairs' differences is above 5 % with 99.9 % confidence (by the
/// sign test's interval), so that a busy machine is no failure.
///
/// What the writer calls is the same for both, call by call.
///
/// Fails when the writer pushes to feeds, reads followers, or waits for the fan-out itself.
#[tokio::test]
async fn sixty_followers_cost_the_writer_nothing() {
    let world = World::with(Options {
        warm: true,
        ..impatient()
    })
    .await;
    let stage = Backstage::of(&world).await;
    let (popular, lonely) = (world.user("popular"), world.user("lonely"));
    followers_of(&stage, &popular, FOLLOWERS).await;
    for author in [&popular, &lonely, &popular, &lonely] {
        timed(&stage, author).await;
    }
    let (with, without) = (calls(&stage, &popular).await, calls(&stage, &lonely).await);
    assert_eq!(with, without);
    let (mut with, mut without, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (a, b) = if pair % 2 == 0 {
            let a = timed(&stage, &popular).await;
            (a, timed(&stage, &lonely).await)
        } else {
            let b = timed(&stage, &lonely).await;
            (timed(&stage, &popular).await, b)
        };
        with.push(a);
        without.push(b);
        differences.push(a - b);
    }
    let (with, without) = (median(&mut with), median(&mut without));
    let difference = median(&mut differences);
    // The lower end of the one-sided 99.9 % interval of the median: 3.09 standard deviations of a
    // binomial below the middle.
    let pairs = f64::from(u32::try_from(PAIRS).unwrap());
    let rank = pairs / 2.0 - 3.09 * pairs.sqrt() / 2.0;
    let at = differences.len().min(
        (0..PAIRS)
            .take_while(|at| f64::from(u32::try_from(*at).unwrap()) < rank)
            .count(),
    );
    let at_least = differences[at.saturating_sub(1)];
    println!(
        "POST /v1/posts, median of {PAIRS} pairs: {with:.2} ms with {FOLLOWERS} followers, {without:.2} ms with none, \
         {:+.1} % (paired {:+.1} %, surely above {:+.1} %)",
        (with / without - 1.0) * 100.0,
        difference / without * 100.0,
        at_least / without * 100.0,
    );
    assert!(
        at_least <= ALLOWED * without,
        "the followers cost the writer {at_least:.2} ms of {without:.2} ms"
    );
}
