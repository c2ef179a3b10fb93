//! Numbers as labels of an axis.

/// Converts a count. Nothing drawn here comes near four billion.
pub(crate) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Formats a number briefly: `1.5k`, `650M`, `0.02`, `3e-9`.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    let (scaled, unit) = match size {
        _ if size >= 1e15 => return format!("{value:.0e}"),
        _ if size >= 1e12 => (value / 1e12, "T"),
        _ if size >= 1e9 => (value / 1e9, "G"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e3 => (value / 1e3, "k"),
        _ if size >= 1e-4 => (value, ""),
        _ if size > 0.0 => return format!("{value:.0e}"),
        _ => (0.0, ""),
    };
    let digits = if scaled.abs() >= 100.0 || scaled == 0.0 {
        0
    } else if scaled.abs() >= 1.0 {
        2
    } else {
        5
    };
    let text = format!("{scaled:.digits$}");
    if text.contains('.') {
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{text}{unit}")
    } else {
        format!("{text}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_are_short() {
        let expected = [
            (0.0, "0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (-20.0, "-20"),
            (1_500.0, "1.5k"),
            (650e6, "650M"),
            (0.02, "0.02"),
            (3e-9, "3e-9"),
            (1e18, "1e18"),
        ];
        for (value, text) in expected {
            assert_eq!(short(value), text);
        }
    }
}
