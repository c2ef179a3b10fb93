//! What arrives when.

use super::{Group, Work};
use crate::numbers::{real, whole};

/// What arrives in each tick.
#[derive(Debug, Clone)]
pub struct Arrivals {
    /// The length of a tick in seconds.
    pub tick: f64,
    /// The groups of each tick.
    pub groups: Vec<Vec<Group>>,
}

impl Arrivals {
    /// Everything at once, at the beginning.
    pub fn at_once(tick: f64, groups: Vec<Group>) -> Self {
        Self {
            tick,
            groups: vec![groups],
        }
    }

    /// As many a second as `rate` says of the time since the beginning, for so many seconds, each asking for
    /// what `work` says of that time.
    pub fn at_rate(
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

/// How many a second, if so many come within `seconds` in a wave that rises from nothing and falls to it: a
/// half sine, at its height 1.57 times the mean.
pub fn spread(count: f64, seconds: f64) -> impl Fn(f64) -> f64 {
    let height = count / seconds * std::f64::consts::FRAC_PI_2;
    move |at| height * (std::f64::consts::PI * at / seconds).sin().max(0.0)
}
