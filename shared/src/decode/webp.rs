//! Decodes WebP: lossy and lossless, with or without opacity; of an animation, the first picture.
//!
//! This module parses the container and gives the decoder a new one with a single picture, whose size and memory are
//! known by then, since the decoder would trust whatever the file says.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::colour::Layout;
use super::limits;
use super::orientation::Orientation;
use super::vp8l;
use super::{Canvas as _, Decoded, ImageError, Place, Target, kept_profile};

/// The first bytes of every file, without the four bytes of its length.
pub(super) const SIGNATURE: (&[u8], &[u8]) = (b"RIFF", b"WEBP");

/// Flags in the header of an extended file: there is more than one picture; there is transparency.
const ANIMATED: u8 = 0x02;
const OPACITY: u8 = 0x10;

/// Decodes an image for a target.
pub(super) fn decode<T: Target>(
    bytes: &[u8],
    target: &T,
) -> Result<Decoded<T::Canvas>, ImageError> {
    let broken = || ImageError::broken("the WebP's container is broken");
    let file = File::read(bytes).ok_or_else(broken)?;
    let (width, height) = limits::check_pixels(file.size.0, file.size.1)?;
    let picture = file.picture;
    if picture.stream.size() != Some(picture.size) {
        return Err(broken());
    }
    let (columns, rows) = limits::check_pixels(picture.size.0, picture.size.1)?;
    let limit = target.limits().decoder_bytes;
    let memory = picture.memory(columns, rows, limit).ok_or_else(broken)?;
    limits::check_memory(columns * rows, memory, limit)?;

    let layout = if picture.has_opacity() {
        Layout::Rgba
    } else {
        Layout::Rgb
    };
    let mut data = vec![0; columns * rows * layout.bytes()];
    WebPDecoder::new(Cursor::new(picture.alone()))
        .and_then(|mut decoder| decoder.read_image(&mut data))
        .map_err(ImageError::broken)?;

    // An animation's picture may cover only a part of it.
    let mut canvas = target.canvas(width, height, 1, layout);
    let (first, top) = picture.place;
    for (y, row) in (top..).zip(data.chunks_exact(columns * layout.bytes())) {
        canvas.pixels(Place { y, first, step: 1 }, layout, row);
    }
    Ok(Decoded {
        canvas,
        orientation: Orientation::from_exif(file.exif),
        profile: kept_profile(target, file.profile),
    })
}

/// The relevant parts of a file.
struct File<'a> {
    size: (u32, u32),
    exif: Option<&'a [u8]>,
    profile: Option<&'a [u8]>,
    picture: Picture<'a>,
}

/// The only picture, or an animation's first.
struct Picture<'a> {
    place: (usize, usize),
    size: (u32, u32),
    opacity: Option<&'a [u8]>,
    stream: Stream<'a>,
}

#[derive(Clone, Copy)]
enum Stream<'a> {
    Lossy(&'a [u8]),
    Lossless(&'a [u8]),
}

impl<'a> File<'a> {
    /// Parses a file; `None` if it is malformed or cut short.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[_, _, _, _, length @ ..], rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let (_, body) = rest.get(..length)?.split_first_chunk::<4>()?;
        let (name, header) = chunks(body).next()?;
        if name != b"VP8X" {
            let (opacity, stream) = streams(chunks(body))?;
            let size = stream.size()?;
            let picture = Picture {
                place: (0, 0),
                size,
                opacity,
                stream,
            };
            return Some(Self {
                size,
                exif: None,
                profile: None,
                picture,
            });
        }
        let (&[flags, _, _, _, width @ .., h0, h1, h2], _) = header.split_first_chunk::<10>()?;
        let size = (number(width) + 1, number([h0, h1, h2]) + 1);
        let picture = if flags & ANIMATED == 0 {
            let (opacity, stream) = streams(chunks(body))?;
            Picture {
                place: (0, 0),
                size,
                opacity,
                stream,
            }
        } else {
            let (_, frame) = chunks(body).find(|(name, _)| *name == b"ANMF")?;
            Picture::of_animation(frame, size)?
        };
        let find = |wanted: &[u8; 4]| chunks(body).find(|(name, _)| *name == wanted);
        Some(Self {
            size,
            exif: find(b"EXIF").map(|(_, exif)| exif),
            profile: find(b"ICCP").map(|(_, profile)| profile),
            picture,
        })
    }
}

