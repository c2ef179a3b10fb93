//! Cats.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Bio, BreedName, BreedProbability, CatId, Name, Picture, Reason, Timestamp, UserId};

/// The reason for refusing a cat's id that isn't the id of one of the caller's cats.
pub const NOT_YOUR_CAT: Reason = Reason::new("is not one of your cats");

/// A cat as stored. Its time of registration follows from its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cat {
    /// Its id.
    pub id: CatId,
    /// The owner.
    pub owner: UserId,
    /// The name.
    pub name: Name,
    /// One of the classifier's breeds by its id (see [`super::BREEDS`]), or whatever its owner calls it.
    pub breed: Option<Name>,
    /// The date of birth.
    pub birth_date: Option<BirthDate>,
    /// Its photo.
    pub photo: Option<Picture>,
    /// The owner's description of it.
    pub bio: Option<Bio>,
}

/// The changes of a `PATCH`: `None` leaves a field, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatEdit {
    /// The new name.
    pub name: Option<Name>,
    /// The new breed.
    pub breed: Option<Option<Name>>,
    /// The new date of birth.
    pub birth_date: Option<Option<BirthDate>>,
    /// The new photo.
    pub photo: Option<Option<Picture>>,
    /// The new text.
    pub bio: Option<Option<Bio>>,
}

impl CatEdit {
    /// Returns the cat after the edit.
    #[must_use]
    pub fn apply(self, to: Cat) -> Cat {
        Cat {
            name: self.name.unwrap_or(to.name),
            breed: self.breed.unwrap_or(to.breed),
            birth_date: self.birth_date.unwrap_or(to.birth_date),
            photo: self.photo.unwrap_or(to.photo),
            bio: self.bio.unwrap_or(to.bio),
            ..to
        }
    }
}

/// A cat in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Cat"))]
pub struct CatView {
    /// Its id.
    pub id: CatId,
    /// Its owner's id.
    pub owner: UserId,
    /// The name.
    pub name: Name,
    /// A classifier's breed id, or free text.
    pub breed: Option<Name>,
    /// The breed's names, if the classifier knows the breed.
    pub breed_name: Option<BreedName>,
    /// The date of birth.
    pub birth_date: Option<BirthDate>,
    /// The URL of its photo.
    pub photo_url: Option<String>,
    /// The owner's description of it.
    pub bio: Option<Bio>,
    /// The time of registration.
    pub created_at: Timestamp,
}

/// A newly registered cat.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "RegisteredCat"))]
pub struct RegisteredCat<'a> {
    /// The cat.
    #[serde(flatten)]
    pub cat: CatView,
    /// The classifier's guesses, most likely first: present if a photo was given and no breed, and
    /// empty if the classifier could not tell in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breed_suggestions: Option<&'a [BreedProbability]>,
}

/// A day of birth, `YYYY-MM-DD`: from 1970 until tomorrow in UTC, since somewhere it is tomorrow already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BirthDate(Date);

impl BirthDate {
    /// Parses a day, checked against the current time.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        Self::parse_at(text, Timestamp::now())
    }

    /// Parses a day, checked against `now`.
    fn parse_at(text: &str, now: Timestamp) -> Result<Self, Reason> {
        const BAD: Reason =
            Reason::new("must be a date, YYYY-MM-DD, from 1970-01-01 and not in the future");
        let spelt = text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        if text.len() != 10 || !spelt {
            return Err(BAD);
        }
        let date: Date = text.parse().map_err(|_| BAD)?;
        let now = jiff::Timestamp::from_millisecond(now.millis()).map_err(|_| BAD)?;
        let tomorrow = TimeZone::UTC.to_datetime(now).date().tomorrow();
        if date.year() >= 1970 && tomorrow.is_ok_and(|tomorrow| date <= tomorrow) {
            Ok(Self(date))
        } else {
            Err(BAD)
        }
    }
}

impl fmt::Display for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for BirthDate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-21T08:30:00.123Z.
    const NOW: Timestamp = Timestamp::from_millis(1_795_249_800_123);

    #[test]
    fn birth_dates_are_calendar_days_from_1970_to_tomorrow() {
        for good in ["1970-01-01", "2024-02-29", "2026-11-21", "2026-11-22"] {
            let date = BirthDate::parse_at(good, NOW);
            assert_eq!(date.unwrap().to_string(), good);
        }
        for bad in [
            "1969-12-31",
            "2026-11-23",
            "2023-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-1",
            "20261121",
            "2026-11-21T00:00:00Z",
            "2026/11/21",
            "",
            "tomorrow",
            "２026-11-2",
            "-026-11-21",
        ] {
            assert!(BirthDate::parse_at(bad, NOW).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsed_birth_date_prints_as_its_text(text in "[0-9-]{8,11}|\\PC{0,12}") {
            if let Ok(date) = BirthDate::parse_at(&text, NOW) {
                prop_assert_eq!(date.to_string(), text);
            }
        }
    }
}
