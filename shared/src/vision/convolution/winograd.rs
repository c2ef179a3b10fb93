//! Winograd's convolution F(2x2, 3x3): 16 multiplications where the definition has 36, after Lavin and Gray, "Fast
//! Algorithms for Convolutional Neural Networks", <https://arxiv.org/abs/1509.09308>, section 4.1.
//!
//! The result is computed in tiles of two by two pixels. The four by four pixels that a tile depends on are transformed
//! (`Bᵀ d B`), as the kernel was, once (`G g Gᵀ`). For each of the 16 places, this leaves a product of matrices: a row
//! for each tile, a column for each channel of the result. A last transform (`Aᵀ m A`) of the 16 products gives the
//! tile.

#![allow(
    clippy::indexing_slicing,
    reason = "an inner loop; positions follow from the shapes, which are checked"
)]

use fearless_simd::prelude::*;
use fearless_simd::{Simd, f32x16};
use tract_onnx::prelude::f16;

use super::map::{Epilogue, Map, Scratch, Window};
use super::matrix::{Columns, LANES, Matrix, Rows};

/// The number of places in a transformed tile.
const PLACES: usize = 16;

/// The number of values processed at a time, so that they stay in a cache: 1 MiB.
const VALUES: usize = 262_144;

/// The number of tiles from which this method is faster. The kernel grows to 16/9 of its size, and is read once for all
/// tiles.
const MIN_TILES: usize = 20;

/// The number of channels from which the transformed kernel is kept in half precision, to save memory: 6 of 12 MB in
/// `ResNet18`. Probabilities change by less than a thousandth.
const ROUNDED_CHANNELS: usize = 256;

pub(super) type Kernel = [Matrix; PLACES];

/// Returns true if this method can compute a convolution, and is faster.
pub(super) fn suits(window: &Window, height: usize, width: usize, channels: usize) -> bool {
    let tiles = height.div_ceil(2) * width.div_ceil(2);
    (window.side, window.stride, window.padding) == (3, 1, 1)
        && channels.is_multiple_of(LANES)
        && tiles >= MIN_TILES
}

/// Returns the transformed kernel.
pub(super) fn kernel(channels: usize, weights: Columns) -> Kernel {
    let transformed: Vec<[f32; PLACES]> = match weights {
        Columns::Single(weights) => kernels(weights, |weight| weight),
        Columns::Half(weights) => kernels(weights, f32::from),
    };
    let order: Vec<usize> = (0..channels).collect();
    std::array::from_fn(|place| {
        let weights = transformed.iter().map(|places| places[place]);
        if channels >= ROUNDED_CHANNELS {
            let weights: Vec<f16> = weights.map(f16::from_f32).collect();
            Matrix::new(Columns::Half(&weights), &order)
        } else {
            let weights: Vec<f32> = weights.collect();
            Matrix::new(Columns::Single(&weights), &order)
        }
    })
}

fn kernels<T: Copy>(weights: &[T], widen: impl Fn(T) -> f32) -> Vec<[f32; PLACES]> {
    let (kernels, _) = weights.as_chunks::<9>();
    kernels
        .iter()
        .map(|kernel| transform(&kernel.map(&widen)))
        .collect()
}

/// Computes `G g Gᵀ`.
fn transform(g: &[f32; 9]) -> [f32; PLACES] {
    let expand = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns = [0, 1, 2].map(|column| expand([g[column], g[3 + column], g[6 + column]]));
    let rows = [0, 1, 2, 3].map(|row| expand(columns.map(|column| column[row])));
    std::array::from_fn(|place| rows[place / 4][place % 4])
}

#[inline(always)]
pub(super) fn convolve<S: Simd>(
    simd: S,
    map: &Map,
    kernel: &Kernel,
    epilogue: &Epilogue,
    scratch: &mut Scratch,
    result: &mut [f32],
) {
    let outputs = kernel[0].columns();
    let columns = map.width.div_ceil(2);
    let tiles = map.height.div_ceil(2) * columns;
    let chunks = (tiles * PLACES * (map.channels + outputs)).div_ceil(VALUES);
    let chunk = tiles.div_ceil(chunks.max(1));
    // One cache line more than needed, as lines at distances of a power of two would displace each other.
    let (before, after) = (chunk * map.channels + LANES, chunk * outputs + LANES);
    let length = PLACES * (before + after) + map.channels;
    let (values, widened) = scratch.take(length);
    let (outside, planes) = values.split_at_mut(map.channels);
    let (left, product) = planes.split_at_mut(PLACES * before);
    outside.fill(0.0);

    for first in (0..tiles).step_by(chunk) {
        let count = chunk.min(tiles - first);
        for index in 0..count {
            let tile = first + index;
            let pixels = tile_pixels(map, outside, tile / columns, tile % columns);
            let mut transformed = places_mut(left, before, index * map.channels, map.channels);
            transform_pixels(simd, &pixels, &mut transformed);
        }
        for ((matrix, left), product) in kernel
            .iter()
            .zip(left.chunks_exact(before))
            .zip(product.chunks_exact_mut(after))
        {
            matrix.multiply(
                simd,
                &mut Rows {
                    count,
                    left,
                    product,
                },
                widened,
            );
        }
        for index in 0..count {
            let tile = first + index;
            let sums = places(product, after, index * outputs, outputs);
            let (row, column) = (2 * (tile / columns), 2 * (tile % columns));
            let at = (row * map.width + column) * outputs;
            // Drops the part of a tile that extends beyond the end of an odd side.
            let inside = (row + 1 < map.height, column + 1 < map.width);
            let targets = [
                Some(at),
                inside.1.then_some(at + outputs),
                inside.0.then_some(at + map.width * outputs),
                (inside.0 && inside.1).then_some(at + (map.width + 1) * outputs),
            ];
            transform_sums(simd, &sums, targets, epilogue, result);
        }
    }
}

