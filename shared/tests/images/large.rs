//! Images too large to keep: photos as large as cameras make them, and bombs. All made by code.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::corpus::{Outcome, read};

#[path = "deceitful.rs"]
mod deceitful;

/// An image to create.
pub(crate) struct Large {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The expected result; `None` if the image only must not do harm.
    pub(crate) outcome: Option<Outcome>,
    /// Progressive JPEGs may take more memory.
    pub(crate) progressive: bool,
}

/// The most bytes that are read.
const MOST_BYTES: usize = 10 * 1024 * 1024;
/// A photo of twelve megapixels.
const WIDE: u16 = 4000;
const HIGH: u16 = 3000;

/// All of them, each made when it is its turn.
pub(crate) fn all() -> impl Iterator<Item = Large> {
    jpegs()
        .into_iter()
        .chain(pngs())
        .chain(png_chunks())
        .chain(webps())
        .chain(deceitful::all())
        .map(|make| make())
}

type Make = Box<dyn FnOnce() -> Large>;

fn make(name: &str, outcome: Option<Outcome>, bytes: impl FnOnce() -> Vec<u8> + 'static) -> Make {
    let name = name.to_owned();
    Box::new(move || Large {
        bytes: bytes(),
        outcome,
        progressive: name.contains("progressive"),
        name,
    })
}

/// Gradients with grain: like a photo, it doesn't compress well.
fn grainy(channels: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut samples = Vec::with_capacity(usize::from(WIDE) * usize::from(HIGH) * channels);
    for y in 0..HIGH {
        for x in 0..WIDE {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [.., grain] = state.to_be_bytes().map(|byte| byte >> 4);
            let [_, across] = (x / 18).to_be_bytes();
            let [_, down] = (y / 14).to_be_bytes();
            let [noise, ..] = state.to_be_bytes();
            let noise = noise >> 3;
            let colours = [
                across / 2 + noise,
                down / 2 + noise,
                200 - across / 2 + grain,
                across / 3,
            ];
            samples.extend_from_slice(&colours[..channels]);
        }
    }
    samples
}

fn jpeg(
    colour: ColorType,
    channels: usize,
    sampling: SamplingFactor,
    progressive: bool,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 80);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(progressive);
    encoder
        .encode(&grainy(channels), WIDE, HIGH, colour)
        .unwrap();
    assert!(bytes.len() < MOST_BYTES, "{} bytes", bytes.len());
    bytes
}

