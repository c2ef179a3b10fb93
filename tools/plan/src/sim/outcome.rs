//! The outcome of a simulation.

use crate::numbers::real;

/// The state at the end of a tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Seconds since the beginning.
    pub at: f64,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages that are being handled, or failed and are not visible yet.
    pub in_flight: u64,
    /// Concurrent batches.
    pub running: u64,
    /// Messages handled since the beginning.
    pub done: u64,
}

/// The outcome of a simulation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Messages that arrived, including follow-ups.
    pub arrived: u64,
    /// Messages handled.
    pub done: u64,
    /// Messages whose every attempt failed.
    pub dead: u64,
    /// The second in which nothing was left; `None` if time was up before.
    pub drained_at: Option<f64>,
    /// The longest time from a message's arrival until it was handled, in seconds.
    pub worst_delay: f64,
    /// The sum of these times over all handled messages, in seconds.
    pub delay_sum: f64,
    /// Seconds in which all workers were busy while messages waited.
    pub workers_short: f64,
    /// Seconds in which some batch waited for nothing but its share of the limit.
    pub limit_short: f64,
    /// The most units of the limit that a second asked for, granted or not.
    pub most_units_asked: f64,
    /// The state after each tick.
    pub samples: Vec<Sample>,
}

impl Outcome {
    /// Returns the most messages that waited at a time.
    pub(crate) fn peak_backlog(&self) -> u64 {
        let waiting = self.samples.iter().map(|sample| sample.waiting);
        waiting.max().unwrap_or(0)
    }

    /// Returns the most concurrent batches.
    pub(crate) fn peak_running(&self) -> u64 {
        let running = self.samples.iter().map(|sample| sample.running);
        running.max().unwrap_or(0)
    }

    /// Returns the mean time from arrival until handled, in seconds.
    pub(crate) fn mean_delay(&self) -> f64 {
        self.delay_sum / real(self.done.max(1))
    }

    /// Returns the points of a chart: a value of some hundred evenly chosen samples, and of the last one.
    pub(crate) fn line(&self, of: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
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
