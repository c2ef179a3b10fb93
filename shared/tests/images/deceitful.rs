//! Images that look harmless to a check that reads them in another way than the decoder.

use super::super::corpus::Outcome;
use super::{Bits, Make, huffman_code, make, riff, scan_of_nothing};

pub(super) fn all() -> Vec<Make> {
    let broken = Some(Outcome::Unprocessable);
    vec![
        make("webp-transforms-again", broken, || {
            riff(&[(b"VP8L", transforms(1600, 1600, 20_000))])
        }),
        make("webp-groups-by-order", Some(Outcome::TooLarge), || {
            riff(&[(b"VP8L", groups())])
        }),
        make("webp-too-many-words", broken, || {
            riff(&[(b"VP8L", too_many_words())])
        }),
        make(
            "jpeg-hidden-frame-progressive",
            Some(Outcome::TooLarge),
            || {
                let frame = frame(0xC0, 8, 8, 1);
                jpeg(0xC2, 7071, 7070, 3, &hidden(&frame), &[])
            },
        ),
        make("jpeg-hidden-end-progressive", broken, || {
            let scans = scan_of_nothing(4400, 4400).repeat(8_000);
            jpeg(
                0xC2,
                4400,
                4400,
                1,
                &[],
                &[hidden(b"\xFF\xD9"), scans].concat(),
            )
        }),
        make("jpeg-long-scan-headers-progressive", broken, || {
            let mut scan = scan_of_nothing(4400, 4400);
            scan[2..4].fill(0xFF);
            jpeg(0xC2, 4400, 4400, 1, &[], &scan.repeat(8_000))
        }),
        make("jpeg-second-frame", Some(Outcome::TooLarge), || {
            jpeg(0xC0, 691, 11_500, 3, &[], &frame(0xC0, 8, 8, 1))
        }),
    ]
}

/// The start of lossless WebP data.
fn lossless(width: u32, height: u32) -> Bits {
    let mut bits = Bits::default();
    bits.push(0x2F, 8);
    bits.push(width - 1, 14);
    bits.push(height - 1, 14);
    bits.push(0, 4); // no alpha, version 0
    bits
}

/// A code whose only word has no bits: an image in such codes has none either, however large it is.
fn one_word(bits: &mut Bits) {
    bits.push(0b001, 3);
    bits.push(0, 1);
}

/// The same transform again and again, each with an image of a sixteenth of the size.
fn transforms(width: u32, height: u32, count: usize) -> Vec<u8> {
    let mut bits = lossless(width, height);
    for _ in 0..count {
        bits.push(1, 1);
        bits.push(0, 2 + 3);
        bits.push(0, 1);
        (0..5).for_each(|_| one_word(&mut bits));
    }
    bits.push(0, 64);
    bits.low_first()
}

/// One group or 65,281 of them, by which of two symbols a bit of zero means: that which is written first.
fn groups() -> Vec<u8> {
    let mut bits = lossless(64, 64);
    bits.push(0, 2); // no transform, no colour cache
    bits.push(1, 1); // several groups,
    bits.push(0, 3); // one for each four by four pixels,
    bits.push(0, 1);
    one_word(&mut bits);
    bits.push(0b111, 3);
    bits.push(255, 8);
    bits.push(0, 8);
    (0..3).for_each(|_| one_word(&mut bits));
    bits.push(0, 32);
    for _ in 1..256 / 32 {
        bits.push(0, 32);
    }
    for _ in 0..65_281 * 5 {
        huffman_code(&mut bits);
    }
    bits.push(0, 32);
    let mut bytes = bits.low_first();
    bytes.resize(bytes.len() + 4096, 0);
    bytes
}

/// A code of lengths 1, 1, 1, 2, 3 ... 14, 15, 15: twice as many words as there can be.
fn too_many_words() -> Vec<u8> {
    let mut bits = lossless(64, 64);
    bits.push(0, 3); // no transform, no colour cache, one group
    bits.push(0, 1);
    // The lengths 0 to 15 are said in four bits each. In the format's order: 17, 18, 0, 1 ... 5, 16, 6 ... 15.
    bits.push(15, 4);
    for place in 0..19 {
        bits.push(if [0, 1, 8].contains(&place) { 0 } else { 4 }, 3);
    }
    bits.push(1, 1);
    bits.push(2, 3);
    bits.push(18 - 2, 6);
    for length in [1, 1].into_iter().chain(1..=15).chain([15]) {
        bits.push_high_first(length, 4);
    }
    (0..4).for_each(|_| one_word(&mut bits));
    let mut bytes = bits.low_first();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A JPEG whose first scan says in a bit each that nothing changes, with something before that and after it.
fn jpeg(kind: u8, width: u16, height: u16, components: u8, before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xFF\xD8\xFF\xDB\0\x43\0".to_vec();
    bytes.resize(bytes.len() + 64, 1);
    // One code of one bit in each table: no difference; the end of the block, or the longest run of empty blocks.
    let symbol = if kind == 0xC0 { 0 } else { 0xE0 };
    for (table, symbol) in [(0, 0), (0x10, symbol)] {
        bytes.extend_from_slice(&[0xFF, 0xC4, 0, 0x14, table, 1]);
        bytes.resize(bytes.len() + 15, 0);
        bytes.push(symbol);
    }
    bytes.extend_from_slice(&frame(kind, width, height, components));
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(&[0xFF, 0xDA, 0, 6 + 2 * components, components]);
    for component in 1..=components {
        bytes.extend_from_slice(&[component, 0]);
    }
    let last = if kind == 0xC0 { 63 } else { 0 };
    bytes.extend_from_slice(&[0, last, 0]);
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    let codes = if kind == 0xC0 { 2 } else { 1 };
    let bits = blocks * usize::from(components) * codes;
    bytes.resize(bytes.len() + bits.div_ceil(8), 0);
    bytes.extend_from_slice(after);
    bytes.extend_from_slice(b"\xFF\xD9");
    bytes
}

/// A frame header without subsampling.
fn frame(kind: u8, width: u16, height: u16, components: u8) -> Vec<u8> {
    let mut bytes = vec![0xFF, kind, 0, 8 + 3 * components, 8];
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.extend_from_slice(&width.to_be_bytes());
    bytes.push(components);
    for component in 1..=components {
        bytes.extend_from_slice(&[component, 0x11, 0]);
    }
    bytes
}

/// In a segment of a kind that has no length, unless the decoder thinks it has.
fn hidden(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [b"\xFF\x01", &length[..], content].concat()
}
