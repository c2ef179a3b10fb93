//! Arrivals over time.

use super::{Group, Work};
use crate::numbers::{real, whole};

/// The messages that arrive in each tick.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    /// Seconds of a tick.
    pub tick: f64,
    pub groups: Vec<Vec<Group>>,
}

impl Arrivals {
    /// Returns arrivals that all come at the beginning.
    pub(crate) fn at_once(tick: f64, groups: Vec<Group>) -> Self {
        Self {
            tick,
            groups: vec![groups],
        }
    }

    /// Returns arrivals for a number of seconds, at the rate and with the work that the functions return for the time since
    /// the beginning.
    pub(crate) fn at_rate(
        tick: f64,
        seconds: f64,
        rate: impl Fn(f64) -> f64,
        work: impl Fn(f64) -> Work,
    ) -> Self {
        let ticks = whole((seconds / tick).round());
        let mut carry = 0.0;
        let groups = (0..ticks).map(|at| {
            let middle = (real(at) + 0.5) * tick;
            carry += rate(middle) * tick;
            let count = whole(carry + 1e-9);
            carry -= real(count);
            let group = Group {
                count,
                work: work(middle),
            };
            if count > 0 { vec![group] } else { Vec::new() }
        });
        Self {
            tick,
            groups: groups.collect(),
        }
    }
}

/// Returns a rate for a number of arrivals within `seconds` in a wave that rises from nothing and falls back to it: a half
/// sine, whose peak is 1.57 times the mean.
pub(crate) fn spread(count: f64, seconds: f64) -> impl Fn(f64) -> f64 {
    let height = count / seconds * std::f64::consts::FRAC_PI_2;
    move |at| height * (std::f64::consts::PI * at / seconds).sin().max(0.0)
}
