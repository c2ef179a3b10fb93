//! Time-ordered 64-bit ids.
//!
//! Layout, from the top: a zero bit (so that an id is a positive `i64`), 41 bits of milliseconds since
//! 2024-01-01T00:00:00Z (until 2093), 22 bits that start at random in each millisecond and count up within one process.
//! Two processes may, once in millions of ids, mint the same one: a writer stores an id on condition that it is new,
//! and mints another if it is not.
//!
//! As text: 13 digits of Crockford's base 32 in lower case, most significant first, so that texts
//! sort as the ids do. JavaScript can't hold 64 bits in a number, so JSON carries the text.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Reason, Timestamp};

const EPOCH_MILLIS: i64 = 1_704_067_200_000;
const RANDOM_BITS: u32 = 22;
const TEXT_LEN: usize = 13;
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A time-ordered 64-bit id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

impl Id {
    /// Returns the id's 64 bits, most significant byte first: they sort as the id does.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Creates an id from 64 bits; returns `None` if the top bit is set.
    pub const fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        Self::from_u64(u64::from_be_bytes(bytes))
    }

    /// Creates an id from a number; returns `None` if the top bit is set.
    pub const fn from_u64(bits: u64) -> Option<Self> {
        if bits >> 63 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Returns the time at which the id was minted, to the millisecond.
    pub fn created_at(self) -> Timestamp {
        let millis = i64::try_from(self.0 >> RANDOM_BITS).unwrap_or(i64::MAX);
        Timestamp::from_millis(millis.saturating_add(EPOCH_MILLIS))
    }

    /// Returns the smallest id of a millisecond, for ranges in time.
    pub fn first_of(at: Timestamp) -> Self {
        let millis = u64::try_from(at.millis().saturating_sub(EPOCH_MILLIS)).unwrap_or(0);
        Self((millis << RANDOM_BITS) & (u64::MAX >> 1))
    }

    /// Returns whether a text consists of 13 of the digits that ids are written in, even if no id has this text.
    pub(super) fn is_made_of_digits(text: &str) -> bool {
        text.len() == TEXT_LEN && text.bytes().all(|digit| DIGITS.contains(&digit))
    }

    /// Parses the 13-digit text.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        const BAD: Reason = Reason::new("not an id of this service");
        if text.len() != TEXT_LEN {
            return Err(BAD);
        }
        let mut bits = 0_u64;
        for (place, digit) in text.bytes().enumerate() {
            let value = DIGITS.iter().position(|&d| d == digit).ok_or(BAD)?;
            // 13 digits hold 65 bits, of which the top two are always zero.
            if place == 0 && value > 7 {
                return Err(BAD);
            }
            bits = (bits << 5) | u64::try_from(value).map_err(|_| BAD)?;
        }
        Self::from_u64(bits).ok_or(BAD)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; TEXT_LEN];
        for (place, digit) in text.iter_mut().rev().enumerate() {
            let value = usize::try_from((self.0 >> (5 * place)) & 31).unwrap_or(0);
            *digit = DIGITS.get(value).copied().unwrap_or(b'0');
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A source of ids, each later than the one before, within one process.
#[derive(Debug, Default)]
pub struct IdSource(AtomicU64);

impl IdSource {
    /// Creates a source that has minted nothing yet.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Mints an id that is later than every id this source minted before, even if the clock went back.
    pub fn mint(&self) -> Id {
        self.mint_at(Timestamp::now())
    }

    /// Mints an id of a given time that is also later than `known`, an id that another process minted.
    pub fn mint_after(&self, at: Timestamp, known: Option<Id>) -> Id {
        let known = known.map(|id| id.created_at().plus_millis(1));
        self.mint_at(known.map_or(at, |known| known.max(at)))
    }

    /// Mints an id as [`Self::mint`] does, but of a given time.
    pub fn mint_at(&self, at: Timestamp) -> Id {
        let millisecond = Id::first_of(at).0;
        // The top random bit stays clear, so that counting up has room for two million.
        let fresh = millisecond | u64::from(rand::random::<u32>() >> (32 - RANDOM_BITS + 1));
        let next = |last: u64| {
            if last >= millisecond {
                last.saturating_add(1)
            } else {
                fresh
            }
        };
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            });
        Id(next(last.unwrap_or_default()) & (u64::MAX >> 1))
    }
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Id);

        impl $name {
            /// Parses the text that clients hold.
            pub fn parse(text: &str) -> Result<Self, Reason> {
                Id::parse(text).map(Self)
            }

            /// Decodes the id from a position in a list ordered by ids; returns `None` for other bytes.
            pub fn at_position(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().and_then(Id::from_bytes).map(Self)
            }

            /// Returns the time of creation, to the millisecond.
            pub fn created_at(self) -> Timestamp {
                self.0.created_at()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Reason;
            fn from_str(text: &str) -> Result<Self, Reason> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
    };
}

id_type! {
    /// A post's id: sorts by the time of creation.
    PostId
}

id_type! {
    /// A cat's id: sorts by the time it was registered.
    CatId
}

id_type! {
    /// A comment's id: sorts by the time of creation.
    CommentId
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_round_trip_and_sort_as_text_and_as_bytes(a in 0..=u64::MAX >> 1, b in 0..=u64::MAX >> 1) {
            let (a, b) = (Id(a), Id(b));
            prop_assert_eq!(Id::parse(&a.to_string()), Ok(a));
            prop_assert_eq!(Id::from_bytes(a.to_bytes()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        }

        #[test]
        fn parsed_id_prints_as_its_text(text in "\\PC{0,20}") {
            if let Ok(id) = Id::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn minted_ids_increase_and_contain_the_time() {
        let source = IdSource::new();
        let before = Timestamp::now();
        let ids: Vec<Id> = (0..100_000).map(|_| source.mint()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids[0].created_at() >= before);
        assert!(ids[0].created_at() <= Timestamp::now());
    }
}
