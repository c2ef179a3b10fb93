//! The queues while their consumers can't reach the cache: each message fails, is not visible for
//! `VisibilityTimeout`, and comes again, until it rests in the dead-letter queue.
//!
//! All three consumers end with a call to the cache, and report their messages as failed without it
//! (`functions/like-consumer`, `follow-consumer` and `fan-out`).

use purrline_charts::Chart;

use super::{axis, line};
use crate::Error;
use crate::limits::IN_FLIGHT;
use crate::numbers::{counted, duration, real};
use crate::plan::Basis;
use crate::queues::{self, TICK};
use crate::sim::{Arrivals, Consumer, Failing, Outcome, Sample, simulate};
use crate::traffic::Traffic;
use crate::usage::Usage;

/// The queues whose consumers need the cache.
const QUEUES: [&str; 3] = ["Likes", "Follows", "FanOut"];

/// A queue, and what became of it.
pub(super) struct Retried {
    name: &'static str,
    visibility: f64,
    /// When messages stop coming.
    end: f64,
    outcome: Outcome,
}

/// Plays so many seconds in the busiest minute's traffic, in which the cache is gone from one second to another.
pub(super) fn retried(
    usage: &Usage,
    basis: &Basis,
    seconds: f64,
    (from, until): (f64, f64),
) -> Result<Vec<Retried>, Error> {
    let day = Traffic::of(usage, &basis.measured, &basis.template)?;
    let play = |name| {
        let pushes = if name == "FanOut" {
            usage.pushes()
        } else {
            0.0
        };
        let (consumer, work) = queues::consumer(name, pushes, &basis.measured, &basis.template)?;
        let daily = day.messages.get(name).copied().unwrap_or(0.0);
        let rate = Traffic::at_peak(usage, daily) * usage.burst;
        let consumer = Consumer {
            failing: Some(Failing {
                share: 1.0,
                from,
                until,
            }),
            ..consumer
        };
        let arrivals = Arrivals::at_rate(TICK, seconds, |_| rate, |_| work);
        Ok(Retried {
            name,
            visibility: consumer.visibility,
            end: seconds,
            outcome: simulate(&consumer, &arrivals, seconds + 3_600.0),
        })
    };
    QUEUES.into_iter().map(play).collect()
}

impl Retried {
    /// Messages that failed as often as they may.
    pub(super) const fn dead(&self) -> u64 {
        self.outcome.dead
    }

    pub(super) fn verdict(&self) -> String {
        let there = |sample: &Sample| sample.waiting + sample.in_flight;
        let most = self.outcome.samples.iter().map(there).max().unwrap_or(0);
        let dead = match self.dead() {
            0 => "none rests in the dead-letter queue".to_owned(),
            dead => format!(
                "{} rest in the dead-letter queue, to be replayed",
                counted(dead)
            ),
        };
        let end = match self.outcome.drained_at {
            Some(at) if at <= self.end + self.visibility => "",
            _ => ", and it does not catch up while so many come",
        };
        let hidden = self.outcome.samples.iter().map(|sample| sample.in_flight);
        let full = if real(hidden.max().unwrap_or(0)) > IN_FLIGHT {
            " More are in flight than SQS allows (120,000): in fact it gives out no more until some are visible again, so \
             fewer die and all are later."
        } else {
            ""
        };
        format!(
            "Queue {}: what fails comes again after {}. At most {} messages are there at a time, the latest is done {} after it \
             came, {dead}{end}.{full}",
            self.name,
            duration(self.visibility),
            counted(most),
            duration(self.outcome.worst_delay)
        )
    }
}

/// How many messages each queue has.
pub(super) fn picture(queues: &[Retried]) -> Chart {
    let there = |sample: &Sample| real(sample.waiting + sample.in_flight);
    let series = queues.iter();
    let series = series.map(|queue| line(queue.name, queue.outcome.line(there)));
    Chart {
        title: "Messages in the queues, waiting or not visible".to_owned(),
        x: axis("seconds", false),
        y: axis("messages", false),
        series: series.collect(),
    }
}
