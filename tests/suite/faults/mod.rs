//! Each rule of docs/invariants.md, with faults injected into the real binaries. Every test names the breaking change that
//! makes it fail.

mod busy_machine;
mod clocks;
mod comments_exact;
mod consumers_die;
mod deleted_cats;
mod deleted_is_gone;
mod edges_exact;
mod feed_rebuild;
mod influencers;
mod large_fan_out;
mod leaving;
mod leaving_the_pool;
mod lost_cache;
mod outages;
mod pictures;
mod poison;
mod popular_post;
mod post_or_nothing;
mod profiles;
mod returning;
mod search_index;
mod sign_in_keys;
mod timeouts;
mod trends_exact;
mod unreachable_cache;
mod write_cost;

use std::future::Future;
use std::time::{Duration, Instant};

use crate::support::backstage::Backstage;
use crate::support::{Reply, User, World, retrying_soon};

/// The longest time that a function behind the load balancer may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Starts a stack that retries failed work soon.
async fn stage() -> Backstage {
    Backstage::of(&World::with(retrying_soon()).await).await
}

/// Creates users who follow this one, with their feeds in the cache.
async fn followers_of(stage: &Backstage, author: &User, count: usize) -> Vec<User> {
    let followers: Vec<User> = (0..count).map(|_| stage.world.user("follower")).collect();
    for follower in &followers {
        follower.follow(author).await;
    }
    stage.world.wait_until_drained().await;
    for follower in &followers {
        follower.feed(1).await;
    }
    followers
}

/// Fails unless a request that needs a failed dependency is answered soon, and as api.md says.
async fn assert_unavailable(what: &str, request: impl Future<Output = Reply>) {
    let started = Instant::now();
    let reply = request.await;
    assert!(
        started.elapsed() < LONGEST,
        "{what} took {:?}",
        started.elapsed()
    );
    reply.problem(503);
    let after: u32 = reply
        .header("retry-after")
        .unwrap_or_else(|| panic!("{what}: no Retry-After"))
        .parse()
        .unwrap();
    assert!((1..=60).contains(&after), "{what}: Retry-After {after}");
}
