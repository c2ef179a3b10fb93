//! Latencies: recorded in histograms, reported as percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::{Result, wrong};
use crate::numbers::{count, float, index, median, millis};

/// Significant digits of a latency.
const DIGITS: u8 = 3;
/// The longest latency that is recorded exactly, in microseconds: ten minutes, longer than any request may take.
const LONGEST_MICROS: u64 = 600_000_000;

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Percentiles {
    /// Returns the exact percentiles of durations.
    pub(crate) fn of(durations: &[Duration]) -> Self {
        let mut sorted = durations.to_vec();
        sorted.sort_unstable();
        let last = count(&sorted).saturating_sub(1);
        let at = |percent: u64| {
            let rank = index(last.saturating_mul(percent).div_ceil(100));
            sorted.get(rank).copied().map_or(0.0, millis)
        };
        Self {
            count: count(&sorted),
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max: at(100),
        }
    }

    /// Returns the median of each percentile over rounds, with the sum of the counts and the largest maximum.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| median(rounds.iter().map(part));
        Self {
            count: rounds.iter().map(|round| round.count).sum(),
            p50: of(|round| round.p50),
            p95: of(|round| round.p95),
            p99: of(|round| round.p99),
            max: rounds.iter().map(|round| round.max).fold(0.0, f64::max),
        }
    }
}

/// Latencies of one round.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    /// Microseconds.
    histogram: Histogram<u64>,
    /// Wrong answers, which the histogram lacks.
    pub(crate) errors: Vec<String>,
    /// The entries of the histogram that are calls due but never made.
    pub(crate) unmade: u64,
}

impl Latencies {
    pub(crate) fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            histogram,
            errors: Vec::new(),
            unmade: 0,
        })
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(micros);
    }

    pub(crate) fn add(&mut self, other: Self) -> Result<()> {
        self.errors.extend(other.errors);
        self.unmade = self.unmade.saturating_add(other.unmade);
        let added = self.histogram.add(&other.histogram);
        added.map_err(|error| wrong(error.to_string()))
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |quantile| float(self.histogram.value_at_quantile(quantile)) / 1000.0;
        Percentiles {
            count: self.histogram.len(),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}
