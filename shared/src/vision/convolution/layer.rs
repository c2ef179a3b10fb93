//! A convolution with all that belongs to it, and the maximum over windows.

use std::cell::RefCell;
use std::fmt::Debug;

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, f32x16};

use super::matrix::{Columns, LANES, Matrix, Widened};
use super::{direct, winograd};

/// Features of an image: row by row, the channels of a pixel together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Map<'a> {
    pub(super) values: &'a [f32],
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

/// The square that moves over a map, and how. A map is padded on all sides alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) side: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    /// How many places it takes along a side.
    pub(super) fn places(&self, side: usize) -> usize {
        (side + 2 * self.padding).saturating_sub(self.side) / self.stride + 1
    }

    /// The height and width of what it makes of a map.
    pub(super) fn results(&self, map: &Map) -> (usize, usize) {
        (self.places(map.height), self.places(map.width))
    }
}

/// What comes after a convolution.
pub(super) struct Finish<'a> {
    pub(super) bias: &'a [f32],
    /// Added to the result.
    pub(super) residual: Option<&'a [f32]>,
    /// Whether negative results become zero.
    pub(super) relu: bool,
}

impl Finish<'_> {
    /// Puts the sums for some channels of a pixel into the result.
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

/// A convolution's constants.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) window: Window,
    kernel: Kernel,
    bias: Vec<f32>,
    channels: usize,
}

#[derive(Debug)]
enum Kernel {
    Direct(Matrix),
    Winograd(Box<winograd::Kernel>),
}

/// Memory for what is between a convolution's steps, a few megabytes at most. To get it from the system each time
/// would take longer than some of the steps.
#[derive(Default)]
pub(super) struct Scratch {
    values: Vec<f32>,
    widened: Widened,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// Memory for so many values, which are any; and for products.
    #[allow(clippy::indexing_slicing, reason = "it has just been made long enough")]
    pub(super) fn take(&mut self, length: usize) -> (&mut [f32], &mut Widened) {
        self.values.resize(length.max(self.values.len()), 0.0);
        (&mut self.values[..length], &mut self.widened)
    }
}

impl Layer {
    /// For maps of some channels, a height and a width. The weights lie as in ONNX: by the channel of the result, the
    /// channel, and the place in the window.
    ///
    /// `None` if the lengths don't fit, or there isn't a multiple of [`LANES`] of channels of the result.
    pub(super) fn new(
        window: Window,
        [channels, height, width]: [usize; 3],
        weights: Columns,
        bias: Vec<f32>,
    ) -> Option<Self> {
        let (outputs, area) = (bias.len(), window.side * window.side);
        if weights.len() != outputs * channels * area || !outputs.is_multiple_of(LANES) {
            return None;
        }
        let kernel = if winograd::suits(&window, height, width, channels) {
            Kernel::Winograd(Box::new(winograd::kernel(channels, weights)))
        } else {
            Kernel::Direct(direct::kernel(&window, channels, weights))
        };
        Some(Self {
            window,
            kernel,
            bias,
            channels,
        })
    }

    /// Returns the number of the result's channels.
    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Convolves a map.
    ///
    /// # Panics
    ///
    /// If the map, the residual or the result has another shape than the layer's.
    pub(super) fn run(
        &self,
        level: Level,
        map: &Map,
        residual: Option<&[f32]>,
        relu: bool,
        result: &mut [f32],
    ) {
        let (height, width) = self.window.results(map);
        let length = height * width * self.outputs();
        assert_eq!(map.channels, self.channels);
        assert_eq!(map.values.len(), map.height * map.width * map.channels);
        assert_eq!(result.len(), length);
        assert!(residual.is_none_or(|residual| residual.len() == length));
        let finish = Finish {
            bias: &self.bias,
            residual,
            relu,
        };
        SCRATCH.with_borrow_mut(|scratch| match &self.kernel {
            Kernel::Direct(kernel) => dispatch!(level, simd =>
                direct::convolve(simd, map, &self.window, kernel, &finish, scratch, result)),
            Kernel::Winograd(kernel) => dispatch!(level, simd =>
                winograd::convolve(simd, map, kernel, &finish, scratch, result)),
        });
    }
}

/// The maximum over each window, of each channel for itself.
pub(super) fn max_pool(level: Level, map: &Map, window: &Window, result: &mut [f32]) {
    dispatch!(level, simd => max_pool_simd(simd, map, window, result));
}

#[inline(always)]
fn max_pool_simd<S: Simd>(_: S, map: &Map, window: &Window, result: &mut [f32]) {
    let (_, width) = window.results(map);
    // From where to where a window reaches inside the map.
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
