//! How large an image may be. All of it is known from the header, before anything is unpacked.

use super::ImageError;

/// The most pixels: 50 million. A few bytes can claim any number of them, and each costs time.
pub const MAX_PIXELS: u64 = 50_000_000;

/// The longest side, in pixels; that of JPEG's own limit.
pub const MAX_SIDE: u32 = 65_535;

/// How much memory a decoder may take.
pub(super) const DECODER_BYTES: usize = 24_000_000;

/// The same for a progressive JPEG: enough for 12.5 megapixels from a camera. Most of it are coefficients,
/// which can't be had at a reduced size.
pub(super) const PROGRESSIVE_BYTES: usize = 41_000_000;

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

/// Whether an image of so many pixels, which takes so many bytes to decode, takes at most `limit`. If
/// not, the error names how many pixels one of its kind may have.
pub(super) fn check_memory(pixels: usize, bytes: usize, limit: usize) -> Result<(), ImageError> {
    if bytes <= limit {
        return Ok(());
    }
    let pixels = pixels.saturating_mul(limit) / bytes.max(1);
    Err(ImageError::TooManyPixels {
        limit: u64::try_from(pixels).unwrap_or(u64::MAX),
    })
}
