//! A process of its own that decodes and classifies: its memory can be measured, and it may die without taking
//! the tests along. It is this same test binary, told by the environment what to do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use purrline::picture::{self, WIDTHS};
use purrline::vision;
use serde::{Deserialize, Serialize};

use crate::corpus::{Outcome, classifier, repository};
use crate::mutator::Mutator;

/// Says to a process of this binary that it is a worker.
const WORKER: &str = "PURRLINE_TEST_WORKER";
/// Marks what it answers among what the test harness prints.
const MARK: &str = "@@";
/// After this long without an answer it hangs. Far above the limit of an answer: the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// A worker's task.
#[derive(Serialize, Deserialize)]
pub(crate) enum Order {
    /// To process a file, as a function would: read into memory, decoded, and what follows.
    File { path: PathBuf, work: Work },
    /// To process a mutant.
    Mutant { seed: u64, number: u64, work: Work },
}

/// The processing of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// It is decoded for the network.
    Decode,
    /// It also goes through the network.
    Classify,
    /// It is made into pictures.
    Render,
}

/// A worker's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Or what it panicked with.
    pub(crate) outcome: Result<Outcome, String>,
    /// The text of an error.
    pub(crate) detail: Option<String>,
    /// Processor time of this order.
    pub(crate) cpu_ms: u64,
    /// The most memory that the process has had at once during this order, in KiB.
    pub(crate) peak_kib: u64,
}

/// A running worker.
pub(crate) struct Worker {
    process: Child,
    orders: ChildStdin,
    reports: Receiver<Report>,
}

impl Worker {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "worker::worker",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(WORKER, "1")
            .envs(malloc())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let (sender, reports) = channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, report)) = line.split_once(MARK) {
                    let _ = sender.send(serde_json::from_str(report).unwrap());
                }
            }
        });
        Self {
            process,
            orders,
            reports,
        }
    }

    /// Its report, or what it died of.
    pub(crate) fn ask(&mut self, order: &Order) -> Result<Report, String> {
        let order = serde_json::to_string(order).unwrap();
        if writeln!(self.orders, "{order}").is_ok()
            && let Ok(report) = self.reports.recv_timeout(PATIENCE)
        {
            return Ok(report);
        }
        let _ = self.process.kill();
        Err(format!(
            "the process has died or hangs: {:?}",
            self.process.wait()
        ))
    }
}

/// Returns the settings of the allocator that template.yaml has for the function.
fn malloc() -> Vec<(String, String)> {
    let template = std::fs::read_to_string(repository().join("template.yaml")).unwrap();
    let settings: Vec<_> = template
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(name, _)| name.starts_with("MALLOC_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect();
    assert!(!settings.is_empty());
    settings
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "the other tests start it, as a process of its own"]
fn worker() {
    if std::env::var_os(WORKER).is_none() {
        return;
    }
    std::panic::set_hook(Box::new(|_| ()));
    let classifier = classifier();
    let mut mutator = None;
    for line in std::io::stdin().lines() {
        let order = serde_json::from_str(&line.unwrap()).unwrap();
        let (bytes, work) = match order {
            Order::File { path, work } => (std::fs::read(path).unwrap(), work),
            Order::Mutant { seed, number, work } => {
                let mutator = mutator.get_or_insert_with(Mutator::new);
                (mutator.mutant(seed, number), work)
            }
        };
        // Forgets the peak until now.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = cpu_ms();
        let result = catch_unwind(AssertUnwindSafe(|| match work {
            Work::Decode => {
                let side = classifier.side();
                vision::pixels(&bytes, side).map(|pixels| assert_eq!(pixels.len(), side * side * 3))
            }
            Work::Classify => classifier.probabilities(&bytes).map(|found| {
                let sum: f32 = found.iter().sum();
                assert!((sum - 1.0).abs() < 1e-4, "the probabilities sum to {sum}");
            }),
            Work::Render => picture::render(&bytes).map(|pictures| {
                assert!((1..=WIDTHS.len()).contains(&pictures.sizes.len()));
                assert!(pictures.sizes.is_sorted_by_key(|picture| picture.width));
            }),
        }));
        let cpu_ms = cpu_ms() - before;
        let detail = match &result {
            Ok(Err(error)) => Some(match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }),
            _ => None,
        };
        let outcome = result
            .map(|result| Outcome::from(&result))
            .map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                text.or_else(|| panic.downcast_ref().copied())
                    .unwrap_or("a panic")
                    .to_owned()
            });
        let report = Report {
            outcome,
            detail,
            cpu_ms,
            peak_kib: peak_kib(),
        };
        println!("{MARK}{}", serde_json::to_string(&report).unwrap());
    }
}

/// The processor time of this thread.
fn cpu_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000_000
}

/// The process's high water mark.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
