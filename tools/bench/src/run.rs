//! A run on one shape of data.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;

use crate::dataset::Dataset;
use crate::effort::Effort;
use crate::error::{Result, wrong};
use crate::load::{Loaded, load};
use crate::measure::{fan_out, footprint, likes, mix, posts, push, reads, rebuild};
use crate::numbers::count;
use crate::options::Options;
use crate::progress::bar;
use crate::report::Report;
use crate::stage::{Call, Caller, Setting, Stage};

/// How many readers' feeds are rebuilt at a time before anything is measured.
const WARMED_AT_ONCE: usize = 8;
/// From how many followers on an author's posts may not be fanned out, as template.yaml has it.
const INFLUENCER: usize = 10_000;

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
    facts(&mut report, options, &loaded, &setting, scale);

    let stage = Arc::new(Stage::start(&loaded, &setting, true).await?);
    measure(&stage, options, &effort, &mut report).await?;
    let mut errors = stage.errors();
    if options.wants("fan_out") {
        let followers = stage.set.followers.get(stage.set.most_followed());
        if followers.len() < INFLUENCER {
            report.add(fan_out::measure(&stage, &effort).await?);
        } else {
            stop(stage).await;
            let stage = Arc::new(Stage::start(&loaded, &setting, false).await?);
            report.add(fan_out::measure(&stage, &effort).await?);
            errors.extend(stage.errors());
            stop(stage).await;
        }
    }
    if options.wants("push") {
        report.add(push::measure(&effort).await?);
    }
    finish(&report, options, &errors)
}

/// Writes the report, and fails if calls did.
pub(crate) fn finish(report: &Report, options: &Options, errors: &[String]) -> Result<()> {
    report.write(&options.out(), errors)?;
    match errors.first() {
        None => Ok(()),
        Some(first) => Err(wrong(format!(
            "{} calls failed, the first: {first}",
            errors.len()
        ))),
    }
}

async fn stop(stage: Arc<Stage>) {
    if let Ok(stage) = Arc::try_unwrap(stage) {
        stage.stack.stop().await;
    }
}

fn facts(report: &mut Report, options: &Options, loaded: &Loaded, setting: &Setting, scale: f64) {
    let set = &loaded.set;
    report.fact("scale", json!(scale));
    report.fact("seed", json!(options.seed));
    report.fact(
        "data",
        json!({ "users": set.everybody, "follows": set.follows(), "posts": set.size.posts, "authors": set.size.authors }),
    );
    report.fact("loading", json!(loaded.words()));
    report.fact("processes of a function", json!(setting.workers));
}

async fn measure(
    stage: &Arc<Stage>,
    options: &Options,
    effort: &Effort,
    report: &mut Report,
) -> Result<()> {
    let readers: Arc<[Caller]> = stage.callers(&stage.set.readers(effort.readers))?.into();
    warm(stage, &readers).await?;
    if options.wants("reads") {
        for section in reads::measure(stage, &readers, effort).await? {
            report.add(section);
        }
    }
    if options.wants("read_cost") {
        report.add(footprint::reads(stage, &readers, effort).await?);
    }
    if options.wants("memory") {
        report.add(footprint::memory(stage).await?);
    }
    if options.wants("mix") {
        let people: Vec<Caller> = readers
            .iter()
            .take(crate::numbers::index(effort.people.into()))
            .cloned()
            .collect();
        report.add(mix::measure(stage, &people, effort).await?);
    }
    if options.wants("posts") {
        report.add(posts::measure(stage, effort).await?);
    }
    if options.wants("rebuild") {
        report.add(rebuild::measure(stage, effort).await?);
    }
    if options.wants("likes") {
        report.add(likes::measure(stage, effort).await?);
    }
    Ok(())
}

/// Has every reader's feed rebuilt, and what it shows read into the cache.
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
