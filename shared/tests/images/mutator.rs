//! Damages images: blindly, and knowing their formats.

use std::io::{Read as _, Write as _};
use std::ops::Range;

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::corpus::{golden, pictures, read};

/// Mutants grow no larger, so that ten thousand stay quick.
const MAX_BYTES: usize = 200_000;
/// Numbers at which something may go wrong.
const INTERESTING: [u32; 22] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    9,
    15,
    16,
    160,
    255,
    640,
    4000,
    8191,
    16_383,
    32_767,
    65_500,
    65_535,
    0x00FF_FFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
];

/// The corpus, and how it is damaged.
pub(crate) struct Mutator {
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    pub(crate) fn new() -> Self {
        let golden = golden();
        let images = golden.images.iter().map(|image| &image.file);
        // Each broken file once, and each whole file three times.
        let names = images
            .clone()
            .chain(images.clone())
            .chain(images)
            .chain(golden.refused.iter().map(|image| &image.file));
        Self {
            corpus: names
                .map(|name| read(name))
                .chain(
                    pictures()
                        .into_iter()
                        .map(|file| std::fs::read(file).unwrap()),
                )
                .collect(),
        }
    }

    /// Always the same for the same seed and number.
    pub(crate) fn mutant(&self, seed: u64, number: u64) -> Vec<u8> {
        let mut random = StdRng::seed_from_u64(
            seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .wrapping_add(number),
        );
        let mut bytes = self.any(&mut random).to_vec();
        // Often once, so that much of what follows is still reached.
        for _ in 0..*[1, 1, 1, 2, 4].choose(&mut random).unwrap() {
            self.damage(&mut bytes, &mut random);
        }
        bytes.truncate(MAX_BYTES);
        // Mostly what guards the data is put right, so that the damage is met behind it.
        if random.random_ratio(7, 8) {
            mend(&mut bytes);
        }
        bytes
    }

    fn any(&self, random: &mut StdRng) -> &[u8] {
        self.corpus.choose(random).unwrap()
    }

    fn damage(&self, bytes: &mut Vec<u8>, random: &mut StdRng) {
        if bytes.is_empty() {
            bytes.push(random.random());
            return;
        }
        let parts = parts(bytes);
        match random.random_range(-6..18) {
            ..0 => flip(bytes, random),
            0..4 => rows(bytes, random),
            4 => {
                let start = random.random_range(0..bytes.len());
                bytes[start..].fill(0);
            }
            5 => bytes.truncate(random.random_range(0..bytes.len())),
            6 => {
                let tail = self.any(random);
                let tail = &tail[random.random_range(0..=tail.len())..];
                bytes.truncate(random.random_range(0..bytes.len()));
                bytes.extend_from_slice(tail);
            }
            7 => {
                let range = range(bytes.len(), random);
                let copy = bytes[range].to_vec();
                let place = random.random_range(0..=bytes.len());
                bytes.splice(place..place, copy);
            }
            8 => drop(bytes.drain(range(bytes.len(), random))),
            9 => {
                let noise: Vec<u8> = (0..random.random_range(1..64))
                    .map(|_| random.random())
                    .collect();
                let place = random.random_range(0..=bytes.len());
                bytes.splice(place..place, noise);
            }
            10 => {
                let Some(part) = parts.choose(random) else {
                    return flip(bytes, random);
                };
                let copy = bytes[part.clone()].to_vec();
                let place = parts.choose(random).map_or(0, |part| part.start);
                for _ in 0..random.random_range(1..=3) {
                    bytes.splice(place..place, copy.iter().copied());
                }
            }
            11 => {
                let Some(part) = parts.choose(random) else {
                    return flip(bytes, random);
                };
                bytes.drain(part.clone());
            }
            12 => {
                // Another image's part: of the same format more often than not does it fit.
                let other = self.any(random);
                let Some(part) = self::parts(other).choose(random).cloned() else {
                    return;
                };
                let place = parts.choose(random).map_or(0, |part| part.start);
                bytes.splice(place..place, other[part].iter().copied());
            }
            _ => field(bytes, &parts, random),
        }
    }
}

fn range(length: usize, random: &mut StdRng) -> Range<usize> {
    let start = random.random_range(0..length);
    let longest = if random.random() { 16 } else { 4096 };
    start..(start + random.random_range(1..=longest)).min(length)
}

