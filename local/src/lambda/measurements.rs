//! Counts, durations and memory use of a function.

use std::collections::VecDeque;
use std::time::Duration;

use crate::status::Durations;

/// The number of latest durations from which percentiles are computed.
const MAX_DURATIONS: usize = 4_096;

/// The measurements of one function.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    pub(super) invocations: u64,
    pub(super) errors: u64,
    pub(super) peak_memory_kb: u64,
    durations: VecDeque<Duration>,
    starts: VecDeque<Duration>,
}

impl Measurements {
    /// Records a finished invocation.
    pub(super) fn record_invocation(&mut self, duration: Duration, failed: bool) {
        self.invocations = self.invocations.saturating_add(1);
        self.errors = self.errors.saturating_add(u64::from(failed));
        push(&mut self.durations, duration);
    }

    /// Records the time a process took to ask for its first event.
    pub(super) fn record_start(&mut self, duration: Duration) {
        push(&mut self.starts, duration);
    }

    /// Records a process's peak memory.
    pub(super) fn record_memory(&mut self, kb: u64) {
        self.peak_memory_kb = self.peak_memory_kb.max(kb);
    }

    /// Removes and returns the recorded durations of invocations.
    pub(super) fn take_durations(&mut self) -> Vec<Duration> {
        self.durations.drain(..).collect()
    }

    pub(super) fn invocation_durations(&self) -> Durations {
        Durations::of(&self.durations)
    }

    pub(super) fn start_durations(&self) -> Durations {
        Durations::of(&self.starts)
    }
}

fn push(durations: &mut VecDeque<Duration>, duration: Duration) {
    if durations.len() == MAX_DURATIONS {
        durations.pop_front();
    }
    durations.push_back(duration);
}

/// Returns a process's peak resident memory in kB, or `None` where there is no /proc.
pub(super) fn peak_memory_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim_end().parse().ok()
}

/// Returns the processor time used by all living threads of a process, or zero where there is no /proc.
pub(super) fn cpu_time(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
