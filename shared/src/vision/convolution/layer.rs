//! A convolution with its constants.

use std::cell::RefCell;
use std::fmt::Debug;

use fearless_simd::{Level, dispatch};

use super::map::{Epilogue, Map, Scratch, Window};
use super::matrix::{Columns, LANES, Matrix};
use super::{direct, winograd};

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

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Layer {
    /// Creates a layer for maps with these channels, height and width. The weights are in ONNX's order: by the channel
    /// of the result, the channel of the map, and the place in the window.
    ///
    /// Returns `None` if the lengths don't match, or the number of the result's channels is not a multiple of
    /// [`LANES`].
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
    /// Panics if the map, the residual or the result has another shape than the layer's.
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
        let epilogue = Epilogue {
            bias: &self.bias,
            residual,
            relu,
        };
        SCRATCH.with_borrow_mut(|scratch| match &self.kernel {
            Kernel::Direct(kernel) => dispatch!(level, simd =>
                direct::convolve(simd, map, &self.window, kernel, &epilogue, scratch, result)),
            Kernel::Winograd(kernel) => dispatch!(level, simd =>
                winograd::convolve(simd, map, kernel, &epilogue, scratch, result)),
        });
    }
}
