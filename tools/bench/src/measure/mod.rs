//! The measurements, each in a file of its own.

pub(crate) mod computing;
pub(crate) mod fan_out;
pub(crate) mod footprint;
pub(crate) mod likes;
pub(crate) mod mix;
pub(crate) mod posts;
pub(crate) mod push;
pub(crate) mod reads;
pub(crate) mod rebuild;

use crate::stage::Call;

/// The way a feed is read: from the feeds that posts were fanned out to, or by asking every author's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FeedStrategy {
    FanOut,
    Pull,
}

impl FeedStrategy {
    pub(crate) const BOTH: [Self; 2] = [Self::FanOut, Self::Pull];

    /// Returns both ways, in an order that alternates from round to round.
    pub(crate) const fn alternating(round: u32) -> [Self; 2] {
        if round.is_multiple_of(2) {
            [Self::FanOut, Self::Pull]
        } else {
            [Self::Pull, Self::FanOut]
        }
    }

    pub(crate) const fn call(self) -> Call {
        match self {
            Self::FanOut => Call::Feed,
            Self::Pull => Call::FeedByPull,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FanOut => "fan-out",
            Self::Pull => "pull",
        }
    }
}
