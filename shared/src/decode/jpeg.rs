//! Decodes JPEG: baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK.
//!
//! Large images are decoded at a half, a quarter or an eighth of their size, which takes that much less memory and
//! time. Of a progressive image, though, all coefficients are held at full size.

use std::borrow::Cow;

use libjpeg_turbo_rs::{
    ComponentInfo, DecodeLimits, DecodeWarning, Decoder, PixelFormat, ScalingFactor,
};

use super::colour::Layout;
use super::jpeg_scans;
use super::limits;
use super::orientation::Orientation;
use super::{Canvas as _, Decoded, ImageError, Target, is_most, kept_profile};

/// The first bytes of every file.
pub(super) const SIGNATURE: &[u8] = &[0xFF, 0xD8, 0xFF];

/// The last bytes of a whole file.
const END: &[u8] = &[0xFF, 0xD9];

/// The maximum number of scans of a JPEG; about ten are usual in a progressive one. A few bytes make a scan, and each
/// costs a pass over the whole image.
const MAX_SCANS: usize = 100;

/// Decodes an image for a target.
pub(super) fn decode<T: Target>(
    bytes: &[u8],
    target: &T,
) -> Result<Decoded<T::Canvas>, ImageError> {
    // Where it is missing, the decoder of progressive images fails even if it need not be whole.
    let bytes = if target.accepts_cut_short() && !bytes.ends_with(END) {
        Cow::Owned([bytes, END].concat())
    } else {
        Cow::Borrowed(bytes)
    };
    let decoder_limits = DecodeLimits {
        // Checked below, for more specific errors.
        max_width: usize::MAX,
        max_height: usize::MAX,
        max_pixels: u64::MAX,
        max_scans: MAX_SCANS,
        max_memory: None,
    };
    let mut decoder =
        Decoder::new_with_limits(&bytes, decoder_limits).map_err(ImageError::broken)?;
    let header = decoder.header();
    let (width, height) = limits::check_pixels(header.width.into(), header.height.into())?;
    if header.precision != 8 || header.is_lossless || decoder.is_arithmetic() {
        return Err(ImageError::broken("a JPEG of a rare kind"));
    }
    let progressive = header.is_progressive;
    let (format, layout) = match header.components.len() {
        1 => (PixelFormat::Grayscale, Layout::L),
        3 => (PixelFormat::Rgb, Layout::Rgb),
        4 => (PixelFormat::Cmyk, Layout::Cmyk),
        _ => return Err(ImageError::broken("a JPEG of that many components")),
    };
    let (scale, denominator) = match target.spare_scale(width, height) {
        ..2 => (1, 1),
        2..4 => (2, 2),
        4..8 => (4, 4),
        8.. => (8, 8),
    };
    if matches!(bytes, Cow::Owned(_)) && !jpeg_scans::are_enough(&bytes, header.components.len()) {
        return Err(ImageError::broken("the JPEG lacks whole scans"));
    }
    let samples = samples(width, height, &header.components);
    // A block of 64 samples takes at least a bit.
    if samples / 64 > bytes.len() * 8 {
        return Err(ImageError::broken("the JPEG is cut short"));
    }
    // One byte for each sample of the coded planes, and of the pixels assembled from them.
    let planes_and_pixels = (samples + width * height * layout.bytes()) / (scale * scale);
    if progressive {
        // A coefficient of two bytes for each sample, too.
        let memory = planes_and_pixels + samples * 2;
        limits::check_memory(width * height, memory, target.limits().progressive_bytes)?;
    } else {
        limits::check_memory(
            width * height,
            planes_and_pixels,
            target.limits().decoder_bytes,
        )?;
    }
    decoder.set_output_format(format);
    decoder.set_scale(ScalingFactor::try_new(1, denominator).map_err(ImageError::broken)?);
    decoder.set_lenient(target.accepts_cut_short());
    let mut image = decoder.decode_image().map_err(ImageError::broken)?;
    if let Some(problem) = image.warnings.iter().find(|problem| is_serious(problem)) {
        return Err(ImageError::broken(problem.to_string()));
    }
    if layout == Layout::Cmyk {
        // Adobe's programs, and others after them, write 255 for no ink.
        image.data.iter_mut().for_each(|ink| *ink = !*ink);
    }

    let mut canvas = target.canvas(width, height, scale, layout);
    canvas.rows(image.width, layout, &image.data);
    Ok(Decoded {
        canvas,
        orientation: Orientation::from_exif(image.exif_data.as_deref()),
        profile: kept_profile(target, image.icc_profile.as_deref()),
    })
}

/// Returns whether an image with this problem should not be shown.
fn is_serious(problem: &DecodeWarning) -> bool {
    match *problem {
        DecodeWarning::ExtraneousData { .. } => false,
        DecodeWarning::TruncatedData {
            decoded_mcus,
            total_mcus,
        } => !is_most(decoded_mcus, total_mcus),
        _ => true,
    }
}

/// Returns the number of the components' samples in whole blocks.
fn samples(width: usize, height: usize, components: &[ComponentInfo]) -> usize {
    let factors = components.iter().map(|component| {
        let factors = [component.horizontal_sampling, component.vertical_sampling];
        factors.map(usize::from)
    });
    let across = factors.clone().map(|[h, _]| h).max().unwrap_or(1).max(1) * 8;
    let down = factors.clone().map(|[_, v]| v).max().unwrap_or(1).max(1) * 8;
    let units = width.div_ceil(across) * height.div_ceil(down);
    factors.map(|[h, v]| units * h * v * 64).sum()
}
