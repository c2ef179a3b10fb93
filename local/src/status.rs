//! The status of a stack, as `GET /_local/status` returns it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// The status of all functions and queues at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The functions by name.
    pub functions: BTreeMap<String, FunctionStatus>,
    /// The queues by name. Dead-letter queues are counted with the queues that they belong to.
    pub queues: BTreeMap<String, QueueStatus>,
}

/// The status of one function, counted from the stack's start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionStatus {
    /// Finished invocations, including failed ones.
    pub invocations: u64,
    /// Invocations that failed, crashed or timed out.
    pub errors: u64,
    /// Durations of the last 4,096 invocations.
    pub duration_ms: Durations,
    /// Times that the last 4,096 processes took from their start until they asked for their first event.
    pub init_ms: Durations,
    /// Running processes.
    pub processes: usize,
    /// Invocations that are running or waiting for a process.
    pub running: usize,
    /// Processor time used by the running processes, in milliseconds; 0 where the system doesn't report it.
    pub cpu_ms: f64,
    /// The highest memory use of any process, in MiB; 0 where the system doesn't report it.
    pub peak_memory_mb: f64,
    /// The function's memory limit in MB.
    pub memory_limit_mb: u64,
}

/// Percentiles of durations, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Durations {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

impl Durations {
    /// Computes the percentiles of these durations, rounded to hundredths of a millisecond.
    pub(crate) fn of<'a>(durations: impl IntoIterator<Item = &'a Duration>) -> Self {
        let mut sorted: Vec<_> = durations.into_iter().copied().collect();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let percentile = |percent: usize| {
            let at = last.saturating_mul(percent).div_ceil(100);
            sorted.get(at).map_or(0.0, |duration| {
                (duration.as_secs_f64() * 100_000.0).round() / 100.0
            })
        };
        Self {
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            max: percentile(100),
        }
    }
}

/// The status of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// Messages that can be received, now or after their delay.
    pub visible: u64,
    /// Messages that were received and not yet deleted.
    pub in_flight: u64,
    /// Messages in the dead-letter queue.
    pub dead_letters: u64,
}
