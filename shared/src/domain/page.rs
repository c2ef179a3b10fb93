//! Pages of a list.

use serde::Serialize;

use super::{Cursor, Reason};

/// How many items a page holds: 1 to 100, 20 unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    /// Parses `?limit=`.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        match text.parse() {
            Ok(limit @ 1..=100) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(limit)),
            _ => Err(Reason::new("must be a whole number from 1 to 100")),
        }
    }

    /// The number.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

/// A page in JSON: `{"items": […], "next": "<cursor>" | null}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page starts; nothing after the last one.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_on_both_sides() {
        for good in ["1", "20", "100", "007"] {
            assert!(Limit::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "0",
            "101",
            "",
            "-1",
            "+1",
            "1.5",
            "x",
            "99999999999999999999",
        ] {
            assert!(Limit::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Limit::default().get(), 20);
    }
}
