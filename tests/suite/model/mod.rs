//! The reference model against the real system: random interleavings of users' requests, deliveries and faults, on the real
//! endpoints, consumers, store and cache. Conditions that hold at any moment are checked on the way; at the end, after
//! everything is delivered, all data is compared.
//!
//! `PROPTEST_CASES` is the number of cases (default 80), `PROPTEST_RNG_SEED` selects them.

mod case;
mod deliveries;
mod operations;
mod outcome;
mod reads;
mod reference;

use std::time::Duration;

use proptest::test_runner::{Config, TestRunner};
use purrline::domain::Timestamp;
use purrline_local::Options;

use crate::support::World;
use crate::support::backstage::Backstage;
use case::Case;
use operations::{Operation, operations};

const CASES: u32 = 80;
const CASES_AT_A_TIME: u32 = 20;
const CASES_WITH_CLOCKS_APART: u32 = 20;
const AT_A_TIME: usize = 8;

/// Rules 1 to 5 and 7 together. Fails when a consumer acknowledges before it has done all its work, when a deletion is
/// answered before the cache has forgotten the post, when a fan-out clears its mark before the last push, when a follow
/// leaves the feed as it was, or when the order of arrival decides which request wins.
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
    if let Err(error) = histories(config, &Setting::default()) {
        panic!("{error}");
    }
}

/// The same with one process of each function that gets several events at a time, as on Lambda's managed instances:
/// concurrent reads and deliveries share the process's state.
#[test]
fn the_model_holds_with_concurrent_events() {
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(CASES_AT_A_TIME)
    };
    let setting = Setting {
        at_a_time: AT_A_TIME,
        ..Setting::default()
    };
    if let Err(error) = histories(config, &setting) {
        panic!("{error}");
    }
}

/// The same with two processes of each function that take turns, one with its clock five seconds ahead. Fails when the
/// functions' clocks decide the order of two requests.
#[test]
fn the_model_holds_with_clocks_apart() {
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(CASES_WITH_CLOCKS_APART)
    };
    let setting = Setting {
        clocks_apart: Some(Duration::from_secs(5)),
        ..Setting::default()
    };
    if let Err(error) = histories(config, &setting) {
        panic!("{error}");
    }
}

/// Each bug of `tests/planted` is caught. Needs a build with the bugs, which `./dev plant` makes.
#[test]
#[ignore = "needs the planted bugs: run ./dev plant"]
fn each_planted_bug_is_caught() {
    let wanted = std::env::var("PLANTED_BUG").ok();
    for (bug, does) in planted_bugs() {
        if wanted.as_ref().is_some_and(|wanted| *wanted != bug) {
            continue;
        }
        let config = Config {
            failure_persistence: None,
            // Catching the bug is enough: the history need not be short.
            max_shrink_iters: 0,
            ..Config::with_cases(2_000)
        };
        let started = std::time::Instant::now();
        // This bug shows only where clocks differ.
        let clocks_apart = (bug == "own-clock").then_some(Duration::from_secs(5));
        let setting = Setting {
            bug: Some(&bug),
            clocks_apart,
            ..Setting::default()
        };
        let caught = histories(config, &setting);
        let seconds = started.elapsed().as_secs();
        assert!(caught.is_err(), "nothing caught {bug}: {does}");
        println!("caught in {seconds:>3} s: {bug} ({does})");
    }
}

/// Returns the names of the bugs, and the first line of each patch.
fn planted_bugs() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/planted");
    let patches = std::fs::read_dir(folder).unwrap();
    let bug = |patch: std::path::PathBuf| {
        let name = patch.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&patch).unwrap();
        (name, text.lines().next().unwrap_or_default().to_owned())
    };
    let mut bugs: Vec<_> = patches.map(|entry| bug(entry.unwrap().path())).collect();
    bugs.retain(|(name, _)| name != "switch");
    bugs.sort();
    bugs
}

/// The stack that histories are played on.
#[derive(Debug, Clone, Copy)]
struct Setting<'b> {
    /// The planted bug that is enabled.
    bug: Option<&'b str>,
    /// The number of events that a process handles at a time.
    at_a_time: usize,
    /// The time by which every other process's clock is ahead.
    clocks_apart: Option<Duration>,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            bug: None,
            at_a_time: 1,
            clocks_apart: None,
        }
    }
}

/// Plays histories until one fails.
fn histories(config: Config, setting: &Setting<'_>) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(async {
        let mut options = Options {
            warm: setting.clocks_apart.is_none(),
            clock_skew: setting.clocks_apart,
            ..World::options()
        }
        // These are low, so that a few users and posts reach the thresholds of influencers and of their readers.
        .parameter("InfluencerFollowers", "2")
        .parameter("FeedLength", "4");
        if setting.at_a_time > 1 {
            options.workers = 1;
            options.concurrency = setting.at_a_time;
        }
        if let Some(bug) = setting.bug {
            let bug = ("PLANTED_BUG".to_owned(), bug.to_owned());
            options.environment.extend([bug]);
        }
        let world = World::with(options).await;
        // The test delivers the messages.
        for queue in ["LikesQueue", "FollowsQueue", "FanOutQueue"] {
            world.pause_queue(queue).await.unwrap();
        }
        Backstage::of(&world).await
    });
    let run = |operations: Vec<Operation>| {
        runtime.block_on(async {
            let mut case = Case::new(&stage).await;
            for operation in &operations {
                case.perform(operation).await;
            }
            case.settle().await;
            case.compare().await;
        });
        Ok(())
    };
    TestRunner::new(config)
        .run(&operations(), run)
        .map_err(|error| error.to_string())?;
    // The operators' check, over all histories together.
    let differences = runtime.block_on(async {
        let store = stage.store().await;
        store
            .differences(Timestamp::now(), |_, _| {})
            .await
            .unwrap()
    });
    match differences.as_slice() {
        [] => Ok(()),
        differences => Err(format!("the store does not hold: {differences:#?}")),
    }
}