fn jpegs() -> Vec<Make> {
    use ColorType::{Cmyk, CmykAsYcck, Luma, Rgb};
    use SamplingFactor::{F_1_1, F_2_1, F_2_2};
    let classified = Some(Outcome::Classified);
    vec![
        make("jpeg-baseline-420", classified, || {
            jpeg(Rgb, 3, F_2_2, false)
        }),
        make("jpeg-baseline-422", classified, || {
            jpeg(Rgb, 3, F_2_1, false)
        }),
        make("jpeg-baseline-444", classified, || {
            jpeg(Rgb, 3, F_1_1, false)
        }),
        make("jpeg-baseline-grey", classified, || {
            jpeg(Luma, 1, F_1_1, false)
        }),
        make("jpeg-baseline-cmyk", classified, || {
            jpeg(Cmyk, 4, F_1_1, false)
        }),
        make("jpeg-baseline-ycck", classified, || {
            jpeg(CmykAsYcck, 4, F_1_1, false)
        }),
        make("jpeg-progressive-420", classified, || {
            jpeg(Rgb, 3, F_2_2, true)
        }),
        make("jpeg-progressive-grey", classified, || {
            jpeg(Luma, 1, F_1_1, true)
        }),
        // May be refused for their memory.
        make("jpeg-progressive-444", None, || jpeg(Rgb, 3, F_1_1, true)),
        make("jpeg-progressive-cmyk", None, || jpeg(Cmyk, 4, F_1_1, true)),
        make("jpeg-scans-progressive", None, || scans(4600, 4600, 20_000)),
        make("jpeg-scans-wide-progressive", None, || {
            scans(65_000, 300, 20_000)
        }),
        make("jpeg-few-scans-progressive", None, || {
            scans(4600, 4600, 900)
        }),
        make("jpeg-exif-segments", None, || {
            segments(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0")
        }),
        make("jpeg-icc-segments", None, || {
            segments(0xE2, b"ICC_PROFILE\0\x01\xFF")
        }),
        make("jpeg-comments", None, || segments(0xFE, b"a cat")),
        make("jpeg-tables", None, tables),
        make("jpeg-trailing-bytes", classified, || {
            padded(read("jpeg-baseline-420.jpg"), MOST_BYTES)
        }),
        make("jpeg-too-many-bytes", Some(Outcome::TooLarge), || {
            padded(read("jpeg-baseline-420.jpg"), MOST_BYTES + 1)
        }),
        make("zeros", Some(Outcome::Unprocessable), || {
            vec![0; MOST_BYTES]
        }),
    ]
}

fn padded(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(length, 0);
    bytes
}

/// One segment, over and over, before an image.
fn segments(marker: u8, start: &[u8]) -> Vec<u8> {
    let mut segment = vec![0xFF, marker, 0xFF, 0xFF];
    segment.extend_from_slice(start);
    segment.resize(65_537, 1);
    let image = read("jpeg-baseline-420.jpg");
    let mut bytes = image[..2].to_vec();
    while bytes.len() + segment.len() + image.len() < MOST_BYTES {
        bytes.extend_from_slice(&segment);
    }
    bytes.extend_from_slice(&image[2..]);
    bytes
}

/// Huffman and quantisation tables, over and over.
fn tables() -> Vec<u8> {
    let image = read("jpeg-sampling-440.jpg");
    let start = 2;
    let scan = image
        .windows(2)
        .position(|pair| pair == [0xFF, 0xDA])
        .unwrap();
    let frame = image
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    let tables = [&image[start..frame], &image[frame + 19..scan]].concat();
    let mut bytes = image[..start].to_vec();
    while bytes.len() + tables.len() + image.len() < MOST_BYTES {
        bytes.extend_from_slice(&tables);
    }
    bytes.extend_from_slice(&image[start..]);
    bytes
}

/// A grey progressive JPEG whose every scan says in a few bytes that no block has anything: each makes the
/// decoder walk over all of them.
fn scans(width: u16, height: u16, count: usize) -> Vec<u8> {
    let mut bytes = b"\xFF\xD8\xFF\xDB\0\x43\0".to_vec();
    bytes.resize(bytes.len() + 64, 1);
    bytes.extend_from_slice(b"\xFF\xC2\0\x0B\x08");
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.extend_from_slice(&width.to_be_bytes());
    bytes.extend_from_slice(b"\x01\x01\x11\0");
    // One code of one bit in each table: no difference, and the longest run of empty blocks.
    for (table, symbol) in [(0, 0), (0x10, 0xE0)] {
        bytes.extend_from_slice(b"\xFF\xC4\0\x14");
        bytes.extend_from_slice(&[
            table, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, symbol,
        ]);
    }
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    bytes.extend_from_slice(b"\xFF\xDA\0\x08\x01\x01\0\0\0\0");
    bytes.resize(bytes.len() + blocks.div_ceil(8), 0);
    let scan = scan_of_nothing(width, height);
    for _ in 0..count {
        bytes.extend_from_slice(&scan);
    }
    bytes.extend_from_slice(b"\xFF\xD9");
    bytes
}

/// A scan of a grey progressive JPEG in which no block has anything. Its table has one code, of one bit: the
/// longest run of such blocks, of which fourteen bits say the length.
fn scan_of_nothing(width: u16, height: u16) -> Vec<u8> {
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    let mut bits = Bits::default();
    for _ in 0..blocks.div_ceil(32_767) {
        bits.push_high_first(0, 1);
        bits.push_high_first(0x3FFF, 14);
    }
    let mut scan = b"\xFF\xDA\0\x08\x01\x01\0\x01\x3F\0".to_vec();
    for byte in bits.high_first() {
        scan.push(byte);
        if byte == 0xFF {
            scan.push(0);
        }
    }
    scan
}

/// Colour types and interlacing as IHDR has them.
struct Png {
    width: u32,
    height: u32,
    depth: u8,
    colour: u8,
    interlaced: bool,
}

impl Png {
    const fn new(width: u32, height: u32, depth: u8, colour: u8) -> Self {
        Self {
            width,
            height,
            depth,
            colour,
            interlaced: false,
        }
    }

    /// The size of what is compressed.
    fn raw(&self) -> u64 {
        let channels: u64 = match self.colour {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        };
        let bits = channels * u64::from(self.depth);
        let pass = |across: u64, down: u64| {
            if across == 0 {
                0
            } else {
                down * (1 + (across * bits).div_ceil(8))
            }
        };
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        if !self.interlaced {
            return pass(width, height);
        }
        [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ]
        .into_iter()
        .map(|(x, y, across, down)| {
            pass(
                width.saturating_sub(x).div_ceil(across),
                height.saturating_sub(y).div_ceil(down),
            )
        })
        .sum()
    }

    /// All black.
    fn black(&self) -> Vec<u8> {
        self.with(&[], &zeros(self.raw()))
    }

    fn with(&self, chunks: &[(&[u8; 4], Vec<u8>)], data: &[u8]) -> Vec<u8> {
        let mut header = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        header.extend_from_slice(&[self.depth, self.colour, 0, 0, self.interlaced.into()]);
        let mut bytes = b"\x89PNG\r\n\x1A\n".to_vec();
        chunk(&mut bytes, *b"IHDR", &header);
        for (kind, body) in chunks {
            chunk(&mut bytes, **kind, body);
        }
        chunk(&mut bytes, *b"IDAT", data);
        chunk(&mut bytes, *b"IEND", &[]);
        bytes
    }
}

fn chunk(bytes: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&kind);
    bytes.extend_from_slice(body);
    let mut crc = flate2::Crc::new();
    crc.update(&kind);
    crc.update(body);
    bytes.extend_from_slice(&crc.sum().to_be_bytes());
}

