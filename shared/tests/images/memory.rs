//! The memory and the time that one image takes, whatever it is. The classifier has 128 MB, of which the Lambda runtime and
//! the AWS SDK need some.

use std::path::{Path, PathBuf};

use crate::corpus::{Outcome, golden, path, pictures};
use crate::large::{self, Large};
use crate::worker::{Order, Report, Work, Worker};

/// 100 MB, in KiB.
pub(crate) const LIMIT_KIB: u64 = 100_000_000 / 1024;
/// 116 MB, for a progressive JPEG.
const PROGRESSIVE_LIMIT_KIB: u64 = 116_000_000 / 1024;
/// The same for pictures: 400 MB.
pub(crate) const PICTURES_LIMIT_KIB: u64 = 400_000_000 / 1024;
/// The processor time of an answer. Wall-clock time would include other work of the machine.
pub(crate) const TIME_LIMIT_MS: u64 = 2_000;

#[test]
fn classification_is_bounded_in_memory_and_time() {
    let limit = |progressive| {
        if progressive {
            PROGRESSIVE_LIMIT_KIB
        } else {
            LIMIT_KIB
        }
    };
    let mut trial = Trial::new(Work::Classify);
    let golden = golden();
    for image in &golden.images {
        let outcome = Some(Outcome::Classified);
        trial.of(&path(&image.file), outcome, limit(false));
    }
    for image in &golden.refused {
        trial.of(&path(&image.file), Some(image.error), limit(false));
    }
    for large in large::all() {
        trial.of_large(&large, large.outcome, limit(large.progressive));
    }
    trial.finish();
}

#[test]
fn making_pictures_is_bounded_in_memory_and_time() {
    let mut trial = Trial::new(Work::Render);
    let golden = golden();
    let whole = golden.images.iter().map(|image| &image.file);
    for file in whole.chain(golden.refused.iter().map(|image| &image.file)) {
        trial.of(&path(file), None, PICTURES_LIMIT_KIB);
    }
    for file in pictures() {
        trial.of(&file, Some(Outcome::Classified), PICTURES_LIMIT_KIB);
    }
    for large in large::all() {
        // What the classifier refuses may be shown.
        let outcome = large
            .outcome
            .filter(|outcome| *outcome == Outcome::Classified);
        trial.of_large(&large, outcome, PICTURES_LIMIT_KIB);
    }
    trial.finish();
}

struct Trial {
    work: Work,
    worker: Worker,
    reports: Vec<(String, Report)>,
    wrong: Vec<String>,
}

impl Trial {
    fn new(work: Work) -> Self {
        Self {
            work,
            worker: Worker::start(),
            reports: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Keeps the file, to look into, if anything is wrong.
    fn of_large(&mut self, large: &Large, outcome: Option<Outcome>, limit: u64) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{:?}", self.work));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(&large.name);
        std::fs::write(&file, &large.bytes).unwrap();
        if self.of(&file, outcome, limit) {
            std::fs::remove_file(&file).unwrap();
        }
    }

    /// Whether all is well.
    fn of(&mut self, file: &Path, outcome: Option<Outcome>, limit: u64) -> bool {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let before = self.wrong.len();
        let order = Order::File {
            path: file.to_owned(),
            work: self.work,
        };
        let report = match self.worker.ask(&order) {
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