/// Returns the four by four pixels that a tile depends on, with zeros outside the map.
#[inline(always)]
fn tile_pixels<'a>(
    map: &Map<'a>,
    outside: &'a [f32],
    row: usize,
    column: usize,
) -> [&'a [f32]; PLACES] {
    std::array::from_fn(|place| {
        // Coordinates in a map with a border of one pixel.
        let (y, x) = (2 * row + place / 4, 2 * column + place % 4);
        if (1..=map.height).contains(&y) && (1..=map.width).contains(&x) {
            let at = ((y - 1) * map.width + x - 1) * map.channels;
            &map.values[at..at + map.channels]
        } else {
            outside
        }
    })
}

/// Returns a tile's part in each of the 16 consecutive planes.
#[inline(always)]
fn places(planes: &[f32], stride: usize, at: usize, length: usize) -> [&[f32]; PLACES] {
    std::array::from_fn(|place| &planes[place * stride + at..][..length])
}

#[inline(always)]
fn places_mut(planes: &mut [f32], stride: usize, at: usize, length: usize) -> [&mut [f32]; PLACES] {
    let mut planes = planes.chunks_exact_mut(stride);
    std::array::from_fn(|_| {
        planes
            .next()
            .map(|plane| &mut plane[at..at + length])
            .unwrap_or_default()
    })
}

/// Computes `Bᵀ d B` for all channels.
#[inline(always)]
fn transform_pixels<S: Simd>(
    simd: S,
    pixels: &[&[f32]; PLACES],
    places: &mut [&mut [f32]; PLACES],
) {
    for channel in (0..pixels[0].len()).step_by(LANES) {
        let channels = channel..channel + LANES;
        let mut halfway = [f32x16::splat(simd, 0.0); PLACES];
        for column in 0..4 {
            let d0 = f32x16::from_slice(simd, &pixels[column][channels.clone()]);
            let d1 = f32x16::from_slice(simd, &pixels[4 + column][channels.clone()]);
            let d2 = f32x16::from_slice(simd, &pixels[8 + column][channels.clone()]);
            let d3 = f32x16::from_slice(simd, &pixels[12 + column][channels.clone()]);
            halfway[column] = d0 - d2;
            halfway[4 + column] = d1 + d2;
            halfway[8 + column] = d2 - d1;
            halfway[12 + column] = d1 - d3;
        }
        for row in [0, 4, 8, 12] {
            let (d0, d1) = (halfway[row], halfway[row + 1]);
            let (d2, d3) = (halfway[row + 2], halfway[row + 3]);
            (d0 - d2).store_slice(&mut places[row][channels.clone()]);
            (d1 + d2).store_slice(&mut places[row + 1][channels.clone()]);
            (d2 - d1).store_slice(&mut places[row + 2][channels.clone()]);
            (d1 - d3).store_slice(&mut places[row + 3][channels.clone()]);
        }
    }
}

/// Computes `Aᵀ m A` for all channels of the result, and applies the operations after a convolution.
#[inline(always)]
fn transform_sums<S: Simd>(
    simd: S,
    places: &[&[f32]; PLACES],
    [target0, target1, target2, target3]: [Option<usize>; 4],
    epilogue: &Epilogue,
    result: &mut [f32],
) {
    for channel in (0..places[0].len()).step_by(LANES) {
        let channels = channel..channel + LANES;
        let mut halfway = [f32x16::splat(simd, 0.0); 8];
        for column in 0..4 {
            let m0 = f32x16::from_slice(simd, &places[column][channels.clone()]);
            let m1 = f32x16::from_slice(simd, &places[4 + column][channels.clone()]);
            let m2 = f32x16::from_slice(simd, &places[8 + column][channels.clone()]);
            let m3 = f32x16::from_slice(simd, &places[12 + column][channels.clone()]);
            halfway[column] = m0 + m1 + m2;
            halfway[4 + column] = m1 - m2 - m3;
        }
        let [m0, m1, m2, m3, n0, n1, n2, n3] = halfway;
        if let Some(at) = target0 {
            epilogue.store(simd, m0 + m1 + m2, channel, at + channel, result);
        }
        if let Some(at) = target1 {
            epilogue.store(simd, m1 - m2 - m3, channel, at + channel, result);
        }
        if let Some(at) = target2 {
            epilogue.store(simd, n0 + n1 + n2, channel, at + channel, result);
        }
        if let Some(at) = target3 {
            epilogue.store(simd, n1 - n2 - n3, channel, at + channel, result);
        }
    }
}
