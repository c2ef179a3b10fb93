//! How often, how long and with how much memory a function ran.

use std::collections::VecDeque;
use std::time::Duration;

/// How many durations the percentiles are of.
const KEPT: usize = 4_096;

/// Counts and durations of a function.
#[derive(Debug, Default)]
pub(crate) struct Measurements {
    pub(crate) invocations: u64,
    pub(crate) errors: u64,
    pub(crate) peak_memory_kb: u64,
    durations: VecDeque<Duration>,
    inits: VecDeque<Duration>,
}

impl Measurements {
    /// Takes one finished invocation.
    pub(crate) fn finished(&mut self, duration: Duration, failed: bool) {
        self.invocations = self.invocations.saturating_add(1);
        self.errors = self.errors.saturating_add(u64::from(failed));
        if self.durations.len() == KEPT {
            self.durations.pop_front();
        }
        self.durations.push_back(duration);
    }

    /// The durations, which are not kept any longer.
    pub(crate) fn take_durations(&mut self) -> Vec<Duration> {
        self.durations.drain(..).collect()
    }

    /// Takes a process's peak memory.
    pub(crate) fn memory(&mut self, kb: u64) {
        self.peak_memory_kb = self.peak_memory_kb.max(kb);
    }

    /// Takes one process's start, until it asked for its first event.
    pub(crate) fn initialised(&mut self, duration: Duration) {
        if self.inits.len() == KEPT {
            self.inits.pop_front();
        }
        self.inits.push_back(duration);
    }

    /// Durations in milliseconds: median, 90th and 99th percentile, longest.
    pub(crate) fn percentiles(&self) -> [f64; 4] {
        percentiles(&self.durations)
    }

    /// How long processes took to start, likewise.
    pub(crate) fn init_percentiles(&self) -> [f64; 4] {
        percentiles(&self.inits)
    }
}

fn percentiles(durations: &VecDeque<Duration>) -> [f64; 4] {
    let mut sorted: Vec<_> = durations.iter().copied().collect();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    [50, 90, 99, 100].map(|percent| {
        let at = last.saturating_mul(percent).div_ceil(100);
        sorted.get(at).map_or(0.0, |duration| {
            (duration.as_secs_f64() * 100_000.0).round() / 100.0
        })
    })
}

/// A process's peak resident memory in kB; unknown where there is no /proc.
pub(crate) fn peak_memory_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim_end().parse().ok()
}

/// What a process has computed so far, in all its threads that live; nothing where there is no /proc.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
