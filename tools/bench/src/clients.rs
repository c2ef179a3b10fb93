//! Clients that call repeatedly, over connections that stay open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;

use crate::error::{Result, wrong};
use crate::measure::computing::computed_by;
use crate::numbers::{float, rate};
use crate::random::Random;
use crate::stage::{Call, Caller, Stage};
use crate::stats::{Latencies, Percentiles};

/// The outcome of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Latencies measured by the clients.
    pub(crate) client: Percentiles,
    /// The part of these spent in the function, of the last 4,096 calls.
    pub(crate) handler: Percentiles,
    /// Milliseconds of processor time that the function's processes took for a call; `None` if it was not measured, or a
    /// process ended meanwhile.
    pub(crate) cpu_ms: Option<f64>,
    /// Answers a second.
    pub(crate) per_second: f64,
    /// Calls that were due but not made by the end. Their waiting time is part of the clients' latencies.
    pub(crate) unmade: u64,
    /// Failed calls, which none of the other figures include.
    pub(crate) errors: u64,
}

/// Returns the median of each figure over rounds, with all calls and all errors.
pub(crate) fn median(rounds: &[Round]) -> Round {
    let client: Vec<_> = rounds.iter().map(|round| round.client).collect();
    let handler: Vec<_> = rounds.iter().map(|round| round.handler).collect();
    Round {
        client: Percentiles::median(&client),
        handler: Percentiles::median(&handler),
        cpu_ms: rounds
            .iter()
            .map(|round| round.cpu_ms)
            .collect::<Option<Vec<f64>>>()
            .map(crate::numbers::median),
        per_second: crate::numbers::median(rounds.iter().map(|round| round.per_second)),
        unmade: rounds.iter().map(|round| round.unmade).sum(),
        errors: rounds.iter().map(|round| round.errors).sum(),
    }
}

/// Lets clients call for a duration, each as soon as its last call was answered, as a random caller.
pub(crate) async fn closed_loop(
    stage: &Arc<Stage>,
    call: Call,
    callers: &Arc<[Caller]>,
    clients: u32,
    time: Duration,
) -> Result<Round> {
    stage.stack.take_durations(call.function())?;
    let computed = computed_by(stage, call.function()).await?;
    let started = Instant::now();
    let end = started + time;
    let tasks = (0..clients).map(|client| {
        let (stage, callers) = (Arc::clone(stage), Arc::clone(callers));
        tokio::spawn(async move {
            let mut random = Random::new(client.into(), 5);
            let bound = u32::try_from(callers.len()).unwrap_or(u32::MAX);
            let mut latencies = Latencies::new()?;
            while Instant::now() < end {
                let at = crate::numbers::index(random.below(bound).into());
                let caller = callers.get(at).ok_or_else(|| wrong("there is no caller"))?;
                match stage.try_call(caller, call).await {
                    Ok(answer) => latencies.record(answer.took),
                    Err(error) => latencies.errors.push(format!("{call:?}: {error}")),
                }
            }
            Ok(latencies)
        })
    });
    let all = merge_results(tasks).await?;
    let took = started.elapsed();
    let computed = computed_by(stage, call.function()).await? - computed;
    let round = round(stage, call, call, all, took)?;
    Ok(Round {
        cpu_ms: (computed >= 0.0).then(|| computed / float(round.client.count).max(1.0)),
        ..round
    })
}

/// Summarises a round of calls. Errors fail the run, except when feeds are read by pulling: that the machine can't keep up
/// is a result.
fn round(
    stage: &Stage,
    read: Call,
    call: Call,
    latencies: Latencies,
    took: Duration,
) -> Result<Round> {
    let client = latencies.percentiles();
    let errors = crate::numbers::count(&latencies.errors);
    if read != Call::FeedByPull {
        stage.fail(latencies.errors);
    }
    Ok(Round {
        client,
        handler: Percentiles::of(&stage.stack.take_durations(call.function())?),
        cpu_ms: None,
        per_second: rate(client.count.saturating_sub(latencies.unmade), took),
        unmade: latencies.unmade,
        errors,
    })
}

/// Simulates people who each read every one to two seconds and post every eight to ten, answered or not, and returns the
/// outcome of the reads and of the posts. The latency of a call that had to wait for the person's last one counts from the
/// moment it was due, even if it was never made: otherwise slow answers would hide themselves ("coordinated omission").
pub(crate) async fn simulate_people(
    stage: &Arc<Stage>,
    read: Call,
    people: &[Caller],
    time: Duration,
    seed: u64,
) -> Result<(Round, Round)> {
    for call in [read, Call::Post] {
        stage.stack.take_durations(call.function())?;
    }
    let started = Instant::now();
    let schedule = |call: Call, purpose: u64, (low, high): (f64, f64)| {
        let tasks = people.iter().zip(0_u64..).map(move |(person, number)| {
            let random = Random::new(seed ^ (number << 8), purpose);
            let (stage, person) = (Arc::clone(stage), person.clone());
            tokio::spawn(on_schedule(stage, person, call, random, (low, high), time))
        });
        merge_results(tasks)
    };
    let reads = schedule(read, 6, (1.0, 2.0));
    let posts = schedule(Call::Post, 7, (8.0, 10.0));
    let (reads, posts) = tokio::try_join!(reads, posts)?;
    let took = started.elapsed();
    Ok((
        round(stage, read, read, reads, took)?,
        round(stage, read, Call::Post, posts, took)?,
    ))
}

/// Makes one person's calls of one kind, beginning at a random moment of the first interval.
async fn on_schedule(
    stage: Arc<Stage>,
    person: Caller,
    call: Call,
    mut random: Random,
    (low, high): (f64, f64),
    time: Duration,
) -> Result<Latencies> {
    let started = tokio::time::Instant::now();
    let mut latencies = Latencies::new()?;
    let mut due = random.between(0.0, high);
    while due < time.as_secs_f64() {
        let at = started + Duration::from_secs_f64(due);
        due += random.between(low, high);
        // A call that was due by the end but not made has taken at least as long as it has waited.
        if started.elapsed() > time {
            latencies.record(at.elapsed());
            latencies.unmade = latencies.unmade.saturating_add(1);
            continue;
        }
        let from = if tokio::time::Instant::now() > at {
            at
        } else {
            tokio::time::sleep_until(at).await;
            // The timer's own delay, up to a millisecond, is not part of the latency.
            tokio::time::Instant::now()
        };
        match stage.try_call(&person, call).await {
            Ok(_) => latencies.record(from.elapsed()),
            Err(error) => latencies.errors.push(format!("{call:?}: {error}")),
        }
    }
    Ok(latencies)
}

/// Merges the recordings of tasks.
async fn merge_results(
    tasks: impl Iterator<Item = tokio::task::JoinHandle<Result<Latencies>>>,
) -> Result<Latencies> {
    let tasks: Vec<_> = tasks.collect();
    let done = try_join_all(tasks).await;
    let done = done.map_err(|error| wrong(format!("a client broke: {error}")))?;
    let mut all = Latencies::new()?;
    for latencies in done {
        all.add(latencies?)?;
    }
    Ok(all)
}
