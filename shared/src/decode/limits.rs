//! The limits of an image's size, all checked by its header, before anything is decompressed.

use super::ImageError;

/// The maximum number of pixels: 50 million. A few bytes can claim any number of pixels, and each costs time.
pub const MAX_PIXELS: u64 = 50_000_000;

/// The maximum side, in pixels, which is JPEG's own limit.
pub const MAX_SIDE: u32 = 65_535;

/// The memory that a decoder may take, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For any image but a progressive JPEG.
    pub(crate) decoder_bytes: usize,
    /// For a progressive JPEG, whose coefficients are all held at full size.
    pub(crate) progressive_bytes: usize,
}

/// Checks a header's width and height, and returns them.
pub(super) fn check_pixels(width: u32, height: u32) -> Result<(usize, usize), ImageError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(ImageError::TooManyPixels { limit: MAX_PIXELS });
    }
    if width.max(height) > MAX_SIDE {
        return Err(ImageError::TooLong);
    }
    let side = |side: u32| {
        usize::try_from(side)
            .ok()
            .filter(|&side| side > 0)
            .ok_or_else(|| ImageError::broken("the image has no pixels"))
    };
    Ok((side(width)?, side(height)?))
}

/// Checks that decoding an image, which has `pixels` pixels and takes `bytes` bytes, stays within `limit` bytes.
/// Otherwise, the error says how many pixels an image of its kind may have.
pub(super) fn check_memory(pixels: usize, bytes: usize, limit: usize) -> Result<(), ImageError> {
    if bytes <= limit {
        return Ok(());
    }
    let pixels = pixels.saturating_mul(limit) / bytes.max(1);
    Err(ImageError::TooManyPixels {
        limit: u64::try_from(pixels).unwrap_or(u64::MAX),
    })
}
