//! Decodes PNG: every colour type and depth, interlaced or not; of an animation, the first picture.
//!
//! Rows are processed as they are decompressed, so the memory hardly grows with the image.

use std::borrow::Cow;
use std::io::Cursor;

use png::{ColorType, Decoder, Limits, Transformations};

use super::ImageError;
use super::canvas::{Canvas, Place};
use super::colour::Layout;
use super::limits;
use super::orientation::Orientation;

/// The first bytes of every file.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The first column and row of each pass, and the steps to the next.
const PLAIN: &[[usize; 4]] = &[[0, 0, 1, 1]];
const ADAM7: &[[usize; 4]] = &[
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
];

/// Longer ancillary chunks are skipped: the decoder would copy them twice, and none of them matters.
const BALLAST_BYTES: usize = 64 * 1024;

/// Decodes the part that a model with inputs of this side sees, and the orientation.
pub(super) fn decode(bytes: &[u8], side: usize) -> Result<(Canvas, Orientation), ImageError> {
    let limits = Limits {
        bytes: limits::DECODER_BYTES,
    };
    let bytes = without_ballast(bytes);
    let mut decoder = Decoder::new_with_limits(Cursor::new(&bytes), limits);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(ImageError::broken)?;
    let (width, height) = limits::check_pixels(header.width, header.height)?;
    let passes = if header.interlaced { ADAM7 } else { PLAIN };

    let mut reader = decoder.read_info().map_err(ImageError::broken)?;
    let layout = match reader.output_color_type().0 {
        ColorType::Grayscale => Layout::L,
        ColorType::GrayscaleAlpha => Layout::La,
        ColorType::Rgb | ColorType::Indexed => Layout::Rgb,
        ColorType::Rgba => Layout::Rgba,
    };
    let mut canvas = Canvas::new(width, height, side, 1);
    for &[first, top, step, down] in passes.iter().filter(|[first, ..]| *first < width) {
        for y in (top..height).step_by(down) {
            let row = reader.next_row().map_err(ImageError::broken)?;
            let row = row.ok_or_else(|| ImageError::broken("the PNG has too few rows"))?;
            canvas.pixels(Place { y, first, step }, layout, row.data());
        }
    }
    // Fails if the file was cut short, and reads an EXIF block that comes last.
    reader.finish().map_err(ImageError::broken)?;
    let orientation = Orientation::from_exif(reader.info().exif_metadata.as_deref());
    Ok((canvas, orientation))
}

/// Returns the file without its needlessly long chunks. Removes only chunks that a decoder can do without: the first
/// letter of their name is lowercase.
fn without_ballast(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_ballast = |chunk: &[u8]| {
        chunk.len() > BALLAST_BYTES && chunk.get(4).is_some_and(u8::is_ascii_lowercase)
    };
    if !chunks(bytes).any(is_ballast) {
        return Cow::Borrowed(bytes);
    }
    let lean: Vec<_> = chunks(bytes).filter(|chunk| !is_ballast(chunk)).collect();
    Cow::Owned(lean.concat())
}

/// Iterates over the signature, then the chunks, then a rest that is not a whole chunk.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (signature, mut rest) = bytes.split_at_checked(SIGNATURE.len()).unwrap_or_default();
    let chunks = std::iter::from_fn(move || {
        let length = rest.first_chunk().map(|&length| u32::from_be_bytes(length));
        let length = length.and_then(|length| usize::try_from(length).ok());
        // Besides its content, a chunk has its length, its name and a checksum.
        let whole = length.and_then(|length| rest.split_at_checked(length + 12));
        let (chunk, after) = whole.unwrap_or((rest, &[]));
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    });
    std::iter::once(signature).chain(chunks)
}
