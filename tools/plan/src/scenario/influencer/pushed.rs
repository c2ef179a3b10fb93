//! The full fan-out that merging saves.

use crate::Error;
use crate::numbers::{dollars, duration, readable, real, whole};
use crate::partitions::follower_shards;
use crate::plan::Basis;
use crate::queues;
use crate::sim::{Arrivals, Consumer, Group, Limit, Outcome, Work, simulate};
use crate::usage::Usage;

/// Followers that one message of a fan-out serves.
const PER_MESSAGE: f64 = 10_000.0;

/// The course of a full fan-out.
pub(super) struct FanOutOutcome {
    pub(super) messages: f64,
    batch_seconds: f64,
    pub(super) outcome: Outcome,
    pub(super) dollars: f64,
}

/// Simulates the fan-out: messages of a partition follow each other, all partitions run in parallel.
pub(super) fn simulate_fan_out(
    usage: &Usage,
    basis: &Basis,
    followers: f64,
) -> Result<FanOutOutcome, Error> {
    let push = basis.measured.operation("push")?;
    let (consumer, work) =
        queues::consumer("FanOut", PER_MESSAGE, &basis.measured, &basis.template)?;
    let shards = follower_shards(followers);
    let each = (followers / shards / PER_MESSAGE).ceil().max(1.0);
    let work = Work {
        units: PER_MESSAGE.min(followers / shards) * push.ecpu,
        follow_ups: u32::try_from(whole(each - 1.0)).unwrap_or(u32::MAX),
        ..work
    };
    let consumer = Consumer {
        limit: Some(Limit {
            per_second: basis.template.cache_ecpus,
            per_batch: 0.0,
        }),
        ..consumer
    };
    let all = vec![Group {
        count: whole(shards),
        work,
    }];
    let outcome = simulate(&consumer, &Arrivals::at_once(1.0, all), 30.0 * 86_400.0);
    let reads: f64 = push.units.values().map(|units| units.read).sum();
    let (prices, region) = (&basis.prices, usage.region);
    let dollars = followers / 1e6
        * (push.ecpu * prices.cache_ecpus.of(region)?
            + reads * prices.dynamodb_reads.of(region)?);
    Ok(FanOutOutcome {
        messages: shards * each,
        batch_seconds: consumer.seconds_per_batch + real(consumer.batch) * work.seconds,
        outcome,
        dollars,
    })
}

/// Returns the sentences about the fan-out.
pub(super) fn describe(
    usage: &Usage,
    basis: &Basis,
    followers: f64,
    pushed: &FanOutOutcome,
) -> Result<Vec<String>, Error> {
    let threshold = readable(usage.threshold);
    let drained = pushed
        .outcome
        .drained_at
        .map_or("over a month".to_owned(), duration);
    let is_merged = followers > usage.threshold;
    let mut verdict = Vec::new();
    if is_merged {
        verdict.push(format!(
            "Merged, being above the threshold of {threshold} followers: the fan-out is one message, and everybody's next read \
             shows the post, about a second after it was written."
        ));
    }
    let push = if is_merged {
        "A full fan-out instead would be"
    } else {
        "Pushed, not being above the threshold:"
    };
    verdict.push(format!(
        "{push} {} message(s) of up to 10,000 followers, {drained} until the last feed has it ({} ECPUs a second, as template.yaml \
         limits the cache; {} batch(es) at a time at most), and {} for this post alone.",
        readable(pushed.messages),
        readable(basis.template.cache_ecpus),
        pushed.outcome.peak_running(),
        dollars(pushed.dollars)
    ));
    let timeout = basis.template.queue("FanOut")?.timeout;
    if pushed.batch_seconds > timeout / 2.0 {
        verdict.push(format!(
            "A full batch of such messages takes {} of the function's {}, most of it processor time with its memory.",
            duration(pushed.batch_seconds),
            duration(timeout)
        ));
    }
    Ok(verdict)
}
