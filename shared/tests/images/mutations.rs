//! Damaged images: no panic, no abort, no answer that takes long, no more memory than there is.
//!
//! For longer runs, and to repeat one: see [`COUNT`], [`SEED`] and [`FIRST`]. For example
//!
//! ```sh
//! PURRLINE_MUTANTS=1000000 PURRLINE_MUTANTS_SEED=7 ./dev test mutated_images -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::corpus::Outcome;
use crate::memory::{LIMIT_KIB, PICTURES_LIMIT_KIB, TIME_LIMIT_MS};
use crate::mutator::Mutator;
use crate::worker::{Order, Report, Work, Worker};

/// The number of mutants.
const COUNT: &str = "PURRLINE_MUTANTS";
/// The seed that all of them come from.
const SEED: &str = "PURRLINE_MUTANTS_SEED";
/// The number of the first.
const FIRST: &str = "PURRLINE_MUTANTS_FIRST";
/// One mutant in this many goes through the network; the others are only decoded and resized.
const CLASSIFIED: u64 = 100;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number"))
    })
}

#[test]
fn mutated_images_are_answered_within_the_limits() {
    let work = |number: u64| {
        if number.is_multiple_of(CLASSIFIED) {
            Work::Classify
        } else {
            Work::Decode
        }
    };
    answered_within_the_limits(10_000, work, LIMIT_KIB);
}

#[test]
fn mutated_images_become_pictures_within_the_limits() {
    answered_within_the_limits(5_000, |_| Work::Render, PICTURES_LIMIT_KIB);
}

fn answered_within_the_limits(count: u64, work: fn(u64) -> Work, limit_kib: u64) {
    let (count, seed, first) = (number(COUNT, count), number(SEED, 1), number(FIRST, 0));
    let next = AtomicU64::new(first);
    let started = Instant::now();
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..std::thread::available_parallelism()
            .map_or(1, |n| n.get().min(8)))
            .map(|_| scope.spawn(|| torment(seed, &next, first + count, work, limit_kib)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut all = Summary::default();
    for part in parts {
        all.accepted += part.accepted;
        all.refused += part.refused;
        all.slowest = all.slowest.max(part.slowest);
        all.largest = all.largest.max(part.largest);
        all.failures.extend(part.failures);
        for (error, times) in part.errors {
            *all.errors.entry(error).or_default() += times;
        }
    }
    println!(
        "{count} mutants of seed {seed} in {:?}: {} accepted, {} refused; slowest {} ms (mutant {}), largest {} KiB (mutant {})",
        started.elapsed(),
        all.accepted,
        all.refused,
        all.slowest.0,
        all.slowest.1,
        all.largest.0,
        all.largest.1,
    );
    let mut errors: Vec<_> = all.errors.iter().collect();
    errors.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    for (error, times) in errors.iter().take(15) {
        println!("  {times:>6} {error}");
    }
    assert!(
        all.failures.is_empty(),
        "{} fail:\n{}",
        all.failures.len(),
        all.failures.join("\n")
    );
    // Otherwise the mutations are too rough, or too gentle, to find anything.
    if count >= 1000 {
        assert!(
            all.accepted > count / 10 && all.refused > count / 10,
            "hardly anything was tried"
        );
    }
}

#[derive(Default)]
struct Summary {
    accepted: u64,
    refused: u64,
    /// The milliseconds, and the number of the mutant.
    slowest: (u64, u64),
    /// The KiB, and the number of the mutant.
    largest: (u64, u64),
    /// The number of times that each error was the answer.
    errors: BTreeMap<String, u64>,
    failures: Vec<String>,
}

fn torment(
    seed: u64,
    next: &AtomicU64,
    end: u64,
    work: fn(u64) -> Work,
    limit_kib: u64,
) -> Summary {
    let mut summary = Summary::default();
    let mut worker = Worker::start();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end || summary.failures.len() >= 20 {
            return summary;
        }
        let order = Order::Mutant {
            seed,
            number,
            work: work(number),
        };
        let report = worker.ask(&order);
        if let Ok(report) = &report {
            match &report.detail {
                None => summary.accepted += 1,
                Some(detail) => {
                    summary.refused += 1;
                    *summary.errors.entry(detail.clone()).or_default() += 1;
                }
            }
            summary.slowest = summary.slowest.max((report.cpu_ms, number));
            summary.largest = summary.largest.max((report.peak_kib, number));
        } else {
            worker = Worker::start();
        }
        if let Some(problem) = problem(&report, limit_kib) {
            summary.failures.push(format!(
                "mutant {number} ({}): {problem}",
                keep(seed, number).display()
            ));
        }
    }
}

fn problem(report: &Result<Report, String>, limit_kib: u64) -> Option<String> {
    let report = match report {
        Ok(report) => report,
        Err(death) => return Some(death.clone()),
    };
    match &report.outcome {
        Err(panic) => return Some(format!("panics: {panic}")),
        Ok(Outcome::Failed) => return Some(format!("is our own fault: {:?}", report.detail)),
        Ok(_) => {}
    }
    if report.cpu_ms > TIME_LIMIT_MS {
        return Some(format!("takes {} ms", report.cpu_ms));
    }
    (report.peak_kib > limit_kib).then(|| format!("takes {} KiB", report.peak_kib))
}

/// The mutant as a file, to look into.
fn keep(seed: u64, number: u64) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mutant-{seed}-{number}"));
    std::fs::write(&path, Mutator::new().mutant(seed, number)).unwrap();
    path
}
