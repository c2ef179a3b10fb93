//! Requests to functions behind the load balancer, as messages of the simulation.

use crate::numbers::{real, whole};
use crate::sim::{Arrivals, Consumer, Limit, Outcome, Ramp, Work, simulate};

/// So many requests a second are played one by one; of more, several go as one.
const ONE_BY_ONE: f64 = 500.0;
/// Executions that a function gets at once, and each second after that (1,000 in ten seconds).
const AT_ONCE: u64 = 1_000;
const PER_SECOND: f64 = 100.0;

/// Seconds: well below what a request takes.
const TICK: f64 = 0.005;

/// What comes, and on what.
pub(super) struct Requests<'a> {
    /// For how long they come, in seconds.
    pub(super) seconds: f64,
    /// How many a second at that time.
    pub(super) rate: &'a dyn Fn(f64) -> f64,
    /// The most a second.
    pub(super) most: f64,
    /// What one takes at that time.
    pub(super) work: &'a dyn Fn(f64) -> Work,
    /// How many may run at a time.
    pub(super) concurrency: f64,
    /// What all share, a second.
    pub(super) limit: f64,
}

/// What came of them.
pub(super) struct Played {
    /// In messages, of which each is so many requests.
    pub(super) outcome: Outcome,
    /// Requests of a message.
    pub(super) each: f64,
}

impl Played {
    /// The most requests that were at work at a time.
    pub(super) fn peak_running(&self) -> f64 {
        real(self.outcome.peak_running()) * self.each
    }

    /// The most that found nobody to serve them.
    pub(super) fn peak_backlog(&self) -> f64 {
        real(self.outcome.peak_backlog()) * self.each
    }
}

impl Requests<'_> {
    pub(super) fn play(&self) -> Played {
        let each = (self.most / ONE_BY_ONE).ceil().max(1.0);
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
        Played {
            outcome: simulate(&consumer, &arrivals, self.seconds + 3_600.0),
            each,
        }
    }
}