/// Returns this many zeros, compressed: repeats the stream of one mebibyte, since compressing gigabytes would take a
/// minute.
fn zeros(length: u64) -> Vec<u8> {
    const BLOCK: usize = 1 << 20;
    let encoder = |zeros: usize| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; zeros]).unwrap();
        encoder
    };
    let length = usize::try_from(length).unwrap();
    let mut block = encoder(BLOCK);
    // Ends the block at a whole byte, and not the stream.
    block.flush().unwrap();
    let mut bytes = b"\x78\xDA".to_vec();
    bytes.extend(block.get_ref().repeat(length / BLOCK));
    bytes.extend(encoder(length % BLOCK).finish().unwrap());
    // Adler-32, whose second half counts zeros modulo its prime.
    let count = u16::try_from(length % 65_521).unwrap();
    bytes.extend(count.to_be_bytes());
    bytes.extend(1_u16.to_be_bytes());
    bytes
}

fn compressed(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A small image with a chunk before its data.
fn with_chunks(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let image = Png::new(40, 30, 8, 2);
    image.with(chunks, &zeros(image.raw()))
}

fn pngs() -> Vec<Make> {
    let classified = Some(Outcome::Classified);
    let too_large = Some(Outcome::TooLarge);
    let (wide, high) = (u32::from(WIDE), u32::from(HIGH));
    let interlaced = move |depth, colour| Png {
        interlaced: true,
        ..Png::new(wide, high, depth, colour)
    };
    vec![
        make("png-grey-grain", None, move || {
            // One in three rows, so that it stays below ten megabytes.
            let samples = grainy(1);
            let rows = samples.chunks_exact(usize::from(WIDE)).step_by(3);
            let raw: Vec<u8> = rows.flat_map(|row| [&[0], row].concat()).collect();
            Png::new(wide, high / 3, 8, 0).with(&[], &compressed(&raw))
        }),
        make("png-rgb-8", classified, move || {
            Png::new(wide, high, 8, 2).black()
        }),
        make("png-rgba-8", classified, move || {
            Png::new(wide, high, 8, 6).black()
        }),
        make("png-rgba-16", classified, move || {
            Png::new(wide, high, 16, 6).black()
        }),
        make("png-rgb-8-interlaced", None, move || {
            interlaced(8, 2).black()
        }),
        make("png-rgba-16-interlaced", None, move || {
            interlaced(16, 6).black()
        }),
        make("png-grey-1-interlaced", None, move || {
            interlaced(1, 0).black()
        }),
        make("png-grey-1-7000x7000", classified, || {
            Png::new(7000, 7000, 1, 0).black()
        }),
        make("png-rgba-16-7000x7000", None, || {
            Png::new(7000, 7000, 16, 6).black()
        }),
        make("png-rgba-16-65535x700", None, || {
            Png::new(65_535, 700, 16, 6).black()
        }),
        make("png-rgba-16-700x65535-interlaced", None, || {
            Png {
                interlaced: true,
                ..Png::new(700, 65_535, 16, 6)
            }
            .black()
        }),
        make("png-10000x10000", too_large, || {
            Png::new(10_000, 10_000, 1, 0).black()
        }),
        make("png-12000000x1", too_large, || {
            Png::new(12_000_000, 1, 16, 6).black()
        }),
        make("png-1x12000000", too_large, || {
            Png::new(1, 12_000_000, 16, 6).black()
        }),
        make("png-65535x1", classified, || {
            Png::new(65_535, 1, 16, 6).black()
        }),
        make("png-1x65535", classified, || {
            Png::new(1, 65_535, 16, 6).black()
        }),
        make("png-more-data-than-rows", None, || {
            let image = Png::new(40, 30, 8, 2);
            image.with(&[], &zeros(1_000_000_000))
        }),
        make("png-palette-interlaced", None, move || {
            interlaced(8, 3).with(&[(b"PLTE", vec![7; 768])], &zeros(interlaced(8, 3).raw()))
        }),
    ]
}

/// Small images with large or many chunks.
fn png_chunks() -> Vec<Make> {
    vec![
        make("png-iccp-bomb", None, || {
            with_chunks(&[(b"iCCP", [b"cat\0\0".to_vec(), zeros(500_000_000)].concat())])
        }),
        make("png-ztxt-bomb", None, || {
            with_chunks(&[(b"zTXt", [b"cat\0\0".to_vec(), zeros(500_000_000)].concat())])
        }),
        make("png-itxt-bomb", None, || {
            with_chunks(&[(
                b"iTXt",
                [b"cat\0\x01\0\0\0".to_vec(), zeros(500_000_000)].concat(),
            )])
        }),
        make("png-many-texts", None, || {
            let text = || (b"tEXt", b"cat\0a cat, a cat, a cat, a cat".to_vec());
            with_chunks(
                &std::iter::repeat_with(text)
                    .take(200_000)
                    .collect::<Vec<_>>(),
            )
        }),
        make("png-one-text", None, || {
            with_chunks(&[(b"tEXt", padded(b"cat\0".to_vec(), MOST_BYTES - 500))])
        }),
        make("png-unknown-chunk", None, || {
            with_chunks(&[(b"caTs", vec![1; MOST_BYTES - 500])])
        }),
        make("png-many-empty-data-chunks", None, || {
            with_chunks(
                &std::iter::repeat_with(|| (b"IDAT", Vec::new()))
                    .take(500_000)
                    .collect::<Vec<_>>(),
            )
        }),
        make("png-exif-of-nothing", None, || {
            with_chunks(&[(b"eXIf", exif_text(MOST_BYTES - 500))])
        }),
        make("png-exif-entries", None, || {
            with_chunks(&[(b"eXIf", exif_entries(MOST_BYTES - 500))])
        }),
    ]
}

/// EXIF whose orientation is a text of millions of empty strings.
fn exif_text(length: usize) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0".to_vec();
    bytes.extend_from_slice(&u32::try_from(length - 26).unwrap().to_le_bytes());
    bytes.extend_from_slice(b"\x1A\0\0\0\0\0\0\0");
    padded(bytes, length)
}

