//! Maps of features, the operations after a convolution, and the maximum over windows.

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, f32x16};

use super::matrix::{LANES, Widened};

/// Features of an image: row by row, the channels of a pixel together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Map<'a> {
    pub(super) values: &'a [f32],
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

/// The square that moves over a map, its stride, and the padding of the map, the same on all sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) side: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    /// Returns the number of the window's positions along a side.
    pub(super) fn places(&self, side: usize) -> usize {
        (side + 2 * self.padding).saturating_sub(self.side) / self.stride + 1
    }

    /// Returns the height and width of the window's result for a map.
    pub(super) fn results(&self, map: &Map) -> (usize, usize) {
        (self.places(map.height), self.places(map.width))
    }
}

/// The operations after a convolution.
pub(super) struct Epilogue<'a> {
    pub(super) bias: &'a [f32],
    /// Values to be added to the result.
    pub(super) residual: Option<&'a [f32]>,
    /// Whether negative results become zero.
    pub(super) relu: bool,
}

impl Epilogue<'_> {
    /// Applies the operations to the sums for some channels of a pixel, and stores them in the result.
    #[inline(always)]
    #[allow(
        clippy::indexing_slicing,
        reason = "an inner loop; positions follow from the shapes, which are checked"
    )]
    pub(super) fn store<S: Simd>(
        &self,
        simd: S,
        sums: f32x16<S>,
        channel: usize,
        at: usize,
        result: &mut [f32],
    ) {
        let mut sums = sums + f32x16::from_slice(simd, &self.bias[channel..channel + LANES]);
        if let Some(residual) = self.residual {
            sums += f32x16::from_slice(simd, &residual[at..at + LANES]);
        }
        if self.relu {
            sums = sums.max(f32x16::splat(simd, 0.0));
        }
        sums.store_slice(&mut result[at..at + LANES]);
    }
}

/// Memory for the intermediate values of a convolution, a few megabytes at most. Allocating it each time would take longer
/// than some of the steps.
#[derive(Default)]
pub(super) struct Scratch {
    values: Vec<f32>,
    widened: Widened,
}

impl Scratch {
    /// Returns memory for this many values, whose content is arbitrary, and for products.
    #[allow(clippy::indexing_slicing, reason = "it has just been made long enough")]
    pub(super) fn take(&mut self, length: usize) -> (&mut [f32], &mut Widened) {
        self.values.resize(length.max(self.values.len()), 0.0);
        (&mut self.values[..length], &mut self.widened)
    }
}

/// Computes the maximum over each window, for each channel by itself.
pub(super) fn max_pool(level: Level, map: &Map, window: &Window, result: &mut [f32]) {
    dispatch!(level, simd => max_pool_simd(simd, map, window, result));
}

#[inline(always)]
fn max_pool_simd<S: Simd>(_: S, map: &Map, window: &Window, result: &mut [f32]) {
    let (_, width) = window.results(map);
    // The part of a window that is inside the map.
    let range = |place: usize, side: usize| {
        let start = place * window.stride;
        start.saturating_sub(window.padding)
            ..(start + window.side)
                .saturating_sub(window.padding)
                .min(side)
    };
    for (pixel, result) in result.chunks_exact_mut(map.channels).enumerate() {
        result.fill(f32::NEG_INFINITY);
        for y in range(pixel / width, map.height) {
            for x in range(pixel % width, map.width) {
                let at = (y * map.width + x) * map.channels;
                for (result, value) in result.iter_mut().zip(map.values.iter().skip(at)) {
                    *result = if *value > *result { *value } else { *result };
                }
            }
        }
    }
}
