//! A run on one shape of data.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;

use crate::dataset::Dataset;
use crate::effort::Effort;
use crate::error::{Result, wrong};
use crate::load::{Loaded, load};
use crate::measure::{computing, fan_out, footprint, likes, mix, posts, push, reads, rebuild};
use crate::numbers::{count, index};
use crate::options::Options;
use crate::progress::bar;
use crate::report::Report;
use crate::stage::{Call, Caller, Purpose, Setting, Stage};

/// Readers' feeds that are rebuilt in parallel before measuring.
const WARMED_AT_ONCE: usize = 8;
/// The parts that are timed. These and the counted ones each run on a stack of their own; pushes and fan-outs on others.
const TIMES: [&str; 4] = ["reads", "computing", "mix", "posts"];
const COUNTS: [&str; 4] = ["read_cost", "memory", "rebuild", "likes"];

pub(crate) async fn run(options: &Options) -> Result<()> {
    let scale = options.scale()?;
    let setting = options.setting()?;
    let effort = if options.quick {
        Effort::quick()
    } else {
        Effort::full(scale)
    };
    let mut report = Report::new(&format!("Benchmark: {}", options.shape.name()));
    let set = Dataset::new(options.shape.size(scale, options.seed))?;
    let loaded = load(set, &options.data(), &setting.options())?;
    let mut errors = Vec::new();
    let run = Run {
        options,
        setting: &setting,
        effort: &effort,
        loaded: &loaded,
    };
    facts(&mut report, &run, scale);
    // The report is written even after a failure: the figures before it are useful.
    if let Err(error) = run.measure(&mut report, &mut errors).await {
        errors.push(error.to_string());
    }
    finish(&report, options, &errors)
}

/// Writes the report, and fails if anything failed.
pub(crate) fn finish(report: &Report, options: &Options, errors: &[String]) -> Result<()> {
    report.write(&options.out(), errors)?;
    if errors.is_empty()
        && let Some((text, link)) = options.chapter()
    {
        report.write_into_page(&text, link)?;
    }
    match errors.first() {
        None => Ok(()),
        Some(first) => Err(wrong(format!(
            "{first} (errors: {}, all of them in report.json)",
            errors.len()
        ))),
    }
}

/// The data, options and settings of a run.
struct Run<'a> {
    options: &'a Options,
    setting: &'a Setting,
    effort: &'a Effort,
    loaded: &'a Loaded,
}

impl Run<'_> {
    async fn measure(&self, report: &mut Report, errors: &mut Vec<String>) -> Result<()> {
        if self.wants(&TIMES) {
            let stage = self.start(Purpose::Times, true).await?;
            let done = self.times(&stage, report).await;
            end(stage, done, errors).await?;
        }
        if self.wants(&COUNTS) {
            let stage = self.start(Purpose::Counts, true).await?;
            let done = self.counts(&stage, report).await;
            end(stage, done, errors).await?;
        }
        let mut raw = None;
        if self.wants(&["push"]) {
            let (section, rate) = push::measure(self.effort).await?;
            report.add(section);
            raw = Some(rate);
        }
        if self.wants(&["fan_out"]) {
            let stage = self.start(Purpose::Times, false).await?;
            let section = fan_out::measure(&stage, self.effort, raw).await;
            end(stage, section.map(|section| report.add(section)), errors).await?;
        }
        Ok(())
    }

    fn wants(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.options.wants(part))
    }

    async fn start(&self, purpose: Purpose, influencers: bool) -> Result<Arc<Stage>> {
        let mut setting = self.setting.clone();
        if purpose == Purpose::Counts {
            setting.workers = counting_workers(&setting, self.effort);
        }
        let stage = Stage::start(self.loaded, &setting, purpose, influencers);
        Ok(Arc::new(stage.await?))
    }

    /// Returns callers whose feeds are in the cache.
    async fn readers(&self, stage: &Stage) -> Result<Arc<[Caller]>> {
        let readers = stage.callers(&stage.set.readers(self.effort.readers))?;
        warm(stage, &readers).await?;
        Ok(readers.into())
    }

    /// Runs the timed parts.
    async fn times(&self, stage: &Arc<Stage>, report: &mut Report) -> Result<()> {
        let effort = self.effort;
        let readers = self.readers(stage).await?;
        if self.wants(&["reads"]) {
            for section in reads::measure(stage, &readers, effort).await? {
                report.add(section);
            }
        }
        if self.wants(&["computing"]) {
            report.add(computing::measure(stage, &readers, effort).await?);
        }
        if self.wants(&["mix"]) {
            let people = readers.iter().take(index(effort.people.into()));
            let people: Vec<Caller> = people.cloned().collect();
            report.add(mix::measure(stage, &people, effort).await?);
        }
        if self.wants(&["posts"]) {
            report.add(posts::measure(stage, effort).await?);
        }
        Ok(())
    }

    /// Runs the counted parts.
    async fn counts(&self, stage: &Arc<Stage>, report: &mut Report) -> Result<()> {
        let effort = self.effort;
        let readers = self.readers(stage).await?;
        if self.wants(&["read_cost"]) {
            report.add(footprint::reads(stage, &readers, effort).await?);
        }
        if self.wants(&["memory"]) {
            report.add(footprint::memory(stage).await?);
        }
        if self.wants(&["rebuild"]) {
            report.add(rebuild::measure(stage, effort).await?);
        }
        if self.wants(&["likes"]) {
            report.add(likes::measure(stage, effort).await?);
        }
        Ok(())
    }
}

/// Stops a stack, and collects its errors.
async fn end(stage: Arc<Stage>, done: Result<()>, errors: &mut Vec<String>) -> Result<()> {
    errors.extend(stage.errors());
    if let Ok(stage) = Arc::try_unwrap(stage) {
        stage.stack.stop().await;
    }
    done
}

/// Returns enough processes that no concurrent reader of a rebuild waits for one.
fn counting_workers(setting: &Setting, effort: &Effort) -> usize {
    setting.workers.max(index(effort.waiting.into()))
}

fn facts(report: &mut Report, run: &Run, scale: f64) {
    let Run {
        options,
        setting,
        effort,
        loaded,
    } = *run;
    let set = &loaded.set;
    report.fact("scale", json!(scale));
    report.fact("seed", json!(options.seed));
    report.fact(
        "data",
        json!({ "users": set.everybody, "follows": set.follows(), "posts": set.size.posts, "authors": set.size.authors }),
    );
    report.fact("loading", json!(loaded.describe()));
    report.fact(
        "processes of a function, at the most",
        json!({ "where times are read": setting.workers, "where calls are counted": counting_workers(setting, effort) }),
    );
    report.fact(
        "settings",
        json!(
            "as deployed, but nobody meets a limit, though all are asked for; search indexes nothing meanwhile"
        ),
    );
}

/// Rebuilds every reader's feed, and caches the content of its first page.
pub(crate) async fn warm(stage: &Stage, readers: &[Caller]) -> Result<()> {
    let bar = bar("warming up", count(readers));
    let calls = futures::stream::iter(readers).map(|reader| async {
        stage.try_call(reader, Call::Feed).await?;
        bar.inc(1);
        Ok(())
    });
    let answers: Vec<Result<()>> = calls.buffer_unordered(WARMED_AT_ONCE).collect().await;
    bar.finish_and_clear();
    answers.into_iter().collect()
}
