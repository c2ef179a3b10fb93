//! What came of a run.

use crate::numbers::real;

/// How things stood at the end of a tick.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Seconds since the beginning.
    pub at: f64,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages that are worked on, or failed and are not visible yet.
    pub in_flight: u64,
    /// Batches at work.
    pub running: u64,
    /// Messages done since the beginning.
    pub done: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Messages that came, follow-ups among them.
    pub arrived: u64,
    /// Messages done.
    pub done: u64,
    /// Messages that failed as often as they may.
    pub dead: u64,
    /// When nothing was left; nothing if the time was up before.
    pub drained_at: Option<f64>,
    /// The longest time from a message's arrival to its end, in seconds.
    pub worst_delay: f64,
    /// The sum of these times over all messages done, in seconds.
    pub delay_sum: f64,
    /// For how many seconds all workers were busy while messages waited.
    pub workers_short: f64,
    /// For how many seconds some batch waited for nothing but its share of the limit.
    pub limit_short: f64,
    /// The most units of the limit that a second asked for, granted or not.
    pub most_units_asked: f64,
    /// Tick by tick.
    pub samples: Vec<Sample>,
}

impl Outcome {
    /// The most messages that waited at a time.
    pub fn peak_backlog(&self) -> u64 {
        let waiting = self.samples.iter().map(|sample| sample.waiting);
        waiting.max().unwrap_or(0)
    }

    /// The most batches that were at work at a time.
    pub fn peak_running(&self) -> u64 {
        let running = self.samples.iter().map(|sample| sample.running);
        running.max().unwrap_or(0)
    }

    /// The mean time from arrival to end, in seconds.
    pub fn mean_delay(&self) -> f64 {
        self.delay_sum / real(self.done.max(1))
    }

    /// A line for a picture: what `of` says of some hundred samples, evenly chosen, and of the last.
    pub fn line(&self, of: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
        let step = self.samples.len().div_ceil(240).max(1);
        let last = self.samples.last();
        let mut line: Vec<(f64, f64)> = self
            .samples
            .iter()
            .step_by(step)
            .map(|sample| (sample.at, of(sample)))
            .collect();
        line.extend(last.map(|sample| (sample.at, of(sample))));
        line
    }
}
