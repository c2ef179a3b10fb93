//! Computes any convolution: the values that a pixel of the result depends on become a row, and the rows are multiplied
//! by the kernel.

#![allow(
    clippy::indexing_slicing,
    reason = "an inner loop; positions follow from the shapes, which are checked"
)]

use fearless_simd::prelude::*;
use fearless_simd::{Simd, f32x16};

use super::map::{Epilogue, Map, Scratch, Window};
use super::matrix::{Columns, LANES, Matrix, Rows};

/// The approximate number of values in the rows built at a time, so that they stay in a cache, and the minimum and
/// maximum number of these rows. The kernel is read once for all of them: the deepest layers have 36 rows in all.
const VALUES: usize = 65_536;
const MIN_ROWS: usize = 36;
const MAX_ROWS: usize = 96;

/// Returns the kernel as a matrix: a column for each channel of the result, with its values from top to bottom in the
/// order of a window's values in a [`Map`].
pub(super) fn kernel(window: &Window, channels: usize, weights: Columns) -> Matrix {
    let area = window.side * window.side;
    let order: Vec<usize> = (0..area)
        .flat_map(|place| (0..channels).map(move |channel| channel * area + place))
        .collect();
    Matrix::new(weights, &order)
}

#[inline(always)]
pub(super) fn convolve<S: Simd>(
    simd: S,
    map: &Map,
    window: &Window,
    kernel: &Matrix,
    epilogue: &Epilogue,
    scratch: &mut Scratch,
    result: &mut [f32],
) {
    let (height, width) = window.results(map);
    let (depth, outputs) = (kernel.depth(), kernel.columns());
    let pixels = height * width;
    let chunk = (VALUES / depth).clamp(MIN_ROWS, MAX_ROWS).min(pixels);
    let (values, widened) = scratch.take(chunk * (depth + outputs));
    let (left, product) = values.split_at_mut(chunk * depth);

    for first in (0..pixels).step_by(chunk) {
        let count = chunk.min(pixels - first);
        for (pixel, row) in (first..first + count).zip(left.chunks_exact_mut(depth)) {
            gather(map, window, pixel / width, pixel % width, row);
        }
        kernel.multiply(
            simd,
            &mut Rows {
                count,
                left,
                product,
            },
            widened,
        );
        for (pixel, sums) in (first..first + count).zip(product.chunks_exact(outputs)) {
            let at = pixel * outputs;
            for channel in (0..outputs).step_by(LANES) {
                let sum = f32x16::from_slice(simd, &sums[channel..channel + LANES]);
                epilogue.store(simd, sum, channel, at + channel, result);
            }
        }
    }
}

/// Copies the values in the window of a pixel of the result, with zeros outside the map.
fn gather(map: &Map, window: &Window, row: usize, column: usize, values: &mut [f32]) {
    let channels = map.channels;
    // The window's start in the padded map; then, in the window, the part that is inside the map.
    let left = column * window.stride;
    let from = window.padding.saturating_sub(left).min(window.side);
    let to = window
        .side
        .min((map.width + window.padding).saturating_sub(left))
        .max(from);
    for (line, values) in values.chunks_exact_mut(window.side * channels).enumerate() {
        let y = (row * window.stride + line)
            .checked_sub(window.padding)
            .filter(|&y| y < map.height);
        let Some(y) = y.filter(|_| from < to) else {
            values.fill(0.0);
            continue;
        };
        let at = (y * map.width + left + from - window.padding) * channels;
        values[..from * channels].fill(0.0);
        values[from * channels..to * channels]
            .copy_from_slice(&map.values[at..at + (to - from) * channels]);
        values[to * channels..].fill(0.0);
    }
}
