//! What the stack is doing, as `GET /_local/status` shows it.

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The functions by name.
    pub functions: BTreeMap<String, FunctionStatus>,
    /// The queues by name, dead-letter queues as part of theirs.
    pub queues: BTreeMap<String, QueueStatus>,
}

/// A function since the stack started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionStatus {
    /// Finished invocations, failed ones too.
    pub invocations: u64,
    /// Those that failed, crashed or timed out.
    pub errors: u64,
    /// How long the last 4,096 took.
    pub duration_ms: Durations,
    /// How long the last 4,096 processes took to start, until they asked for their first event.
    pub init_ms: Durations,
    /// Processes that run.
    pub processes: usize,
    /// Invocations that run or wait.
    pub running: usize,
    /// What these processes have computed, in milliseconds of a core; 0 where the system doesn't tell.
    pub cpu_ms: f64,
    /// The most memory that a process had, in MiB; 0 where the system doesn't tell.
    pub peak_memory_mb: f64,
    /// The memory it may have, in MB.
    pub memory_limit_mb: u64,
}

/// Percentiles of durations in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Durations {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Durations {
    pub(crate) const fn of([p50, p90, p99, max]: [f64; 4]) -> Self {
        Self { p50, p90, p99, max }
    }
}

/// A queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// Messages that can be received, now or once their delay is over.
    pub visible: u64,
    /// Messages received and not yet deleted.
    pub in_flight: u64,
    /// Messages in its dead-letter queue.
    pub dead_letters: u64,
}
