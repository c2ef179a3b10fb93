//! Numbers as people write them.

use std::str::FromStr;

/// A finite number that is not negative: `10000`, `10_000`, `10k`, `1.5m`, `2g`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount(pub f64);

/// A share from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.trim().replace(['_', ','], "");
        let lower = plain.to_lowercase();
        let suffixes = [("k", 1e3), ("m", 1e6), ("g", 1e9), ("b", 1e9)];
        let found = suffixes.iter().find_map(|(suffix, factor)| {
            let number = lower.strip_suffix(suffix)?;
            Some((number.to_owned(), *factor))
        });
        let (number, factor) = found.unwrap_or((lower, 1.0));
        let value = number.parse::<f64>().map_err(|_| {
            format!("{text} is not a number (such as 10000, 10_000, 10k, 1.5m or 2g)")
        })?;
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value * factor))
        } else {
            Err(format!("{text} must be finite and not negative"))
        }
    }
}

/// Parses an [`Amount`].
pub(crate) fn amount(text: &str) -> Result<f64, String> {
    text.parse().map(|Amount(value)| value)
}

/// Parses a [`Share`].
pub(crate) fn share(text: &str) -> Result<f64, String> {
    text.parse().map(|Share(value)| value)
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, factor) = match text.trim().strip_suffix('%') {
            Some(number) => (number, 0.01),
            None => (text, 1.0),
        };
        let Amount(value) = number.parse()?;
        if value * factor <= 1.0 {
            Ok(Self(value * factor))
        } else {
            Err(format!("{text} must be from 0 to 1, or up to 100%"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let amounts = [
            ("10_000", 1e4),
            ("10k", 1e4),
            ("1.5M", 1.5e6),
            ("0", 0.0),
            ("2g", 2e9),
        ];
        for (text, value) in amounts {
            assert_eq!(text.parse(), Ok(Amount(value)), "{text}");
        }
        assert_eq!("5%".parse(), Ok(Share(0.05)));
        for wrong in ["", "-1", "ten", "nan", "inf", "1e999"] {
            assert!(wrong.parse::<Amount>().is_err(), "{wrong}");
        }
        assert!("1.5".parse::<Share>().is_err());
    }
}
