//! Widths, orientation and thumbhashes.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use purrline::picture::Picture;

use crate::exif::{STORED_QUARTERS, exif};

use super::{Shown, images, pictures};

/// Red, green, blue and yellow.
const COLOURS: [[u8; 3]; 4] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]];

/// Four quarters of different colours: the two above, then the two below.
fn quarters(width: u16, height: u16, order: [usize; 4]) -> Vec<u8> {
    let (across, down) = (usize::from(width), usize::from(height));
    (0..across * down)
        .flat_map(|place| {
            let (right, low) = (place % across >= across / 2, place / across >= down / 2);
            COLOURS[order[usize::from(right) + 2 * usize::from(low)]]
        })
        .collect()
}

fn check_quarters(picture: &Picture, name: &str) {
    let shown = Shown::of(picture);
    let (w, h) = (picture.width, picture.height);
    let near =
        |got: [u8; 3], wanted: [u8; 3]| got.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 3);
    let [red, green, blue, yellow] = COLOURS;
    for (x, y, wanted) in [
        (1, 1, red),
        (w - 2, 1, green),
        (1, h - 2, blue),
        (w - 2, h - 2, yellow),
        (w * 45 / 100, h * 45 / 100, red),
        (w * 55 / 100, h * 55 / 100, yellow),
    ] {
        let got = shown.at(x, y);
        assert!(near(got, wanted), "{name} as {w}x{h}: {got:?} at {x}, {y}");
    }
}

fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 95);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    let samples = quarters(width, height, [0, 1, 2, 3]);
    encoder
        .encode(&samples, width, height, ColorType::Rgb)
        .unwrap();
    file
}

#[test]
fn widths_are_those_that_the_upload_reaches() {
    for (width, height, expected) in [
        (1, 1, vec![(1, 1)]),
        (319, 100, vec![(319, 100)]),
        (320, 100, vec![(320, 100)]),
        (639, 1000, vec![(320, 501)]),
        (640, 3, vec![(320, 2), (640, 3)]),
        (1279, 959, vec![(320, 240), (640, 480)]),
        (1280, 960, vec![(320, 240), (640, 480), (1280, 960)]),
        (1920, 1080, vec![(320, 180), (640, 360), (1280, 720)]),
        (1080, 1920, vec![(320, 569), (640, 1138)]),
        (4000, 3000, vec![(320, 240), (640, 480), (1280, 960)]),
        (3000, 4000, vec![(320, 427), (640, 853), (1280, 1707)]),
        (5000, 20, vec![(320, 1), (640, 3), (1280, 5)]),
    ] {
        let made = pictures("jpeg", &jpeg(width, height));
        let sizes: Vec<_> = made
            .sizes
            .iter()
            .map(|one| (one.width, one.height))
            .collect();
        assert_eq!(sizes, expected, "{width}x{height}");
        for picture in &made.sizes {
            // Checks width and height.
            let shown = Shown::of(picture);
            assert_eq!(shown.pixels.len(), picture.width * picture.height);
        }
    }
}

#[test]
fn quarters_stay_where_they_were_at_every_width() {
    for (width, height) in [(700, 500), (4000, 3000), (3000, 4000), (2559, 2600)] {
        for picture in pictures("jpeg", &jpeg(width, height)).sizes {
            check_quarters(&picture, &format!("{width}x{height}"));
        }
    }
}

#[test]
fn every_orientation_is_shown_upright() {
    for (seen_width, seen_height) in [(400, 300), (1300, 2700), (4000, 3000)] {
        for (tag, order) in (1..).zip(STORED_QUARTERS) {
            let (width, height) = if tag < 5 {
                (seen_width, seen_height)
            } else {
                (seen_height, seen_width)
            };
            let mut file = Vec::new();
            let mut encoder = Encoder::new(&mut file, 95);
            let block = [b"Exif\0\0", &exif(tag)[..]].concat();
            encoder.add_app_segment(1, block).unwrap();
            encoder
                .encode(
                    &quarters(width, height, order),
                    width,
                    height,
                    ColorType::Rgb,
                )
                .unwrap();
            for picture in pictures("turned", &file).sizes {
                let (w, h) = (picture.width, picture.height);
                let expected = (w * usize::from(seen_height)).div_euclid(usize::from(seen_width));
                assert!(h.abs_diff(expected) <= 1, "orientation {tag}: {w}x{h}");
                check_quarters(
                    &picture,
                    &format!("orientation {tag} of {seen_width}x{seen_height}"),
                );
            }
        }
    }
}

/// Every image that the classifier reads becomes pictures; of the others, only those listed here do.
#[test]
fn every_image_of_the_corpus_becomes_pictures() {
    for (name, upload) in images("images") {
        let made = pictures(&name, &upload);
        assert!(!made.sizes.is_empty(), "{name}");
        assert!(
            (5..=30).contains(&made.thumbhash.len()),
            "{name}: {:?}",
            made.thumbhash
        );
    }
    for (name, upload) in images("images/refused") {
        let made = purrline::picture::render(&upload);
        // The classifier has less memory, and takes whole files only.
        let shown = [
            "png-chunk-past-end.png",
            "png-data-crc.png",
            "png-too-few-rows.png",
            "webp-4000x3000.webp",
        ];
        assert_eq!(made.is_ok(), shown.contains(&name.as_str()), "{name}");
    }
}
