//! The project's own images, and images made from them or by code.

use jpeg_encoder::{ColorType, Encoder};

use super::repository;

/// A small JPEG of something like a cat.
pub(crate) const JPEG: &str = "jpeg-baseline-420.jpg";

/// Returns an image of `tests/images`.
pub(crate) fn image(name: &str) -> Vec<u8> {
    let path = repository().join("tests/images").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns a JPEG of this width and height, with gradients.
pub(crate) fn photo(width: u16, height: u16) -> Vec<u8> {
    let sample = |at: u16, of: u16| u8::try_from(u32::from(at) * 255 / u32::from(of)).unwrap();
    let rows = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let samples: Vec<u8> = rows
        .flat_map(|(x, y)| [sample(x, width), sample(y, height), 128])
        .collect();
    let mut bytes = Vec::new();
    let encoder = Encoder::new(&mut bytes, 90);
    encoder
        .encode(&samples, width, height, ColorType::Rgb)
        .unwrap();
    bytes
}

/// Returns a JPEG of exactly this size with the same content, padded by comments.
pub(crate) fn jpeg_of_size(size: usize) -> Vec<u8> {
    let jpeg = image(JPEG);
    let (start, rest) = jpeg.split_at(2);
    let mut padded = start.to_vec();
    let mut missing = size - jpeg.len();
    // A segment has a marker, a length, which includes itself, and its content.
    while missing > 0 {
        let mut segment = missing.min(65_000);
        if (1..4).contains(&(missing - segment)) {
            segment -= 4;
        }
        let length = u16::try_from(segment - 2).unwrap();
        padded.extend([0xff, 0xfe]);
        padded.extend(length.to_be_bytes());
        padded.resize(padded.len() + segment - 4, b'x');
        missing -= segment;
    }
    padded.extend(rest);
    padded
}
