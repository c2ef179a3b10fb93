//! Points in time: those that clients see, and those that order a caller's changes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Reason;

/// Milliseconds since the Unix epoch; RFC 3339 in UTC with milliseconds in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Returns the wall clock's time.
    pub fn now() -> Self {
        Self(i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX))
    }

    /// Creates a timestamp from milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Returns the whole seconds since the epoch, as DynamoDB's TTL wants them.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the time this many milliseconds later.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns the time this many seconds later.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_millis(seconds.saturating_mul(1000))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0).map_err(|_| std::fmt::Error)?;
        let text = DateTimePrinter::new()
            .precision(Some(3))
            .timestamp_to_string(&instant);
        f.write_str(&text)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let instant: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
        Ok(Self(instant.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The time at which an endpoint accepted a caller's change, in microseconds since the epoch. Between two changes of
/// the same edge, the one with the later version wins, in whatever order they are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Version(i64);

/// The latest version that this process issued.
static LAST: AtomicI64 = AtomicI64::new(0);

impl TryFrom<i64> for Version {
    type Error = Reason;

    /// Refuses times before 2024 or after 2100, which no message has.
    fn try_from(micros: i64) -> Result<Self, Reason> {
        const SECOND: i64 = 1_000_000;
        if (1_704_067_200 * SECOND..4_102_444_800 * SECOND).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(Reason::new("not a time in microseconds since the epoch"))
        }
    }
}

impl Version {
    /// Returns the wall clock's time, but later than every version this process issued before: the second of two
    /// successive requests has the later version, even if the clock went back in between.
    pub fn now() -> Self {
        let clock = i64::try_from(since_epoch().as_micros()).unwrap_or(i64::MAX);
        let next = |last: i64| clock.max(last.saturating_add(1));
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            Some(next(last))
        });
        Self(next(last.unwrap_or_default()))
    }

    /// Creates a version from microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Returns the first version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns this version or, if it is no later than the stored one, the first version after that.
    #[must_use]
    pub fn after(self, stored: Option<Self>) -> Self {
        stored.map_or(self, |stored| self.max(stored.next()))
    }

    /// Returns the time, to the millisecond.
    pub const fn timestamp(self) -> Timestamp {
        Timestamp(self.0.div_euclid(1000))
    }
}

/// The time of a caller's change, which decides which of two changes of the same thing is the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// Issued by the one clock that all instances share, and later than every such stamp of this caller before.
    Shared(Version),
    /// Read from this instance's clock, because the shared one was unavailable; it may differ from others' by seconds.
    Own(Version),
}

impl Stamp {
    /// Creates a stamp by this instance's clock.
    pub fn own() -> Self {
        Self::Own(Version::now())
    }

    /// Returns the stamp's version.
    pub const fn version(self) -> Version {
        match self {
            Self::Shared(version) | Self::Own(version) => version,
        }
    }

    /// Returns whether the stamp is only by this instance's clock.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Own(_))
    }
}

fn since_epoch() -> std::time::Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    #[cfg(feature = "shifted-clock")]
    let now = now.saturating_add(shifted_by());
    now
}

/// Returns how far this process's clock is ahead of the machine's, as a test sets in `CLOCK_AHEAD_MS`. No deployed
/// build reads it.
#[cfg(feature = "shifted-clock")]
fn shifted_by() -> std::time::Duration {
    static AHEAD: std::sync::LazyLock<std::time::Duration> = std::sync::LazyLock::new(|| {
        let ahead = std::env::var("CLOCK_AHEAD_MS").ok();
        let millis = ahead.and_then(|millis| millis.parse().ok());
        std::time::Duration::from_millis(millis.unwrap_or_default())
    });
    *AHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_increase_strictly() {
        let versions: Vec<Version> = (0..10_000).map(|_| Version::now()).collect();
        assert!(versions.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn version_is_later_than_the_stored_one() {
        let [early, late] = [1, 5].map(Version::from_micros);
        assert_eq!(late.after(None), late);
        assert_eq!(late.after(Some(early)), late);
        assert_eq!(early.after(Some(late)), late.next());
        assert_eq!(late.after(Some(late)), late.next());
    }

    #[test]
    fn implausible_version_is_refused() {
        assert!(serde_json::from_str::<Version>("1795249800123456").is_ok());
        for nowhere in ["0", "-1", "1795249800123", "9223372036854775807", "\"x\""] {
            assert!(
                serde_json::from_str::<Version>(nowhere).is_err(),
                "{nowhere}"
            );
        }
    }

    #[test]
    fn timestamps_print_as_rfc_3339_with_milliseconds() {
        let at = Timestamp::from_millis(1_795_249_800_123);
        assert_eq!(at.to_string(), "2026-11-21T08:30:00.123Z");
        assert_eq!(
            Timestamp::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
    }
}
