//! The reference model against the real thing: random interleavings of what users do, what queues
//! deliver and what breaks, on the real endpoints, consumers, store and cache. What must hold at any
//! moment is checked on the way; in the end, after everything is delivered, all is compared.
//!
//! `PROPTEST_CASES` says how many cases (default 80), `PROPTEST_RNG_SEED` which.

mod case;
mod deliveries;
mod operations;
mod outcome;
mod reads;
mod reference;

use proptest::test_runner::{Config, TestRunner};
use purrline_local::Options;

use crate::faults::backstage::Backstage;
use crate::support::World;
use case::Case;
use operations::{Operation, operations};

const CASES: u32 = 80;

/// Rules 1 to 5 and 7 together. Fails when a consumer acknowledges before it has done all, when a
/// deletion is answered before the cache has forgotten the post, when a fan-out clears its mark
/// before the last push, when a follow leaves the feed as it was, when words win by order of arrival.
#[test]
fn whatever_happens_the_model_holds() {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(async {
        let world = World::with(Options {
            warm: true,
            ..World::options()
        })
        .await;
        // The test delivers.
        for queue in ["LikesQueue", "FollowsQueue", "FanOutQueue"] {
            world.pause_queue(queue).await.unwrap();
        }
        Backstage::of(&world).await
    });
    let run = |operations: Vec<Operation>| {
        runtime.block_on(async {
            let mut case = Case::new(&stage);
            for operation in &operations {
                case.perform(operation).await;
            }
            case.settle().await;
            case.compare().await;
        });
        Ok(())
    };
    if let Err(error) = TestRunner::new(config).run(&operations(), run) {
        panic!("{error}");
    }
}
