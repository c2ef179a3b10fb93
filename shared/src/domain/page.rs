//! Pages of a list.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Serialize;
use serde_json::value::RawValue;

use super::presentation::json;
use super::{Cursor, Reason, Version};

/// The maximum size of a page in bytes, as escaped inside the function's answer. The load balancer takes 1 MB for the
/// whole answer, with its headers.
const MAX_BYTES: usize = 900 * 1024;

/// The number of items on a page: 1 to 100, 20 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    /// The maximum number of items on a page.
    pub const MAX: u8 = 100;

    /// Parses `?limit=`.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        match text.parse() {
            Ok(limit @ 1..=Self::MAX) if text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self(limit))
            }
            _ => Err(Reason::new("must be a whole number from 1 to 100")),
        }
    }

    /// Returns the number.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

/// A position in a list whose entries are ordered by the time they were added, latest first. Of two entries of the same
/// time the greater one comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedPosition<T> {
    /// The time at which the entry was added to the list.
    pub since: Version,
    /// The entry.
    pub entry: T,
}

impl<T: fmt::Display> TimedPosition<T> {
    /// Encodes the position for a cursor.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.since.micros().to_be_bytes().to_vec();
        bytes.extend_from_slice(self.entry.to_string().as_bytes());
        bytes
    }
}

impl<T: FromStr> TimedPosition<T> {
    /// Decodes the position from a cursor; returns `None` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (since, entry) = bytes.split_first_chunk()?;
        Some(Self {
            since: Version::from_micros(i64::from_be_bytes(*since)),
            entry: std::str::from_utf8(entry).ok()?.parse().ok()?,
        })
    }
}

/// A segment of a list: some of its entries with their positions, and the position where the list continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<T, P> {
    /// The entries that the caller may see, in the list's order.
    pub items: Vec<(T, P)>,
    /// The position of the segment's last entry, visible or not; `None` at the end of the list.
    pub end: Option<P>,
}

/// A page in JSON: `{"items": […], "next": "<cursor>" | null}`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "{T}Page"))]
pub struct Page<T> {
    /// The items of this page.
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<T>"))]
    items: Vec<Box<RawValue>>,
    /// `?cursor=` of the next page; null at the end of the list.
    next: Option<Cursor>,
    #[serde(skip)]
    of: PhantomData<T>,
}

impl<T, P> Segment<T, P> {
    /// Creates a segment whose positions follow from its items. The list continues after `end`.
    pub fn new(items: Vec<T>, end: Option<P>, position: impl Fn(&T) -> P) -> Self {
        let placed = |item| {
            let position = position(&item);
            (item, position)
        };
        let items = items.into_iter().map(placed).collect();
        Self { items, end }
    }

    /// Creates a segment of the first `most` items. The others only show that the list continues.
    pub fn first(most: usize, mut items: Vec<T>, position: impl Fn(&T) -> P) -> Self {
        let more = items.len() > most;
        items.truncate(most);
        let end = items.last().filter(|_| more).map(&position);
        Self::new(items, end, position)
    }
}

impl<T: Serialize> Page<T> {
    /// Creates a page that holds a whole list.
    pub fn whole(items: &[T]) -> Self {
        Self {
            items: items.iter().map(json).collect(),
            next: None,
            of: PhantomData,
        }
    }

    /// Creates a page of the list named `list`. Its cursor holds the position where the list continues, encoded by
    /// `bytes`. If the items are too large for one answer, the page holds fewer, at least one, and the next page
    /// continues after them.
    pub fn new<P, B: AsRef<[u8]>>(
        list: &str,
        segment: Segment<T, P>,
        bytes: impl Fn(&P) -> B,
    ) -> Self {
        let Segment { items, end } = segment;
        let mut size = 0;
        let mut written = Vec::with_capacity(items.len());
        for (item, _) in &items {
            let item = json(item);
            size += size_in_answer(&item);
            if size > MAX_BYTES && !written.is_empty() {
                break;
            }
            written.push(item);
        }
        let continues_after = match items.get(..written.len()) {
            Some([.., (_, position)]) if written.len() < items.len() => Some(position),
            _ => end.as_ref(),
        };
        Self {
            next: continues_after.map(|position| Cursor::issue(list, bytes(position).as_ref())),
            items: written,
            of: PhantomData,
        }
    }
}

/// Returns an item's size in an answer, which is JSON inside JSON: quotes and backslashes are escaped again.
fn size_in_answer(item: &RawValue) -> usize {
    let json = item.get();
    let escaped = json.bytes().filter(|byte| matches!(byte, b'"' | b'\\'));
    json.len() + 1 + escaped.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oversized_page_is_truncated_and_has_a_cursor() {
        let page = |sizes: &[usize]| {
            let items = sizes.iter().map(|&n| "x".repeat(n)).collect();
            let page = Page::new("list", Segment::new(items, None, |_| 0_u8), |at| [*at]);
            (page.items.len(), page.next.is_some())
        };
        assert_eq!(page(&[MAX_BYTES / 2 - 5, MAX_BYTES / 2 - 5]), (2, false));
        assert_eq!(page(&[MAX_BYTES / 2 + 1, MAX_BYTES / 2]), (1, true));
        assert_eq!(page(&[MAX_BYTES * 2]), (1, false));
        assert_eq!(page(&[]), (0, false));
    }

    #[test]
    fn limits_from_1_to_100_are_accepted() {
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