/// EXIF with as many entries as there can be, each of which says that all of it is its value.
fn exif_entries(length: usize) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0\xFF\xFF".to_vec();
    for tag in 0..=0xFFFE_u16 {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(b"\x02\0");
        bytes.extend_from_slice(&u32::try_from(length - 8).unwrap().to_le_bytes());
        bytes.extend_from_slice(b"\x08\0\0\0");
    }
    padded(bytes, length)
}

fn webps() -> Vec<Make> {
    vec![
        make("webp-lossless-grain", None, || {
            let mut bytes = Vec::new();
            let encoder = image_webp::WebPEncoder::new(&mut bytes);
            let (width, height) = (1500, 1600);
            let samples = &grainy(3)[..1500 * 1600 * 3];
            encoder
                .encode(samples, width, height, image_webp::ColorType::Rgb8)
                .unwrap();
            bytes
        }),
        make("webp-lossless-12-megapixels", None, || {
            let mut bytes = Vec::new();
            let encoder = image_webp::WebPEncoder::new(&mut bytes);
            let samples = vec![7; usize::from(WIDE) * usize::from(HIGH) * 4];
            encoder
                .encode(
                    &samples,
                    WIDE.into(),
                    HIGH.into(),
                    image_webp::ColorType::Rgba8,
                )
                .unwrap();
            bytes
        }),
        make("webp-huffman-bomb", None, || {
            riff(&[(b"VP8L", huffman_bomb(16, 16))])
        }),
        make("webp-huffman-bomb-alpha", None, || {
            let alpha = [&[1], &huffman_bomb(161, 160)[5..]].concat();
            let image = read("webp-size-161x160.webp");
            riff(&[
                (b"VP8X", b"\x10\0\0\0\xA0\0\0\x9F\0\0".to_vec()),
                (b"ALPH", alpha),
                (b"VP8 ", image[20..].to_vec()),
            ])
        }),
        make("webp-exif-of-nothing", None, || {
            with_exif(exif_text(MOST_BYTES - 9000))
        }),
        make("webp-exif-entries", None, || {
            with_exif(exif_entries(MOST_BYTES - 9000))
        }),
        make("webp-many-chunks", None, || {
            let chunks = std::iter::repeat_with(|| (b"CATS", Vec::new())).take(1_000_000);
            let image = read("webp-size-161x160.webp");
            let header = (b"VP8X", b"\0\0\0\0\xA0\0\0\x9F\0\0".to_vec());
            riff(
                &[header]
                    .into_iter()
                    .chain(chunks)
                    .chain([(b"VP8 ", image[20..].to_vec())])
                    .collect::<Vec<_>>(),
            )
        }),
        make("webp-many-frames", None, || {
            let image = read("webp-size-17x33.webp");
            let mut frame = b"\0\0\0\0\0\0\x10\0\0\x20\0\0\x64\0\0\0".to_vec();
            frame.extend_from_slice(&image[12..]);
            let frames =
                std::iter::repeat_with(|| (b"ANMF", frame.clone())).take(9_000_000 / frame.len());
            let start = [
                (b"VP8X", b"\x02\0\0\0\x10\0\0\x20\0\0".to_vec()),
                (b"ANIM", vec![0; 6]),
            ];
            riff(&start.into_iter().chain(frames).collect::<Vec<_>>())
        }),
        make("webp-trailing-bytes", None, || {
            padded(read("webp-lossless.webp"), MOST_BYTES)
        }),
    ]
}

