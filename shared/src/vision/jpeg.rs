//! JPEG: baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK.
//!
//! Large ones are decoded at a half, a quarter or an eighth, which takes that much less memory and time.
//! Of a progressive one, though, all coefficients are held at full size.

use libjpeg_turbo_rs::{Decoder, PixelFormat, ScalingFactor};

use super::ImageError;
use super::canvas::Canvas;
use super::colour::Layout;
use super::framing::spare_scale;
use super::limits;
use super::orientation::Orientation;

/// What a file starts with.
pub(super) const SIGNATURE: &[u8] = &[0xFF, 0xD8, 0xFF];

/// The most scans of a progressive JPEG; about ten are usual. A few bytes make one, and each costs a walk through
/// the whole image.
const MAX_SCANS: usize = 100;

/// Decodes what a model of that side looks at, and how it must be turned.
pub(super) fn decode(bytes: &[u8], side: usize) -> Result<(Canvas, Orientation), ImageError> {
    let mut decoder = Decoder::new(bytes).map_err(ImageError::broken)?;
    let header = decoder.header();
    let (width, height) = limits::check_pixels(header.width.into(), header.height.into())?;
    if header.precision != 8 {
        return Err(ImageError::broken("a JPEG of other than 8 bits a sample"));
    }
    let progressive = header.is_progressive;
    let (format, layout) = match header.components.len() {
        1 => (PixelFormat::Grayscale, Layout::L),
        3 => (PixelFormat::Rgb, Layout::Rgb),
        4 => (PixelFormat::Cmyk, Layout::Cmyk),
        _ => return Err(ImageError::broken("a JPEG of that many components")),
    };
    let (scale, denominator) = match spare_scale(width.min(height), side) {
        ..2 => (1, 1),
        2..4 => (2, 2),
        4..8 => (4, 4),
        8.. => (8, 8),
    };
    let anatomy = Anatomy::of(bytes)
        .ok_or_else(|| ImageError::broken("the JPEG has no frame that can be read"))?;
    anatomy.check(if progressive {
        MAX_SCANS
    } else {
        anatomy.components
    })?;
    // A byte each: the planes as they are coded, and the pixels that are put together from them.
    let planes_and_pixels = (anatomy.samples + width * height * layout.bytes()) / (scale * scale);
    if progressive {
        // A number of two bytes for each sample, besides.
        let memory = planes_and_pixels + anatomy.samples * 2;
        limits::check_memory(width * height, memory, limits::PROGRESSIVE_BYTES)?;
    } else {
        limits::check_memory(width * height, planes_and_pixels, limits::DECODER_BYTES)?;
    }
    decoder.set_output_format(format);
    decoder.set_scale(ScalingFactor::try_new(1, denominator).map_err(ImageError::broken)?);
    let mut image = decoder.decode_image().map_err(ImageError::broken)?;
    if layout == Layout::Cmyk {
        // As Adobe's programs write it, and others do after them: 255 is no ink.
        image.data.iter_mut().for_each(|ink| *ink = !*ink);
    }

    let mut canvas = Canvas::new(width, height, side, scale);
    canvas.rows(image.width, layout, &image.data);
    Ok((canvas, Orientation::from_exif(image.exif_data.as_deref())))
}

/// What the decoder doesn't tell, or too late.
#[derive(Debug, Default)]
struct Anatomy {
    /// How many components a pixel has.
    components: usize,
    /// How many samples are coded, with those that fill up the last blocks.
    samples: usize,
    /// How many scans there are.
    scans: usize,
    /// How many bytes follow the first scan's header.
    coded_bytes: usize,
}

impl Anatomy {
    /// `None` without a frame, or with one of a rare kind: lossless, hierarchical, arithmetic coding.
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut anatomy = Self::default();
        for (marker, segment, rest) in segments(bytes) {
            match (marker, segment) {
                (0xC4 | 0xC8 | 0xCC, _) => {}
                (0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF, _) => return None,
                (0xC0..=0xC2, &[_, h1, h0, w1, w0, _, ref components @ ..]) => {
                    let size = [[w1, w0], [h1, h0]].map(u16::from_be_bytes);
                    let (components, _) = components.as_chunks();
                    anatomy.components = components.len();
                    anatomy.samples = samples(size.map(usize::from), components)?;
                }
                (0xDA, _) => {
                    if anatomy.scans == 0 {
                        anatomy.coded_bytes = rest.len();
                    }
                    anatomy.scans += 1;
                }
                _ => {}
            }
        }
        (anatomy.samples > 0).then_some(anatomy)
    }

    /// Refuses those that cost more than they bring.
    fn check(&self, max_scans: usize) -> Result<(), ImageError> {
        if self.scans > max_scans {
            return Err(ImageError::broken("the JPEG has too many scans"));
        }
        // A block of 64 samples takes a bit at least.
        if self.samples / 64 > self.coded_bytes * 8 {
            return Err(ImageError::broken("the JPEG is cut short"));
        }
        Ok(())
    }
}

/// How many samples the components of a frame have in whole blocks.
fn samples([width, height]: [usize; 2], components: &[[u8; 3]]) -> Option<usize> {
    let factors = components
        .iter()
        .map(|&[_, factors, _]| (usize::from(factors >> 4), usize::from(factors & 15)));
    let across = factors.clone().map(|(h, _)| h).max()?.max(1) * 8;
    let down = factors.clone().map(|(_, v)| v).max()?.max(1) * 8;
    let units = width.div_ceil(across) * height.div_ceil(down);
    Some(factors.map(|(h, v)| units * h * v * 64).sum())
}

/// The segments up to the end of the image: marker, content, and what follows. Coded data, and whatever else
/// stands between segments, is skipped as the decoder does.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let start = rest.iter().position(|&byte| byte == 0xFF)?;
            let after = rest.get(start..)?;
            let marker = after.iter().position(|&byte| byte != 0xFF)?;
            let (&marker, after) = after.get(marker..)?.split_first()?;
            rest = after;
            match marker {
                // An FF of the data, restarts, the start.
                0x00 | 0x01 | 0xD0..=0xD8 => {}
                // The end.
                0xD9 => return None,
                _ => {
                    let length = u16::from_be_bytes(*after.first_chunk()?);
                    let (segment, next) = after.split_at_checked(length.into())?;
                    rest = next;
                    return Some((marker, segment.get(2..)?, next));
                }
            }
        }
    })
}
