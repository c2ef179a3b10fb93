//! Decodes PNG: every colour type and depth, interlaced or not; of an animation, the first picture.
//!
//! Rows are processed as they are decompressed, so the memory hardly grows with the image.

use std::borrow::Cow;
use std::io::Cursor;

use png::{ColorType, Decoder, Limits, Transformations};

use super::colour::Layout;
use super::limits;
use super::orientation::Orientation;
use super::{Canvas as _, Decoded, ImageError, Place, Target, is_most, kept_profile};

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

/// Longer ancillary chunks are skipped, since the decoder would copy them twice. Only an ICC profile of a rare size matters
/// among them.
const BALLAST_BYTES: usize = 64 * 1024;

/// Decodes an image for a target.
pub(super) fn decode<T: Target>(
    bytes: &[u8],
    target: &T,
) -> Result<Decoded<T::Canvas>, ImageError> {
    let limits = Limits {
        bytes: target.limits().decoder_bytes,
    };
    let bytes = without_ballast(bytes);
    let mut decoder = Decoder::new_with_limits(Cursor::new(&bytes), limits);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(!target.keeps_profile());
    let header = decoder.read_header_info().map_err(ImageError::broken)?;
    let (width, height) = limits::check_pixels(header.width, header.height)?;
    let interlaced = header.interlaced;
    let passes = if interlaced { ADAM7 } else { PLAIN };

    let mut reader = decoder.read_info().map_err(ImageError::broken)?;
    let layout = match reader.output_color_type().0 {
        ColorType::Grayscale => Layout::L,
        ColorType::GrayscaleAlpha => Layout::La,
        ColorType::Rgb | ColorType::Indexed => Layout::Rgb,
        ColorType::Rgba => Layout::Rgba,
    };
    let mut canvas = target.canvas(width, height, 1, layout);
    let places: Vec<Place> = passes
        .iter()
        .filter(|[first, ..]| *first < width)
        .flat_map(|&[first, top, step, down]| {
            let rows = (top..height).step_by(down);
            rows.map(move |y| Place { y, first, step })
        })
        .collect();
    let mut read = || -> Result<(), (usize, ImageError)> {
        for (rows, &place) in places.iter().enumerate() {
            let row = reader.next_row();
            let row = row.map_err(|error| (rows, ImageError::broken(error)))?;
            let row = row.ok_or_else(|| (rows, ImageError::broken("the PNG has too few rows")))?;
            canvas.pixels(place, layout, row.data());
        }
        // Fails if the file was cut short, and reads an EXIF block that comes last.
        let rest = reader.finish();
        rest.map_err(|error| (places.len(), ImageError::broken(error)))
    };
    // The last pass of an interlaced image has half of the pixels, in a quarter of the rows.
    let is_shown = |rows| rows == places.len() || (!interlaced && is_most(rows, places.len()));
    match read() {
        Err((rows, _)) if target.accepts_cut_short() && is_shown(rows) => {}
        Err((_, error)) => return Err(error),
        Ok(()) => {}
    }
    let orientation = Orientation::from_exif(reader.info().exif_metadata.as_deref());
    let profile = kept_profile(target, reader.info().icc_profile.as_deref());
    Ok(Decoded {
        canvas,
        orientation,
        profile,
    })
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
