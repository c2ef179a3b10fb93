//! The processor time of functions for a call, without their waits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::FeedStrategy;
use crate::effort::Effort;
use crate::error::Result;
use crate::numbers::{float, index, ratio};
use crate::progress::spinner;
use crate::section::{Cell, Section};
use crate::stage::{Call, Caller, Stage};

/// The longest time for a queue to empty.
const PATIENCE: Duration = Duration::from_mins(2);

/// Milliseconds of processor time and the number of invocations, by function.
type Computed = BTreeMap<String, (f64, u64)>;

/// Returns the processor time so far of a function's running processes, in milliseconds.
pub(crate) async fn computed_by(stage: &Stage, function: &str) -> Result<f64> {
    let of_all = computed(stage).await?;
    Ok(of_all.get(function).map_or(0.0, |(cpu_ms, _)| *cpu_ms))
}

async fn computed(stage: &Stage) -> Result<Computed> {
    let functions = stage.stack.status().await?.functions.into_iter();
    let of = functions.map(|(name, function)| (name, (function.cpu_ms, function.invocations)));
    Ok(of.collect())
}

/// Makes one call after the other, each with all of its consequences, so that no process starts meanwhile.
pub(crate) async fn measure(stage: &Stage, readers: &[Caller], effort: &Effort) -> Result<Section> {
    let note = format!(
        "Processor time of the functions' processes over {} calls one after the other, in milliseconds of a core: the \
         function's own, the runtime's and the kernel's for it. Beside the function that is called, the one that its \
         message is for, whose batches hold one message here.",
        effort.calls
    );
    let columns = [
        ("call", "call"),
        ("function", "function"),
        ("invocations", "invocations a call"),
        ("cpu_ms", "ms of a core a call"),
    ];
    let mut section = Section::new("computing", "What the functions compute", &note, &columns);
    let popular = stage.caller(stage.set.probe_author(0))?;
    let posts = [stage.post(&popular).await?.0, stage.post(&popular).await?.0];
    let readers = || readers.iter().cycle().take(index(effort.calls.into()));
    let kinds = [
        (
            [FeedStrategy::FanOut.call(); 2],
            "a page of the feed, warm",
            vec!["feed"],
        ),
        (
            [FeedStrategy::Pull.call(); 2],
            "the same by pulling",
            vec!["feed-by-pull"],
        ),
        (
            [Call::Post; 2],
            "a post, to 60 followers",
            vec!["post-write", "fan-out"],
        ),
        (
            posts.map(Call::Like),
            "a like",
            vec!["like", "like-consumer"],
        ),
    ];
    let spinner = spinner("what the functions compute");
    for ([first, call], what, functions) in kinds {
        // Once before, so that nothing is done for the first time.
        for reader in readers() {
            call_and_wait(stage, first, reader, &popular).await?;
        }
        let before = computed(stage).await?;
        for reader in readers() {
            call_and_wait(stage, call, reader, &popular).await?;
        }
        let after = computed(stage).await?;
        for function in functions {
            let of = |computed: &Computed| computed.get(function).copied().unwrap_or_default();
            let ((cpu, runs), (cpu_before, runs_before)) = (of(&after), of(&before));
            section.row([
                Cell::from(what),
                function.into(),
                ratio(float(runs.saturating_sub(runs_before)), effort.calls.into()).into(),
                ratio(cpu - cpu_before, effort.calls.into()).into(),
            ]);
        }
    }
    spinner.finish_and_clear();
    Ok(section)
}

/// Makes a call, and waits until all of its consequences are done.
async fn call_and_wait(stage: &Stage, call: Call, reader: &Caller, author: &Caller) -> Result<()> {
    let (caller, queue) = match call {
        Call::Post => (author, Some("FanOutQueue")),
        Call::Like(_) => (reader, Some("LikesQueue")),
        Call::Feed | Call::FeedByPull => (reader, None),
    };
    stage.call(caller, call).await;
    match queue {
        Some(queue) => stage.wait_until_empty(queue, PATIENCE).await,
        None => Ok(()),
    }
}
