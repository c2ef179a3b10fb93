//! Requests to functions behind the load balancer, as messages of the simulation.

use crate::numbers::{real, whole};
use crate::sim::{Arrivals, Consumer, Limit, Outcome, Ramp, Work, simulate};

/// Above this rate, one message stands for several requests.
const MAX_EXACT_RATE: f64 = 500.0;
/// Executions that a function gets at once, and each second afterwards (1,000 in ten seconds).
const AT_ONCE: u64 = 1_000;
const PER_SECOND: f64 = 100.0;

/// Seconds, well below the duration of a request.
const TICK: f64 = 0.005;

/// A stream of requests, and the capacity for it.
pub(super) struct Requests<'a> {
    /// Seconds for which requests arrive.
    pub(super) seconds: f64,
    /// Requests a second at a time.
    pub(super) rate: &'a dyn Fn(f64) -> f64,
    /// The highest rate.
    pub(super) most: f64,
    /// The work of a request that arrives at a time.
    pub(super) work: &'a dyn Fn(f64) -> Work,
    /// Highest concurrency.
    pub(super) concurrency: f64,
    /// Shared units a second.
    pub(super) limit: f64,
}

/// The outcome of a stream of requests.
pub(super) struct RequestsOutcome {
    /// The outcome in messages, each of which stands for several requests.
    pub(super) outcome: Outcome,
    /// Requests of one message.
    pub(super) each: f64,
}

impl RequestsOutcome {
    /// Returns the most concurrent requests.
    pub(super) fn peak_running(&self) -> f64 {
        real(self.outcome.peak_running()) * self.each
    }

    /// Returns the most requests that waited at a time.
    pub(super) fn peak_backlog(&self) -> f64 {
        real(self.outcome.peak_backlog()) * self.each
    }
}

impl Requests<'_> {
    pub(super) fn simulate(&self) -> RequestsOutcome {
        let each = (self.most / MAX_EXACT_RATE).ceil().max(1.0);
        let work = |at| {
            let work = (self.work)(at);
            Work {
                units: work.units * each,
                ..work
            }
        };
        let arrivals = Arrivals::at_rate(TICK, self.seconds, |at| (self.rate)(at) / each, work);
        let consumer = Consumer {
            ramp: Ramp {
                start: whole(real(AT_ONCE) / each).max(1),
                per_second: PER_SECOND / each,
            },
            limit: Some(Limit {
                per_second: self.limit,
                per_batch: 0.0,
            }),
            ..Consumer::plain(whole(self.concurrency / each).max(1))
        };
        RequestsOutcome {
            outcome: simulate(&consumer, &arrivals, self.seconds + 3_600.0),
            each,
        }
    }
}
