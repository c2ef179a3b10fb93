//! A queue and its consumer, in discrete time. Pure: no clock, no chance, the same question has the same
//! answer.
//!
//! Time passes in ticks. In each, in this order: what is due arrives (new messages, and failed ones that
//! become visible again), batches end, batches begin while there are workers. A batch begins when it is full
//! or its oldest message has waited for the window; it takes its own time and that of its messages. What all
//! batches draw on together (a partition's writes, a cache's operations) is granted in the order in which
//! they ask, at a constant rate, and a batch does not end before it has its share.
//!
//! A batch ends with a tick, so a tick must be well below what a batch takes, or batches take longer than they
//! should.
//!
//! A request to a function behind the load balancer is a message here too, in a batch of one without a window.
//! Where it waits it would in fact be refused and come again.

mod arrivals;
mod outcome;
#[cfg(test)]
mod properties;
mod queue;

pub use arrivals::{Arrivals, spread};
pub use outcome::{Outcome, Sample};
pub use queue::simulate;

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// What it adds to its batch's time, in seconds.
    pub seconds: f64,
    /// What it takes of the limit.
    pub units: f64,
    /// How many messages follow, one after the other: each is sent when the one before is done.
    pub follow_ups: u32,
}

/// Messages alike that arrived together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// What each asks for.
    pub work: Work,
}

/// What all batches share.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// How much there is a second.
    pub per_second: f64,
    /// What each batch takes besides what its messages do.
    pub per_batch: f64,
}

/// How the number of workers grows from the first message on.
#[derive(Debug, Clone, Copy)]
pub struct Ramp {
    /// How many there are at once.
    pub start: u64,
    /// How many more there are each second.
    pub per_second: f64,
}

/// When handling fails.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    /// Which part of the messages of a batch, 0 to 1.
    pub share: f64,
    /// For batches that end from this second on.
    pub from: f64,
    /// And before this one.
    pub until: f64,
}

/// A queue and who takes from it.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// The most messages of a batch (`BatchSize`).
    pub batch: u64,
    /// For how many seconds a batch is gathered (`MaximumBatchingWindowInSeconds`).
    pub window: f64,
    /// How many batches at a time (`MaximumConcurrency`).
    pub concurrency: u64,
    /// How soon there are so many.
    pub ramp: Ramp,
    /// What a batch takes besides its messages, in seconds.
    pub seconds_per_batch: f64,
    /// After how many seconds a failed message is there again (`VisibilityTimeout`).
    pub visibility: f64,
    /// How often a message is tried (`maxReceiveCount`).
    pub tries: u32,
    /// What the batches share.
    pub limit: Option<Limit>,
    /// What fails.
    pub failing: Option<Failing>,
}

impl Consumer {
    /// One message at a time, by so many at once and for ever: a server in a textbook.
    pub fn plain(concurrency: u64) -> Self {
        Self {
            batch: 1,
            window: 0.0,
            concurrency,
            ramp: Ramp {
                start: concurrency,
                per_second: 0.0,
            },
            seconds_per_batch: 0.0,
            visibility: 30.0,
            tries: 5,
            limit: None,
            failing: None,
        }
    }
}
