//! Pages of a list.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Cursor, Reason, Version};

/// The largest page in bytes, as it stands inside the function's answer. The load balancer takes 1 MB
/// for the whole answer, with its headers.
const MAX_BYTES: usize = 900 * 1024;

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

/// A position in a list that is ordered by when its entries came to be in it, latest first: which entry, and
/// since when. Of two of the same moment the greater one comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since<T> {
    /// Since when.
    pub since: Version,
    /// Which entry.
    pub entry: T,
}

impl<T: fmt::Display> Since<T> {
    /// As a cursor holds it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.since.micros().to_be_bytes().to_vec();
        bytes.extend_from_slice(self.entry.to_string().as_bytes());
        bytes
    }
}

impl<T: FromStr> Since<T> {
    /// What a cursor holds; nothing for what is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (since, entry) = bytes.split_first_chunk()?;
        Some(Self {
            since: Version::from_micros(i64::from_be_bytes(*since)),
            entry: std::str::from_utf8(entry).ok()?.parse().ok()?,
        })
    }
}

/// A page in JSON: `{"items": […], "next": "<cursor>" | null}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    items: Vec<T>,
    next: Option<Cursor>,
}

impl<T: Serialize> Page<T> {
    /// A page of the list of that name: these items, in its order, and a cursor to the item after them if
    /// there are `more`. Where they are too large for one answer it holds fewer, at least one, and
    /// the next page goes on after them.
    pub fn new<P: AsRef<[u8]>>(
        list: &str,
        items: Vec<T>,
        more: bool,
        position: impl Fn(&T) -> P,
    ) -> Self {
        let with_position = |item| {
            let position = position(&item);
            (item, position)
        };
        Self::of(list, items.into_iter().map(with_position).collect(), more)
    }

    /// The same of items with their positions.
    pub fn of<P: AsRef<[u8]>>(list: &str, mut items: Vec<(T, P)>, more: bool) -> Self {
        let mut bytes = 0;
        let fit = items.iter().take_while(|(item, _)| {
            bytes += size(item);
            bytes <= MAX_BYTES
        });
        let fit = fit.count().max(1);
        let more = more || fit < items.len();
        items.truncate(fit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|(_, position)| Cursor::issue(list, position.as_ref()));
        Self {
            items: items.into_iter().map(|(item, _)| item).collect(),
            next,
        }
    }
}

/// An item's size in an answer, which is JSON inside JSON: quotes and backslashes are escaped again.
fn size(item: &impl Serialize) -> usize {
    let json = serde_json::to_vec(item).unwrap_or_default();
    json.len()
        + 1
        + json
            .iter()
            .filter(|byte| matches!(byte, b'"' | b'\\'))
            .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_too_large_for_one_answer_is_cut_and_goes_on() {
        let text = |n: usize| "x".repeat(n);
        let whole = Page::new(
            "list",
            vec![text(MAX_BYTES / 2 - 5), text(MAX_BYTES / 2 - 5)],
            false,
            |_| [0],
        );
        assert_eq!((whole.items.len(), whole.next), (2, None));
        let cut = Page::new(
            "list",
            vec![text(MAX_BYTES / 2 + 1), text(MAX_BYTES / 2)],
            false,
            |_| [0],
        );
        assert_eq!((cut.items.len(), cut.next.is_some()), (1, true));
        let huge = Page::new("list", vec![text(MAX_BYTES * 2)], false, |_| [0]);
        assert_eq!((huge.items.len(), huge.next), (1, None));
        assert_eq!(
            Page::new("list", Vec::<u8>::new(), false, |_| [0])
                .items
                .len(),
            0
        );
    }

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
