//! The rate limit of a caller.

use std::num::NonZeroU32;

use super::Reason;

/// A token bucket, which fills by `per_minute` tokens a minute, up to `burst`, and from which each call takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The calls a minute that are allowed in the long run.
    pub per_minute: NonZeroU32,
    /// The calls that are allowed at once after a rest.
    pub burst: NonZeroU32,
}

impl RateLimit {
    /// Parses `<calls a minute>/<at once>`, such as `600/300`; returns `None` for `off`.
    pub fn parse(text: &str) -> Result<Option<Self>, Reason> {
        const BAD: Reason =
            Reason::new("must be <calls a minute>/<at once>, such as 600/300, or off");
        if text == "off" {
            return Ok(None);
        }
        let (per_minute, burst) = text.split_once('/').ok_or(BAD)?;
        Ok(Some(Self {
            per_minute: per_minute.parse().map_err(|_| BAD)?,
            burst: burst.parse().map_err(|_| BAD)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limit_is_two_positive_numbers_or_off() {
        let limit = RateLimit::parse("600/300").unwrap().unwrap();
        assert_eq!((limit.per_minute.get(), limit.burst.get()), (600, 300));
        assert_eq!(RateLimit::parse("off"), Ok(None));
        for bad in [
            "",
            "600",
            "600/",
            "/300",
            "0/300",
            "600/0",
            "-1/2",
            "1.5/2",
            "600/300/1",
            "OFF",
            "4294967296/1",
        ] {
            assert!(RateLimit::parse(bad).is_err(), "{bad}");
        }
    }
}
