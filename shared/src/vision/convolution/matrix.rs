//! Products of matrices, on which a network spends nearly all its time.

#![allow(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    reason = "an inner loop; lengths are checked once before it, so that the compiler drops the other checks"
)]

use std::fmt::{self, Debug, Formatter};

use fearless_simd::prelude::*;
use fearless_simd::{Simd, f32x16, i16x16, i32x16};
use tract_onnx::prelude::f16;

/// The number of columns processed together, whatever the width of the processor's registers.
pub(super) const LANES: usize = 16;

/// The numbers of blocks of columns, with AVX-512 and with narrower registers, and of rows that are summed at a time,
/// so that the sums stay in registers.
const WIDE: usize = 4;
const NARROW: usize = 1;
const ROWS: usize = 6;

/// The number of steps of the depth that are computed before the next rows: `WIDE` blocks of this depth stay in a cache
/// while all rows pass.
const DEPTH: usize = 128;

type Block<T> = [T; LANES];

/// A constant right-hand side of products.
pub(super) struct Matrix {
    depth: usize,
    columns: usize,
    values: Values,
}

/// The values of each block of columns, from top to bottom.
enum Values {
    Single(Vec<Block<f32>>),
    /// Takes half the memory, and is widened where it is used.
    Half(Vec<Block<Shifted>>),
}

/// The values of a matrix, column by column.
#[derive(Clone, Copy)]
pub(super) enum Columns<'a> {
    Single(&'a [f32]),
    /// Finite numbers.
    Half(&'a [f16]),
}

/// The left-hand side and the product, both row by row.
pub(super) struct Rows<'a> {
    pub(super) count: usize,
    pub(super) left: &'a [f32],
    pub(super) product: &'a mut [f32],
}

/// Memory for widened values.
pub(super) struct Widened(Vec<Block<f32>>);

/// The part of a product that is being computed.
#[derive(Clone, Copy)]
struct Part {
    block: usize,
    row: usize,
    depth: usize,
    steps: usize,
}

