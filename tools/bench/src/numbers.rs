//! Conversions between counts and measurements.

use std::time::Duration;

/// Converts a count; exact up to 2^53.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "there is no other way, and counts are far below 2^53"
)]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// Returns the nearest count; 0 for negative values.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there is no other way, and it saturates"
)]
pub(crate) fn whole(measure: f64) -> u64 {
    measure.round() as u64
}

/// Returns the length as a count.
pub(crate) fn count<T>(of: &[T]) -> u64 {
    u64::try_from(of.len()).unwrap_or(u64::MAX)
}

/// Converts a count to an index.
pub(crate) fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Returns a duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Returns the rate a second.
pub(crate) fn rate(count: u64, took: Duration) -> f64 {
    ratio(float(count), took.as_secs_f64())
}

/// Returns the quotient; 0 if the divisor is 0.
pub(crate) fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 0.0 }
}

/// Returns the median, which is the mean of the middle two of an even number; 0 without values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let middle = |at: usize| sorted.get(at).copied().unwrap_or_default();
    f64::midpoint(middle(last / 2), middle(last.div_ceil(2)))
}
