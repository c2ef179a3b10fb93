//! The memory and the time that one image takes, whatever it is: the function has 128 MB, of which the Lambda
//! runtime and the AWS SDK need some.

use std::path::{Path, PathBuf};

use crate::corpus::{Outcome, golden, path};
use crate::large;
use crate::worker::{Order, Report, Worker};

/// 100 MB, in KiB.
pub(crate) const LIMIT_KIB: u64 = 100_000_000 / 1024;
/// 116 MB, for a progressive JPEG.
const PROGRESSIVE_LIMIT_KIB: u64 = 116_000_000 / 1024;
/// The processor time of an answer. Wall-clock time would include other work of the machine.
pub(crate) const TIME_LIMIT_MS: u64 = 2_000;

#[test]
fn memory_and_time_are_bounded() {
    let golden = golden();
    let known = golden
        .images
        .iter()
        .map(|image| (path(&image.file), Some(Outcome::Classified)));
    let refused = golden
        .refused
        .iter()
        .map(|image| (path(&image.file), Some(image.error)));
    let mut trial = Trial {
        worker: Worker::start(),
        reports: Vec::new(),
        wrong: Vec::new(),
    };
    for (file, outcome) in known.chain(refused) {
        trial.of(&file, outcome, LIMIT_KIB);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for large in large::all() {
        let file = folder.join(&large.name);
        std::fs::write(&file, &large.bytes).unwrap();
        let limit = if large.progressive {
            PROGRESSIVE_LIMIT_KIB
        } else {
            LIMIT_KIB
        };
        if trial.of(&file, large.outcome, limit) {
            std::fs::remove_file(&file).unwrap();
        }
    }
    trial.finish();
}

struct Trial {
    worker: Worker,
    reports: Vec<(String, Report)>,
    wrong: Vec<String>,
}

impl Trial {
    /// Whether all is well.
    fn of(&mut self, file: &Path, outcome: Option<Outcome>, limit: u64) -> bool {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let before = self.wrong.len();
        let report = match self.worker.ask(&Order::Classify(file.to_owned())) {
            Ok(report) => report,
            Err(death) => {
                self.wrong.push(format!("{name}: {death}"));
                self.worker = Worker::start();
                return false;
            }
        };
        match &report.outcome {
            Err(panic) => self.wrong.push(format!("{name}: panics: {panic}")),
            Ok(Outcome::Failed) => self
                .wrong
                .push(format!("{name}: our own fault: {:?}", report.detail)),
            Ok(found) if outcome.is_some_and(|wanted| wanted != *found) => {
                self.wrong.push(format!(
                    "{name}: {found:?} instead of {outcome:?}: {:?}",
                    report.detail
                ));
            }
            Ok(_) => {}
        }
        if report.peak_kib > limit {
            self.wrong.push(format!(
                "{name}: {} KiB, more than {limit}",
                report.peak_kib
            ));
            // A new worker, so that memory that the old one still holds is not counted for the next image.
            self.worker = Worker::start();
        }
        if report.cpu_ms > TIME_LIMIT_MS {
            self.wrong.push(format!("{name}: {} ms", report.cpu_ms));
        }
        self.reports.push((name, report));
        self.wrong.len() == before
    }

    fn finish(mut self) {
        self.show("the most memory", |report| report.peak_kib);
        self.show("the most time", |report| report.cpu_ms);
        assert!(
            self.wrong.is_empty(),
            "{} are wrong:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
    }

    fn show(&mut self, title: &str, most: impl Fn(&Report) -> u64) {
        self.reports
            .sort_by_key(|(_, report)| std::cmp::Reverse(most(report)));
        println!("{title}:");
        for (name, report) in self.reports.iter().take(15) {
            println!(
                "  {:>6} KiB {:>5} ms  {:?}  {name}",
                report.peak_kib, report.cpu_ms, report.outcome
            );
        }
    }
}
