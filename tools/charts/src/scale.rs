//! The position of a value on a linear or logarithmic axis.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

use crate::Axis;
use crate::numbers::short;

/// The largest value that is drawn: beyond, the difference of two values overflows.
const MOST: f64 = 1e150;

/// The number of powers of ten that a logarithmic axis shows at most below its largest value.
const MOST_DECADES: f64 = 15.0;

/// An axis between two ends. A logarithmic one is linear in the decimal logarithm.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    log: bool,
    ends: Range<f64>,
}

impl Scale {
    /// Returns an axis with room for these values. A linear axis includes zero.
    pub(crate) fn holding(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let values = values
            .filter(|value| value.is_finite())
            .map(|value| value.clamp(-MOST, MOST))
            .filter(|&value| !axis.log || value > 0.0)
            .map(|value| if axis.log { value.log10() } else { value });
        for value in values {
            low = low.min(value);
            high = high.max(value);
        }
        let ends = if low > high {
            0.0..1.0
        } else if axis.log {
            let top = (high + 0.02).ceil();
            let bottom = low.floor().max(top - MOST_DECADES);
            bottom..top.max(bottom + 1.0)
        } else {
            let (low, high) = (low.min(0.0), high.max(0.0));
            let room = 0.05 * (high - low);
            let room = if room > 0.0 { room } else { 1.0 };
            let bottom = if low < 0.0 { low - room } else { 0.0 };
            bottom..high + room
        };
        Self {
            log: axis.log,
            ends,
        }
    }

    /// Returns the position of a value, if it is finite.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        let value = if self.log {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        };
        Some(value.clamp(self.ends.start, self.ends.end))
    }

    /// Returns the value that bars stand on: the lower end of a logarithmic axis, or zero.
    pub(crate) fn base(&self) -> f64 {
        if self.log { self.ends.start } else { 0.0 }
    }

    fn even(&self) -> RangedCoordf64 {
        self.ends.clone().into()
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.even().map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if !self.log {
            return self.even().key_points(hint);
        }
        // Whole powers of ten, thinned evenly if they are too many.
        let most = hint.max_num_points().max(2);
        let mut step = 1.0;
        while (self.ends.end - self.ends.start) / step > crate::numbers::number(most) {
            step += 1.0;
        }
        let mut points = Vec::new();
        let mut point = self.ends.start;
        while point <= self.ends.end {
            points.push(point);
            point += step;
        }
        points
    }

    fn range(&self) -> Range<f64> {
        self.ends.clone()
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        short(if self.log {
            10_f64.powf(*value)
        } else {
            *value
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(log: bool, values: &[f64]) -> Scale {
        let axis = Axis {
            label: String::new(),
            log,
        };
        Scale::holding(&axis, values.iter().copied())
    }

    #[test]
    fn powers_of_ten_are_evenly_apart() {
        let scale = scale(true, &[0.0, 1.0, 900.0]);
        assert_eq!(scale.range(), 0.0..3.0);
        assert_eq!(scale.place(100.0), Some(2.0));
        assert_eq!(scale.place(0.0), Some(0.0));
        assert_eq!(scale.key_points(10_usize), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(scale.format_ext(&3.0), "1k");
    }

    #[test]
    fn linear_axes_begin_at_zero() {
        assert!(scale(false, &[5.0, 7.0]).range().start.abs() < 1e-9);
        assert!(scale(false, &[-5.0]).range().end > 0.0);
    }
}
