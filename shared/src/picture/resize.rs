//! Resizes and turns images.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::decode::{ImageError, Orientation};

/// An image in memory, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raster {
    pub(super) width: usize,
    pub(super) height: usize,
    /// The number of samples of a pixel.
    pub(super) channels: usize,
    samples: Vec<u8>,
}

impl Raster {
    pub(super) const fn new(
        width: usize,
        height: usize,
        channels: usize,
        samples: Vec<u8>,
    ) -> Self {
        Self {
            width,
            height,
            channels,
            samples,
        }
    }

    pub(super) fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Turns an RGB image upright.
    pub(super) fn upright(self, orientation: Orientation) -> Self {
        let (width, height) = orientation.size(self.width, self.height);
        Self {
            samples: orientation.upright(self.width, self.height, self.samples),
            width,
            height,
            channels: self.channels,
        }
    }
}

/// Resizes an image, by Lanczos' filter with three lobes.
pub(super) fn resize(from: &Raster, width: usize, height: usize) -> Result<Raster, ImageError> {
    if (from.width, from.height) == (width, height) {
        return Ok(from.clone());
    }
    let kind = match from.channels {
        1 => PixelType::U8,
        3 => PixelType::U8x3,
        _ => PixelType::U8x4,
    };
    let side = |side: usize| u32::try_from(side).map_err(ImageError::failed);
    let source = ImageRef::new(side(from.width)?, side(from.height)?, &from.samples, kind)
        .map_err(ImageError::failed)?;
    let mut target = Image::new(side(width)?, side(height)?, kind);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        // A fourth sample is black ink.
        .use_alpha(false);
    Resizer::new()
        .resize(&source, &mut target, &options)
        .map_err(ImageError::failed)?;
    Ok(Raster::new(width, height, from.channels, target.into_vec()))
}
