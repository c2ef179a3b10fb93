//! A simulation of a queue and its consumer in discrete time, deterministic and pure.
//!
//! Time passes in ticks. Each tick has three steps: messages arrive (new ones, and failed ones that become visible again),
//! batches end, and batches begin while there are idle workers. A batch begins when it is full or its oldest message has
//! waited for the window; its duration is its own plus those of its messages. A shared limit (a partition's writes, a cache's
//! operations) is granted at a constant rate in the order of requests, and a batch does not end before its share is granted.
//!
//! Batches end with a tick, so a tick must be well below a batch's duration, or batches take too long.
//!
//! A request to a function behind the load balancer is a message too, in a batch of one without a window. Where it waits
//! here, it would in reality be refused and repeated.

mod arrivals;
mod outcome;
#[cfg(test)]
mod properties;
mod queue;

pub(crate) use arrivals::{Arrivals, spread};
pub(crate) use outcome::{Outcome, Sample};
pub(crate) use queue::simulate;

/// The work of one message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Work {
    /// Seconds that it adds to its batch.
    pub seconds: f64,
    /// Units of the shared limit.
    pub units: f64,
    /// Messages that follow one after the other, each sent when the previous one is done.
    pub follow_ups: u32,
}

/// Equal messages that arrived together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Group {
    pub count: u64,
    /// The work of each message.
    pub work: Work,
}

/// A limit that all batches share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Units a second.
    pub per_second: f64,
    /// Units of each batch besides those of its messages.
    pub per_batch: f64,
}

/// The growth of the number of workers after the first message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ramp {
    /// Workers at the start.
    pub start: u64,
    /// Additional workers each second.
    pub per_second: f64,
}

/// Failures of the consumer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing {
    /// The share of a batch's messages that fails.
    pub share: f64,
    /// The first second of the failures.
    pub from: f64,
    /// The second after the last.
    pub until: f64,
}

/// A queue's consumer.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    /// The most messages of a batch (`BatchSize`).
    pub batch: u64,
    /// Seconds for which a batch is collected (`MaximumBatchingWindowInSeconds`).
    pub window: f64,
    /// Concurrent batches (`MaximumConcurrency`).
    pub concurrency: u64,
    pub ramp: Ramp,
    /// Seconds of a batch besides those of its messages.
    pub seconds_per_batch: f64,
    /// Seconds until a failed message is visible again (`VisibilityTimeout`).
    pub visibility: f64,
    /// Attempts at a message (`maxReceiveCount`).
    pub tries: u32,
    pub limit: Option<Limit>,
    pub failing: Option<Failing>,
}

impl Consumer {
    /// Returns a consumer of one message at a time with a fixed number of workers: a textbook's server.
    pub(crate) fn plain(concurrency: u64) -> Self {
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