/// Damages a PNG's unpacked data and packs them again; of other formats, flips any bits.
fn rows(bytes: &mut Vec<u8>, random: &mut StdRng) {
    let data = parts(bytes)
        .into_iter()
        .find(|part| bytes[part.start..].get(4..8) == Some(b"IDAT"));
    let Some(data) = data.filter(|data| data.len() >= 12) else {
        return flip(bytes, random);
    };
    let mut raw = Vec::new();
    let packed = &bytes[data.start + 8..data.end - 4];
    // As much as there is.
    let _ = ZlibDecoder::new(packed).take(1 << 20).read_to_end(&mut raw);
    if raw.is_empty() {
        return flip(bytes, random);
    }
    flip(&mut raw, random);
    if random.random_ratio(1, 4) {
        raw.truncate(random.random_range(0..raw.len()));
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&raw).unwrap();
    let packed = encoder.finish().unwrap();
    let length = u32::try_from(packed.len()).unwrap().to_be_bytes();
    let chunk = [&length[..], b"IDAT", &packed, &[0; 4]].concat();
    bytes.splice(data, chunk);
}

/// Some bits or bytes, now and then only near the start, where the headers are.
fn flip(bytes: &mut [u8], random: &mut StdRng) {
    let end = if random.random_ratio(2, 3) {
        bytes.len()
    } else {
        bytes.len().min(700)
    };
    for _ in 0..random.random_range(1..=4) {
        let byte = &mut bytes[random.random_range(0..end)];
        match random.random_range(0..4) {
            0 => *byte = random.random(),
            1 => *byte = *[0_u8, 1, 0x7F, 0x80, 0xFE, 0xFF].choose(random).unwrap(),
            _ => *byte ^= 1 << random.random_range(0..8),
        }
    }
}

/// Writes a number at a place near a part's start: its length, its dimensions, its counts.
fn field(bytes: &mut [u8], parts: &[Range<usize>], random: &mut StdRng) {
    let Some(part) = parts.choose(random) else {
        return flip(bytes, random);
    };
    let value = match random.random_range(0..4) {
        0 => random.random(),
        1 => random.random_range(0..1000),
        _ => *INTERESTING.choose(random).unwrap(),
    };
    let size = *[1, 2, 2, 3, 4, 4].choose(random).unwrap();
    let place = part.start + random.random_range(0..24.min(part.len()));
    let little = value.to_le_bytes();
    let big = value.to_be_bytes();
    let new = if random.random() {
        &little[..size]
    } else {
        &big[4 - size..]
    };
    for (byte, &new) in bytes[place..].iter_mut().zip(new) {
        *byte = new;
    }
}

/// The chunks or segments, headers included, as far as they make sense.
fn parts(bytes: &[u8]) -> Vec<Range<usize>> {
    if bytes.starts_with(b"\x89PNG") {
        chunks(bytes, 8, |header| {
            let length = u32::from_be_bytes(*header.first_chunk().unwrap());
            usize::try_from(length).unwrap().saturating_add(12)
        })
    } else if bytes.starts_with(b"RIFF") {
        chunks(bytes, 12, |header| {
            // A frame of an animation is opened up.
            if header.starts_with(b"ANMF") {
                return 24;
            }
            let length = u32::from_le_bytes(*header[4..].first_chunk().unwrap());
            usize::try_from(length)
                .unwrap()
                .next_multiple_of(2)
                .saturating_add(8)
        })
    } else if bytes.starts_with(b"\xFF\xD8") {
        segments(bytes)
    } else {
        Vec::new()
    }
}

fn chunks(bytes: &[u8], first: usize, length: impl Fn(&[u8]) -> usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut place = first;
    while let Some(header) = bytes.get(place..).and_then(|rest| rest.first_chunk::<8>()) {
        let end = place.saturating_add(length(header)).min(bytes.len());
        parts.push(place..end);
        place = end;
    }
    parts
}

fn segments(bytes: &[u8]) -> Vec<Range<usize>> {
    let markers: Vec<usize> = (2..bytes.len().saturating_sub(1))
        .filter(|&i| bytes[i] == 0xFF && matches!(bytes[i + 1], 0xC0..=0xCF | 0xD8..=0xFE))
        .collect();
    let ends = markers.iter().copied().skip(1).chain([bytes.len()]);
    markers
        .iter()
        .copied()
        .zip(ends)
        .map(|(start, end)| start..end)
        .collect()
}

/// Checksums and total lengths.
fn mend(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len()).unwrap();
    if bytes.starts_with(b"\x89PNG") {
        for part in parts(bytes) {
            if part.len() >= 12 {
                let (kind_and_data, sum) =
                    bytes[part.start + 4..part.end].split_at_mut(part.len() - 8);
                let mut crc = Crc::new();
                crc.update(kind_and_data);
                sum.copy_from_slice(&crc.sum().to_be_bytes());
            }
        }
    } else if bytes.starts_with(b"RIFF") && bytes.len() >= 8 {
        bytes[4..8].copy_from_slice(&(length - 8).to_le_bytes());
    }
}