fn with_exif(block: Vec<u8>) -> Vec<u8> {
    let image = read("webp-size-161x160.webp");
    riff(&[
        (b"VP8X", b"\x08\0\0\0\xA0\0\0\x9F\0\0".to_vec()),
        (b"VP8 ", image[20..].to_vec()),
        (b"EXIF", block),
    ])
}

fn riff(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, data) in chunks {
        body.extend_from_slice(*kind);
        body.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    [
        b"RIFF",
        &u32::try_from(body.len()).unwrap().to_le_bytes()[..],
        &body,
    ]
    .concat()
}

/// Lossless data of a small image that brings 65,536 groups of five Huffman codes, each of which takes a dozen
/// bytes to say and four thousand to decode with.
fn huffman_bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0x2F, 8);
    bits.push(width - 1, 14);
    bits.push(height - 1, 14);
    bits.push(0, 4); // no alpha, version 0
    bits.push(0, 2); // no transform, no colour cache
    bits.push(1, 1); // several groups,
    bits.push(0, 3); // one for each four by four pixels,
    bits.push(0, 1);
    for value in [255, 255, 0, 0, 0] {
        // of whose numbers all are 65,535: codes of a single symbol.
        bits.push(0b101, 3);
        bits.push(value, 8);
    }
    for _ in 0..65_536 * 5 {
        huffman_code(&mut bits);
    }
    // The pixels.
    bits.push(0, 32);
    let mut bytes = bits.low_first();
    bytes.resize(bytes.len() + 4096, 0);
    bytes
}

/// A code with lengths 1, 2 ... 9, 10, 10.
fn huffman_code(bits: &mut Bits) {
    bits.push(0, 1);
    // The lengths of the codes for lengths: three bits for 1 to 6, four for 7 to 10, none for all others. In the
    // format's order: 17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10.
    let lengths = [0, 0, 0, 3, 3, 3, 3, 3, 0, 3, 4, 4, 4, 4];
    bits.push(10, 4);
    for length in lengths {
        bits.push(length, 3);
    }
    // Eleven symbols have a length.
    bits.push(1, 1);
    bits.push(1, 3);
    bits.push(9, 4);
    for length in (1..=10).chain([10]) {
        match length {
            1..=6 => bits.push_high_first(length - 1, 3),
            _ => bits.push_high_first(12 + length - 7, 4),
        }
    }
}

/// A stream of bits.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    /// The lowest first.
    fn push(&mut self, value: u32, count: u32) {
        self.0.extend((0..count).map(|bit| value >> bit & 1 == 1));
    }

    /// The highest first.
    fn push_high_first(&mut self, value: u32, count: u32) {
        self.0
            .extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    /// Bytes that are read from their lowest bit.
    fn low_first(&self) -> Vec<u8> {
        self.0
            .chunks(8)
            .map(|bits| {
                bits.iter()
                    .rev()
                    .fold(0, |byte, &bit| byte << 1 | u8::from(bit))
            })
            .collect()
    }

    /// Bytes that are read from their highest bit, the last filled up with ones.
    fn high_first(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            (0..8).fold(0, |byte, i| {
                byte << 1 | u8::from(bits.get(i).copied().unwrap_or(true))
            })
        };
        self.0.chunks(8).map(byte).collect()
    }
}
