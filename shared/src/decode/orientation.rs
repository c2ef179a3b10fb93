//! The EXIF orientation: how the camera was held.

use std::io;

use exif::{In, Reader, Tag};

/// The maximum number of bytes of an EXIF block that are read: as many as a JPEG can hold. In other formats, a block
/// may have megabytes, for which the parser would take many more.
const MAX_BYTES: usize = 64 * 1024;

/// The transformation of the stored pixels to the photographer's view: swap the axes or not, then mirror either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Orientation {
    /// Stored rows are seen as columns.
    pub(crate) swapped: bool,
    /// Stored columns run against the seen axis they lie on.
    pub(crate) columns_reversed: bool,
    /// Stored rows run against the seen axis they lie on.
    pub(crate) rows_reversed: bool,
}

impl Orientation {
    /// Reads an EXIF block, with or without its `Exif\0\0` prefix. Upright if the block has no orientation or can't be
    /// read: callers want an answer, not an error about metadata.
    pub(crate) fn from_exif(block: Option<&[u8]>) -> Self {
        block
            .and_then(|block| {
                let tiff = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
                read(tiff.get(..MAX_BYTES).unwrap_or(tiff)).ok()
            })
            .and_then(Self::from_tag)
            .unwrap_or_default()
    }

    /// Converts the tag's value, 1 to 8; `None` for any other.
    pub(crate) const fn from_tag(value: u32) -> Option<Self> {
        let (swapped, columns_reversed, rows_reversed) = match value {
            1 => (false, false, false),
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, false, true),
            7 => (true, true, true),
            8 => (true, true, false),
            _ => return None,
        };
        Some(Self {
            swapped,
            columns_reversed,
            rows_reversed,
        })
    }

    /// Returns the width and height once upright of an image that is stored as `width` by `height` pixels, or the other way
    /// round.
    pub(crate) const fn size(self, width: usize, height: usize) -> (usize, usize) {
        if self.swapped {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Turns `width` by `height` RGB pixels, as they are stored, upright.
    pub(crate) fn upright(self, width: usize, height: usize, stored: Vec<u8>) -> Vec<u8> {
        if self == Self::default() {
            return stored;
        }
        let (pixels, _) = stored.as_chunks::<3>();
        let place = |reversed: bool, at: usize, of: usize| if reversed { of - 1 - at } else { at };
        let (across, down) = self.size(width, height);
        (0..down)
            .flat_map(|y| (0..across).map(move |x| if self.swapped { (y, x) } else { (x, y) }))
            .filter_map(|(column, row)| {
                let column = place(self.columns_reversed, column, width);
                let row = place(self.rows_reversed, row, height);
                pixels.get(row * width + column)
            })
            .flatten()
            .copied()
            .collect()
    }
}

/// Reads the orientation tag's value.
fn read(tiff: &[u8]) -> Result<u32, exif::Error> {
    let mut reader = Reader::new();
    // A broken maker's note is no reason to stand the cat on its head.
    reader.continue_on_error(true);
    let exif = reader
        .read_raw(tiff.to_vec())
        .or_else(|error| error.distill_partial_result(|_| ()))?;
    exif.get_field(Tag::Orientation, In::PRIMARY)
        .and_then(|field| field.value.get_uint(0))
        .ok_or_else(|| exif::Error::Io(io::ErrorKind::NotFound.into()))
}
