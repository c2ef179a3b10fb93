//! Makes the pictures of an upload that are served: JPEGs of several widths, upright and in sRGB, that contain nothing of the
//! upload but its pixels.
//!
//! [`render`] decodes the upload once (`crate::decode`) onto a `sheet`, resizes that to the largest width, converts the
//! colours (`profile`), and makes each smaller picture from the next larger one (`resize`).

mod profile;
mod resize;
mod sheet;

#[cfg(test)]
mod tests;

use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling};

use self::profile::to_srgb;
use self::resize::{Raster, resize};
use self::sheet::PictureTarget;
use crate::decode::{Decoded, ImageError, decode};

/// The widths of the pictures, in pixels, as far as an upload is that wide.
pub const WIDTHS: [usize; 3] = [320, 640, 1280];

/// The number of pixels above which a picture is left out, unless it is the smallest. Only uploads many times as high as wide
/// reach it.
const MAX_PIXELS: usize = 16_000_000;

/// The maximum side of a JPEG, in pixels, that libjpeg reads, and so every browser.
const MAX_SIDE: usize = 65_500;

/// libjpeg's quality, chosen by measurement (docs/pictures.md). Below 76, flat colours are off by more than 1.
const QUALITY: u8 = 76;

/// The longer side of the image that a thumbhash is computed from: its algorithm takes 100 pixels at most.
const THUMB_SIDE: usize = 100;

/// The served pictures of an upload, and their placeholder.
#[derive(Debug)]
pub struct Pictures {
    /// At least one, the smallest first.
    pub sizes: Vec<Picture>,
    /// A placeholder of some 25 bytes (<https://evanw.github.io/thumbhash/>).
    pub thumbhash: Vec<u8>,
}

/// One JPEG.
#[derive(Debug)]
pub struct Picture {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// The file.
    pub jpeg: Vec<u8>,
}

/// Makes all pictures of an upload. Takes hundreds of milliseconds of CPU and hundreds of megabytes: call it off the async
/// threads, and only once at a time.
pub fn render(upload: &[u8]) -> Result<Pictures, ImageError> {
    let Decoded {
        canvas,
        orientation,
        profile,
    } = decode(upload, &PictureTarget)?;
    let (width, height) = orientation.size(canvas.size.0, canvas.size.1);
    let (smaller, (w, h)) = sizes_of(width, height);
    let (w, h) = orientation.size(w, h);
    let largest = resize(&canvas.finish(), w, h)?;
    let mut raster = to_srgb(largest, profile.as_deref()).upright(orientation);
    let mut sizes = vec![encode(&raster)?];
    for (w, h) in smaller.into_iter().rev() {
        raster = resize(&raster, w, h)?;
        sizes.push(encode(&raster)?);
    }
    sizes.reverse();
    Ok(Pictures {
        sizes,
        thumbhash: thumbhash(&raster)?,
    })
}

/// Returns the sizes of the pictures of an upload: the smaller ones, in order, and the largest.
fn sizes_of(width: usize, height: usize) -> (Vec<(usize, usize)>, (usize, usize)) {
    let [smallest, ..] = WIDTHS;
    let size = |w| (w, scaled(height, w, width).min(MAX_SIDE));
    let sizes = WIDTHS.into_iter().filter(|&w| w <= width).map(size);
    let mut sizes: Vec<_> = sizes.filter(|(w, h)| w * h <= MAX_PIXELS).collect();
    let largest = sizes.pop().unwrap_or_else(|| size(smallest.min(width)));
    (sizes, largest)
}

/// Returns `length * to / from`, rounded, and at least 1.
fn scaled(length: usize, to: usize, from: usize) -> usize {
    let from = from.max(1);
    ((length * to + from / 2) / from).max(1)
}

fn encode(raster: &Raster) -> Result<Picture, ImageError> {
    let &Raster { width, height, .. } = raster;
    let jpeg = Encoder::new(raster.samples(), width, height, PixelFormat::Rgb)
        .quality(QUALITY)
        .subsampling(Subsampling::S420)
        .progressive(true)
        .encode()
        .map_err(ImageError::failed)?;
    Ok(Picture {
        width,
        height,
        jpeg,
    })
}

fn thumbhash(raster: &Raster) -> Result<Vec<u8>, ImageError> {
    let long = raster.width.max(raster.height);
    let side = THUMB_SIDE.min(long);
    let (width, height) = (
        scaled(raster.width, side, long),
        scaled(raster.height, side, long),
    );
    let small = resize(raster, width, height)?;
    let (pixels, _) = small.samples().as_chunks();
    let rgba: Vec<u8> = pixels
        .iter()
        .flat_map(|&[r, g, b]| [r, g, b, u8::MAX])
        .collect();
    Ok(thumbhash::rgba_to_thumb_hash(width, height, &rgba))
}
