//! Resizes exactly as Pillow does, to the bit: a triangle filter, first along the rows, then along the columns, 8 bits
//! in between, weights in fixed point (`Resample.c`, `ImagingResample`). The network was trained on Pillow's pixels,
//! and even single grey levels change its answer.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, i32x4};

/// The binary places of a weight: Pillow's `PRECISION_BITS` for 8-bit samples.
const PLACES: u32 = 32 - 8 - 2;

/// The source pixels of a pixel of the result, with their weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Returns `side` by `side` RGB pixels, row by row, from a frame of the source. A row of the source has `width` pixels;
/// the frame is in pixels, along the rows and along the columns. A source that is stored on its side is resized along
/// the columns first: Pillow turns it before resizing, which makes them rows.
pub(super) fn resize(
    source: &[[u8; 3]],
    width: usize,
    across: &Range<f64>,
    down: &Range<f64>,
    side: usize,
    on_its_side: bool,
) -> Vec<[u8; 3]> {
    let width = width.max(1);
    let columns = taps(across, width, side);
    let rows = taps(down, source.len() / width, side);
    if on_its_side {
        along_rows(&along_columns(source, width, &rows), width, &columns)
    } else {
        along_columns(&along_rows(source, width, &columns), side.max(1), &rows)
    }
}

fn along_rows(source: &[[u8; 3]], width: usize, columns: &[Taps]) -> Vec<[u8; 3]> {
    dispatch!(Level::new(), simd => along_rows_simd(simd, source, width, columns))
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "as `dispatch!` needs it")]
fn along_rows_simd<S: Simd>(
    simd: S,
    source: &[[u8; 3]],
    width: usize,
    columns: &[Taps],
) -> Vec<[u8; 3]> {
    // Four numbers a pixel, one of them unused, so that a pixel is weighted at once.
    let mut wide = vec![[0; 4]; width];
    let mut result = Vec::with_capacity(source.len() / width * columns.len());
    for row in source.chunks_exact(width) {
        for (wide, &[r, g, b]) in wide.iter_mut().zip(row) {
            *wide = [r, g, b, 0].map(i32::from);
        }
        for Taps { first, weights } in columns {
            let pixels = wide.get(*first..).unwrap_or_default();
            let mut sum = i32x4::splat(simd, HALF);
            for (pixel, &weight) in pixels.iter().zip(weights) {
                sum += i32x4::load_array_ref(simd, pixel) * i32x4::splat(simd, weight);
            }
            let [r, g, b, _] = sum.into();
            result.push(rounded([r, g, b]));
        }
    }
    result
}

fn along_columns(source: &[[u8; 3]], width: usize, rows: &[Taps]) -> Vec<[u8; 3]> {
    let mut sums = vec![[0; 3]; width];
    let mut result = Vec::with_capacity(width * rows.len());
    for taps in rows {
        sums.fill([HALF; 3]);
        let lines = source.chunks_exact(width).skip(taps.first);
        for (line, &weight) in lines.zip(&taps.weights) {
            for (sum, &pixel) in sums.iter_mut().zip(line) {
                add(sum, pixel, weight);
            }
        }
        result.extend(sums.iter().copied().map(rounded));
    }
    result
}

/// A half in fixed point, for rounding.
const HALF: i32 = 1 << (PLACES - 1);

fn add([r, g, b]: &mut [i32; 3], pixel: [u8; 3], weight: i32) {
    let [red, green, blue] = pixel.map(i32::from);
    *r += red * weight;
    *g += green * weight;
    *b += blue * weight;
}

fn rounded(sum: [i32; 3]) -> [u8; 3] {
    sum.map(|sum| u8::try_from((sum >> PLACES).clamp(0, 255)).unwrap_or(u8::MAX))
}

/// Returns the taps of every pixel of the result along one axis, on which the source has `length` pixels.
fn taps(frame: &Range<f64>, length: usize, side: usize) -> Vec<Taps> {
    let scale = (frame.end - frame.start) / float(side);
    let support = scale.max(1.0);
    (0..side)
        .map(|place| {
            let centre = frame.start + (float(place) + 0.5) * scale;
            let first = whole(centre - support + 0.5).min(length.saturating_sub(1));
            let last = whole(centre + support + 0.5).clamp(first + 1, length.max(first + 1));
            let weight = |pixel| 1.0 - ((float(pixel) + 0.5 - centre) / support).abs();
            let weights: Vec<f64> = (first..last).map(|pixel| weight(pixel).max(0.0)).collect();
            let sum: f64 = weights.iter().sum();
            let one = f64::from(1 << PLACES);
            let weights = weights.iter().map(|weight| fixed(weight / sum * one));
            Taps {
                first,
                weights: weights.collect(),
            }
        })
        .collect()
}

/// Converts a number of pixels, which is always far below 2^32.
fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

/// Drops the fraction; negative numbers become 0.
#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn whole(number: f64) -> usize {
    number as usize
}

/// Rounds half up; weights are never negative.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation)]
fn fixed(weight: f64) -> i32 {
    (weight + 0.5) as i32
}