impl<'a> Picture<'a> {
    /// Parses an animation's picture; `None` if it extends beyond the animation.
    fn of_animation(frame: &'a [u8], (width, height): (u32, u32)) -> Option<Self> {
        let (header, rest) = frame.split_first_chunk::<16>()?;
        let (numbers, _) = header.as_chunks::<3>();
        let &[x, y, columns, rows, _] = numbers else {
            return None;
        };
        let (x, y) = (number(x) * 2, number(y) * 2);
        let size = (number(columns) + 1, number(rows) + 1);
        if x + size.0 > width || y + size.1 > height {
            return None;
        }
        let (opacity, stream) = streams(chunks(rest))?;
        Some(Self {
            place: (usize::try_from(x).ok()?, usize::try_from(y).ok()?),
            size,
            opacity,
            stream,
        })
    }

    fn has_opacity(&self) -> bool {
        match self.stream {
            Stream::Lossy(_) => self.opacity.is_some(),
            Stream::Lossless(data) => data.get(4).is_some_and(|byte| byte & 0x10 != 0),
        }
    }

    /// Returns the maximum number of bytes that decoding takes for this many columns and rows, or any number above
    /// `limit`; `None` if the data is broken.
    fn memory(&self, columns: usize, rows: usize, limit: usize) -> Option<usize> {
        let (data, each, coded) = match (self.stream, self.opacity) {
            // RGB, and a plane and a half.
            (Stream::Lossy(data), None) => (data, 5, None),
            // RGBA, a plane and a half, the opacity as RGBA and by itself.
            (Stream::Lossy(data), Some(&[how, ref opacity @ ..])) => {
                (data, 11, (how & 3 != 0).then_some(opacity))
            }
            (Stream::Lossy(_), Some([])) => return None,
            // RGB, RGBA, and the values of the blocks.
            (Stream::Lossless(data), _) => (data, 8, Some(data.get(5..)?)),
        };
        // Up to two more copies of the data are in memory.
        let bytes = columns * rows * each + data.len() * 2;
        // The tables don't matter if the image is too large anyway.
        let coded = coded.filter(|_| bytes <= limit);
        let tables = coded.map_or(Some(0), |coded| {
            vp8l::table_bytes(coded, columns, rows, limit)
        })?;
        Some(bytes + tables)
    }

    /// Returns a file with only this picture.
    fn alone(&self) -> Vec<u8> {
        let mut body = SIGNATURE.1.to_vec();
        match (self.stream, self.opacity) {
            (Stream::Lossy(data), None) => push(&mut body, *b"VP8 ", data),
            (Stream::Lossy(data), Some(opacity)) => {
                let [w0, w1, w2, _] = (self.size.0 - 1).to_le_bytes();
                let [h0, h1, h2, _] = (self.size.1 - 1).to_le_bytes();
                let header = [OPACITY, 0, 0, 0, w0, w1, w2, h0, h1, h2];
                push(&mut body, *b"VP8X", &header);
                push(&mut body, *b"ALPH", opacity);
                push(&mut body, *b"VP8 ", data);
            }
            (Stream::Lossless(data), _) => push(&mut body, *b"VP8L", data),
        }
        let mut file = Vec::with_capacity(body.len() + 8);
        push(&mut file, *b"RIFF", &body);
        file
    }
}

impl Stream<'_> {
    /// Returns the width and height in the stream's own header.
    fn size(self) -> Option<(u32, u32)> {
        match self {
            Self::Lossy(data) => {
                let (&[_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1], _) = data.split_first_chunk()?
                else {
                    return None;
                };
                let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3FFF);
                Some((side([w0, w1]), side([h0, h1])))
            }
            Self::Lossless(data) => {
                let (&[0x2F, header @ ..], _) = data.split_first_chunk::<5>()? else {
                    return None;
                };
                let header = u32::from_le_bytes(header);
                Some(((header & 0x3FFF) + 1, (header >> 14 & 0x3FFF) + 1))
            }
        }
    }
}

/// Iterates over a container's chunks, with their names, up to the first incomplete one.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (name, after) = rest.split_first_chunk()?;
        let (&length, after) = after.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let chunk = after.get(..length)?;
        // A filler makes the length even, but may be missing at the end.
        rest = after.get(length + length % 2..).unwrap_or_default();
        Some((name, chunk))
    })
}

/// Returns the first picture's data, after that of its opacity if it has any.
fn streams<'a>(
    chunks: impl Iterator<Item = (&'a [u8; 4], &'a [u8])>,
) -> Option<(Option<&'a [u8]>, Stream<'a>)> {
    let mut opacity = None;
    for (name, data) in chunks {
        match name {
            b"ALPH" => opacity = opacity.or(Some(data)),
            b"VP8 " => return Some((opacity, Stream::Lossy(data))),
            b"VP8L" => return Some((None, Stream::Lossless(data))),
            _ => {}
        }
    }
    None
}

fn push(to: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    to.extend(name);
    to.extend(length.to_le_bytes());
    to.extend(data);
    to.extend((length % 2 == 1).then_some(0));
}

fn number([low, middle, high]: [u8; 3]) -> u32 {
    u32::from_le_bytes([low, middle, high, 0])
}
