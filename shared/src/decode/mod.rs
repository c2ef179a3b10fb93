//! Decodes JPEG, PNG and WebP in bounded memory, whatever a file claims.
//!
//! `decode` detects the format from the bytes, checks what the header claims against the limits of a `Target`, and gives the
//! pixels, row by row, to the target's `Canvas`.

mod colour;
mod jpeg;
mod jpeg_scans;
mod limits;
mod orientation;
mod png;
mod vp8l;
mod webp;

#[cfg(test)]
pub(crate) mod tests;

use crate::domain::UPLOAD_MAX_BYTES;

pub(crate) use self::colour::{Layout, PAPER, from_cmyk, from_l, from_la, from_rgba};
pub(crate) use self::limits::Limits;
pub use self::limits::{MAX_PIXELS, MAX_SIDE};
pub(crate) use self::orientation::Orientation;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// An image that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The format is not supported. Send another image.
    #[error("must be a JPEG, PNG or WebP image")]
    NotAnImage,
    /// The image is damaged, cut short, or of a rare kind that is not supported. Send it again, or save it anew.
    #[error("the image is broken, or of a kind that can't be read")]
    Broken(#[source] Error),
    /// The file is too large. Shrink it.
    #[error("the image must have at most {UPLOAD_MAX_BYTES} bytes")]
    TooManyBytes,
    /// The image has too many pixels, for any image or for one of its kind. Shrink it.
    #[error("an image of this kind must have at most {limit} pixels")]
    TooManyPixels {
        /// The maximum number of pixels.
        limit: u64,
    },
    /// A side is too long. Crop it.
    #[error("the image must be at most {MAX_SIDE} pixels wide and high")]
    TooLong,
    /// The service failed. Neither the image nor the caller is at fault.
    #[error("the image could not be processed")]
    Failed(#[source] Error),
}

impl ImageError {
    fn broken(error: impl Into<Error>) -> Self {
        Self::Broken(error.into())
    }

    #[cfg(feature = "picture")]
    pub(crate) fn failed(error: impl Into<Error>) -> Self {
        Self::Failed(error.into())
    }
}

/// The purpose of decoding: it sets the limits, and has a canvas for the pixels.
pub(crate) trait Target {
    /// Collects the pixels.
    type Canvas: Canvas;

    /// Returns the memory that a decoder may take.
    fn limits(&self) -> Limits;

    /// Returns the factor by which an image of `width` by `height` pixels may be shrunk.
    fn spare_scale(&self, width: usize, height: usize) -> usize;

    /// Returns whether an image that was cut short will do if at least nine tenths of it are there. A JPEG in several scans
    /// may also lack scans that only refine others.
    fn accepts_cut_short(&self) -> bool;

    /// Returns whether [`Decoded`] needs the ICC profile.
    fn keeps_profile(&self) -> bool;

    /// Creates the canvas for an image of `width` by `height` pixels, which its decoder shrinks by `scale`.
    fn canvas(&self, width: usize, height: usize, scale: usize, layout: Layout) -> Self::Canvas;
}

/// Collects an image's pixels as they are decoded.
pub(crate) trait Canvas {
    /// Takes some pixels of a row.
    fn pixels(&mut self, place: Place, layout: Layout, data: &[u8]);

    /// Takes a whole image, row by row.
    fn rows(&mut self, width: usize, layout: Layout, data: &[u8]) {
        let rows = data.chunks_exact((width * layout.bytes()).max(1));
        for (y, row) in rows.enumerate() {
            self.pixels(Place::row(y), layout, row);
        }
    }
}

/// The place of pixels in an image: in row `y`, at `first`, `first + step` and so on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) y: usize,
    pub(crate) first: usize,
    pub(crate) step: usize,
}

impl Place {
    /// Returns the place of a whole row.
    pub(crate) const fn row(y: usize) -> Self {
        Self {
            y,
            first: 0,
            step: 1,
        }
    }
}

/// A decoded image, as it is stored: not yet upright.
#[derive(Debug)]
pub(crate) struct Decoded<C> {
    pub(crate) canvas: C,
    pub(crate) orientation: Orientation,
    /// The ICC profile, if there is one of a usual size and the target keeps it.
    pub(crate) profile: Option<Vec<u8>>,
}

/// The maximum size of an ICC profile, in bytes. Those of printers have two or three megabytes.
const MAX_PROFILE_BYTES: usize = 4 * 1024 * 1024;

/// Returns a profile, if the target needs it and it is not too large.
fn kept_profile<T: Target>(target: &T, profile: Option<&[u8]>) -> Option<Vec<u8>> {
    let profile = profile.filter(|profile| profile.len() <= MAX_PROFILE_BYTES);
    profile
        .filter(|_| target.keeps_profile())
        .map(<[u8]>::to_vec)
}

/// Returns whether `part` is at least nine tenths of `whole`.
const fn is_most(part: usize, whole: usize) -> bool {
    part.saturating_mul(10) >= whole.saturating_mul(9)
}

/// Decodes an image. Its format is detected from its bytes.
pub(crate) fn decode<T: Target>(
    image: &[u8],
    target: &T,
) -> Result<Decoded<T::Canvas>, ImageError> {
    if u64::try_from(image.len()).is_ok_and(|bytes| bytes > UPLOAD_MAX_BYTES) {
        return Err(ImageError::TooManyBytes);
    }
    let (riff, form) = webp::SIGNATURE;
    if image.starts_with(jpeg::SIGNATURE) {
        jpeg::decode(image, target)
    } else if image.starts_with(png::SIGNATURE) {
        png::decode(image, target)
    } else if image.starts_with(riff) && image.get(8..).is_some_and(|rest| rest.starts_with(form)) {
        webp::decode(image, target)
    } else {
        Err(ImageError::NotAnImage)
    }
}