impl Matrix {
    /// Creates a matrix with a multiple of [`LANES`] columns. For each depth, `order` gives the place of the value in a
    /// column.
    pub(super) fn new(columns: Columns, order: &[usize]) -> Self {
        let (count, values) = match columns {
            Columns::Single(values) => (
                values.len(),
                Values::Single(pack(values, order, |value| value)),
            ),
            Columns::Half(values) => (values.len(), pack_half(values, order)),
        };
        Self {
            depth: order.len(),
            columns: count / order.len(),
            values,
        }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Multiplies rows by the matrix.
    #[inline(always)]
    pub(super) fn multiply<S: Simd>(&self, simd: S, rows: &mut Rows, widened: &mut Widened) {
        let blocks = self.columns / LANES;
        let mut block = 0;
        if S::f32s::LEN == LANES {
            while block + WIDE <= blocks {
                self.strip::<S, WIDE>(simd, block, rows, widened);
                block += WIDE;
            }
        }
        while block < blocks {
            self.strip::<S, NARROW>(simd, block, rows, widened);
            block += NARROW;
        }
    }

    /// Multiplies rows by `B` blocks of columns. Divides the rows evenly, as a part of fewer than [`ROWS`] uses the
    /// processor less.
    ///
    /// Widens values in half precision with the first rows: memory delivers them while the sums are computed.
    #[inline(always)]
    fn strip<S: Simd, const B: usize>(
        &self,
        simd: S,
        block: usize,
        rows: &mut Rows,
        Widened(widened): &mut Widened,
    ) {
        let panels = rows.count.div_ceil(ROWS);
        for depth in (0..self.depth).step_by(DEPTH) {
            let steps = DEPTH.min(self.depth - depth);
            let start = |index: usize| (block + index) * self.depth + depth;
            for panel in 0..panels {
                let row = panel * rows.count / panels;
                let next = (panel + 1) * rows.count / panels;
                let part = Part {
                    block,
                    row,
                    depth,
                    steps,
                };
                match &self.values {
                    Values::Half(values) if panel == 0 => {
                        let values: [&[Block<Shifted>]; B] =
                            std::array::from_fn(|index| &values[start(index)..][..steps]);
                        let mut chunks = widened.chunks_exact_mut(DEPTH);
                        let mut wide: [&mut [Block<f32>]; B] = std::array::from_fn(|_| {
                            chunks
                                .next()
                                .map(|wide| &mut wide[..steps])
                                .unwrap_or_default()
                        });
                        self.rows::<S, B>(
                            simd,
                            next - row,
                            part,
                            rows,
                            #[inline(always)]
                            |step| {
                                let mut right = [f32x16::splat(simd, 0.0); B];
                                for index in 0..B {
                                    right[index] = widen(simd, &values[index][step]);
                                    right[index].store_array(&mut wide[index][step]);
                                }
                                right
                            },
                        );
                    }
                    values => {
                        let blocks: [&[Block<f32>]; B] =
                            std::array::from_fn(|index| match values {
                                Values::Single(values) => &values[start(index)..][..steps],
                                Values::Half(_) => &widened[index * DEPTH..][..steps],
                            });
                        self.rows::<S, B>(
                            simd,
                            next - row,
                            part,
                            rows,
                            #[inline(always)]
                            |step| {
                                let mut right = [f32x16::splat(simd, 0.0); B];
                                for index in 0..B {
                                    right[index] =
                                        f32x16::load_array_ref(simd, &blocks[index][step]);
                                }
                                right
                            },
                        );
                    }
                }
            }
        }
    }

    /// Multiplies up to [`ROWS`] rows, over a part of the depth. `right` returns the values of each step.
    #[inline(always)]
    fn rows<S: Simd, const B: usize>(
        &self,
        simd: S,
        count: usize,
        part: Part,
        rows: &mut Rows,
        right: impl FnMut(usize) -> [f32x16<S>; B],
    ) {
        match count {
            6 => self.panel::<S, B, 6>(simd, part, rows, right),
            5 => self.panel::<S, B, 5>(simd, part, rows, right),
            4 => self.panel::<S, B, 4>(simd, part, rows, right),
            3 => self.panel::<S, B, 3>(simd, part, rows, right),
            2 => self.panel::<S, B, 2>(simd, part, rows, right),
            _ => self.panel::<S, B, 1>(simd, part, rows, right),
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const B: usize, const R: usize>(
        &self,
        simd: S,
        part: Part,
        rows: &mut Rows,
        mut right: impl FnMut(usize) -> [f32x16<S>; B],
    ) {
        let left: [&[f32]; R] = std::array::from_fn(|row| {
            &rows.left[(part.row + row) * self.depth + part.depth..][..part.steps]
        });
        let product = &mut rows.product[part.row * self.columns + part.block * LANES..];

        let mut sums = [[f32x16::splat(simd, 0.0); R]; B];
        if part.depth > 0 {
            for row in 0..R {
                for block in 0..B {
                    let at = row * self.columns + block * LANES;
                    sums[block][row] = f32x16::from_slice(simd, &product[at..at + LANES]);
                }
            }
        }
        for step in 0..part.steps {
            let right = right(step);
            for row in 0..R {
                let factor = f32x16::splat(simd, left[row][step]);
                for block in 0..B {
                    sums[block][row] = right[block].mul_add(factor, sums[block][row]);
                }
            }
        }
        for row in 0..R {
            for block in 0..B {
                let at = row * self.columns + block * LANES;
                sums[block][row].store_slice(&mut product[at..at + LANES]);
            }
        }
    }
}

fn pack<T: Copy, U>(columns: &[T], order: &[usize], keep: impl Fn(T) -> U) -> Vec<Block<U>> {
    let columns: Vec<&[T]> = columns.chunks_exact(order.len()).collect();
    let (groups, _) = columns.as_chunks::<LANES>();
    let mut blocks = Vec::with_capacity(groups.len() * order.len());
    for group in groups {
        blocks.extend(order.iter().map(|&at| group.map(|column| keep(column[at]))));
    }
    blocks
}

/// Keeps half precision, unless a value is too large for a [`Shifted`].
fn pack_half(columns: &[f16], order: &[usize]) -> Values {
    if columns.iter().all(|&value| shift(value).is_some()) {
        Values::Half(pack(columns, order, |value| {
            shift(value).unwrap_or_default()
        }))
    } else {
        Values::Single(pack(columns, order, f32::from))
    }
}

/// The bits of `2^SHIFT` times a number, in half precision. With this factor none is subnormal, and widening takes four
/// steps for many numbers at once.
type Shifted = i16;

const SHIFT: u16 = 10;

/// Converts a number; `None` if it is not finite or its magnitude is 64 or more.
fn shift(value: f16) -> Option<Shifted> {
    let bits = value.to_bits();
    let shifted = match (bits >> 10) & 31 {
        0 => f16::from_f32(f32::from(value) * f32::from(1_u16 << SHIFT)).to_bits(),
        exponent if exponent + SHIFT < 31 => bits + (SHIFT << 10),
        _ => return None,
    };
    Some(shifted.cast_signed())
}

#[inline(always)]
fn widen<S: Simd>(simd: S, values: &Block<Shifted>) -> f32x16<S> {
    // Moves the sign, the exponent and the fraction to their places in single precision. The exponent's bias is greater
    // by 112 there, so a factor of 2^112 is missing.
    let (low, high) = i16x16::load_array_ref(simd, values).widen();
    let bits = (low.combine(high) << 13) & i32x16::splat(simd, 0x8fff_e000_u32.cast_signed());
    let factor = f32::from_bits((127 + 112 - u32::from(SHIFT)) << 23);
    bits.bitcast::<f32x16<S>>() * f32x16::splat(simd, factor)
}

impl Default for Widened {
    fn default() -> Self {
        Self(vec![[0.0; LANES]; WIDE * DEPTH])
    }
}

impl Columns<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Columns::Single(values) => values.len(),
            Columns::Half(values) => values.len(),
        }
    }
}

impl Debug for Matrix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Matrix({} x {})", self.depth, self.columns)
    }
}

#[cfg(test)]
mod tests {
    use fearless_simd::{Level, dispatch};

    use super::*;

    #[test]
    fn widened_half_precision_number_is_exact() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            match shift(value) {
                Some(shifted) => {
                    let wide: Block<f32> =
                        dispatch!(Level::new(), simd => widen(simd, &[shifted; LANES]).into());
                    assert_eq!(wide.map(f32::to_bits), [f32::from(value).to_bits(); LANES]);
                }
                None => assert!(!value.is_finite() || f32::from(value).abs() >= 64.0),
            }
        }
    }
}
