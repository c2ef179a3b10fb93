//! Conversions of numbers, and formats for readers.

/// Converts a count. Above 2^53 it is rounded, which is irrelevant here.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the standard library has no other way"
)]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// Returns the integer part, or 0 for negative values and NaN.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the standard library has no other way, and this one saturates"
)]
pub(crate) fn whole(value: f64) -> u64 {
    value as u64
}

/// Formats with thousands separators, and a few digits of small values: `1,234`, `0.012`.
pub(crate) fn readable(value: f64) -> String {
    if !value.is_finite() {
        return "never".to_owned();
    }
    let size = value.abs();
    if size >= 1e12 || (size < 0.001 && size > 0.0) {
        return format!("{value:.1e}");
    }
    let digits = match size {
        _ if size >= 100.0 || size == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text.as_str()
    };
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (units, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    format!("{sign}{}{rest}", group_digits(units))
}

/// Formats a count with thousands separators.
pub(crate) fn format_count(count: u64) -> String {
    group_digits(&count.to_string())
}

/// Groups digits in threes.
fn group_digits(digits: &str) -> String {
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats dollars and cents.
pub(crate) fn dollars(value: f64) -> String {
    let cents = whole((value.abs() * 100.0).round());
    format!(
        "${}.{:02}",
        group_digits(&(cents / 100).to_string()),
        cents % 100
    )
}

/// Formats a duration: `350 ms`, `12.0 s`, `4.5 min`, `3.6 h`, `2.1 days`.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 120.0 => format!("{seconds:.1} s"),
        _ if seconds < 7_200.0 => format!("{:.1} min", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{} days", readable(seconds / 86_400.0)),
    }
}

/// Formats an amount of memory or traffic.
pub(crate) fn bytes(value: f64) -> String {
    match value {
        _ if value < 1e3 => format!("{value:.0} B"),
        _ if value < 1e6 => format!("{:.1} KB", value / 1e3),
        _ if value < 1e9 => format!("{:.1} MB", value / 1e6),
        _ if value < 1e12 => format!("{:.1} GB", value / 1e9),
        _ => format!("{:.1} TB", value / 1e12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(readable(1_234_567.8), "1,234,568");
        assert_eq!(readable(-1_234.0), "-1,234");
        assert_eq!(readable(12.34), "12.3");
        assert_eq!(readable(0.0123), "0.012");
        assert_eq!(readable(0.0), "0");
        assert_eq!(readable(0.000_437), "4.4e-4");
        assert_eq!(readable(2.0), "2");
        assert_eq!(readable(100.0), "100");
        assert_eq!(readable(f64::INFINITY), "never");
        assert_eq!(dollars(1_234.567), "$1,234.57");
        assert_eq!(dollars(0.004), "$0.00");
        assert_eq!(duration(0.35), "350 ms");
        assert_eq!(duration(13_000.0), "3.6 h");
        assert_eq!(bytes(2_500.0), "2.5 KB");
    }

    #[test]
    fn negative_values_and_nan_are_no_count() {
        assert_eq!(whole(-3.0), 0);
        assert_eq!(whole(f64::NAN), 0);
        assert_eq!(whole(2.9), 2);
    }
}
