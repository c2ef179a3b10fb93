//! The part of an image that the model sees.

use std::ops::Range;

/// The minimum ratio, along either axis, of an image's pixels to the model's after the image was shrunk and before it
/// is resized: Pillow's `reducing_gap`.
const GAP: usize = 2;

/// One axis of torchvision's `Resize(resized(side))` and `CenterCrop(side)` combined: `source` pixels become `resized`,
/// of which the middle `side` are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    source: usize,
    resized: usize,
    side: usize,
}

/// The part of an axis to keep: pixels of the image as its decoder yields them, in blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strip {
    axis: Axis,
    scale: usize,
    /// The number of pixels of a block.
    pub(super) block: usize,
    /// The pixels to keep.
    pub(super) range: Range<usize>,
}

/// Returns the shorter side of a resized image, of which the model sees the middle `side` by `side` pixels: the same as
/// `resized` in model/common.py, which gives the reason.
const fn resized(side: usize) -> usize {
    side * 13 / 12
}

/// Returns the factor by which an image may be shrunk before it is resized, if its shorter side has `short` pixels.
pub(super) fn spare_scale(short: usize, side: usize) -> usize {
    (short / (GAP * resized(side)).max(1)).max(1)
}

impl Axis {
    /// Creates an axis of `source` pixels, for an image whose shorter side has `short`.
    pub(super) fn new(source: usize, short: usize, side: usize) -> Self {
        // torchvision rounds down.
        let resized = (resized(side) * source / short.max(1)).max(side);
        Self {
            source,
            resized,
            side,
        }
    }

    /// Returns the part to keep when the decoder shrinks the image by `scale`, and the canvas by `block` again.
    pub(super) fn strip(self, scale: usize, block: usize) -> Strip {
        let Self {
            source,
            resized,
            side,
        } = self;
        let spare = resized - side;
        let unit = resized * scale;
        // The filter reaches beyond the frame, and a mirrored frame lies a pixel off.
        let reach = 2 * source.div_ceil(unit) + 1;
        let first = (spare / 2 * source / unit).saturating_sub(reach);
        let last = (spare / 2 + side + 1) * source / unit + reach;
        Strip {
            axis: self,
            scale,
            block,
            range: first / block * block..last.next_multiple_of(block).min(source.div_ceil(scale)),
        }
    }
}

impl Strip {
    /// Returns the number of blocks.
    pub(super) fn len(&self) -> usize {
        self.range.len().div_ceil(self.block)
    }

    /// Returns the number of pixels of each block. The last may have fewer than the others.
    pub(super) fn blocks(&self) -> impl Iterator<Item = usize> + use<> {
        let Self { range, block, .. } = self.clone();
        range
            .clone()
            .step_by(block)
            .map(move |start| block.min(range.end - start))
    }

    /// Returns the frame, in blocks from the first one; `reversed` if the axis is viewed in reverse.
    pub(super) fn frame(&self, reversed: bool) -> Range<f64> {
        let Axis {
            source,
            resized,
            side,
        } = self.axis;
        let spare = resized - side;
        // Python rounds a half to the even number.
        let half = spare / 2;
        let offset = half + (spare % 2) * (half % 2);
        let offset = if reversed { spare - offset } else { offset };
        let place = |pixel: usize| {
            let pixel = float(pixel) * float(source) / float(resized * self.scale);
            let block = (pixel - float(self.range.start)) / float(self.block);
            block.clamp(0.0, float(self.len()))
        };
        place(offset)..place(offset + side)
    }
}

/// Converts a number of pixels, which is always far below 2^32.
fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
