//! Uploads that were cut short are shown as far as they go, if at least nine tenths are there.

use jpeg_encoder::{ColorType, Encoder};
use purrline::picture::render;

use super::Shown;

const SIDE: u16 = 300;

/// A gradient with grain, so that all parts of the file are about equally long.
fn grainy() -> Vec<u8> {
    let mut state = 1_u32;
    let side = usize::from(SIDE);
    (0..side * side * 3)
        .map(|place| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [grain, ..] = state.to_be_bytes();
            u8::try_from(place / side / 6).unwrap() + grain / 4
        })
        .collect()
}

fn jpeg(progressive: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 90);
    encoder.set_progressive(progressive);
    encoder
        .encode(&grainy(), SIDE, SIDE, ColorType::Rgb)
        .unwrap();
    file
}

fn png() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIDE.into(), SIDE.into());
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&grainy()).unwrap();
    writer.finish().unwrap();
    file
}

fn part(file: &[u8], percent: usize) -> &[u8] {
    &file[..file.len() * percent / 100]
}

#[test]
fn files_cut_short_are_shown_where_nine_tenths_are_there() {
    for (name, file) in [("JPEG", jpeg(false)), ("PNG", png())] {
        for percent in [93, 96, 99] {
            let whole = Shown::of(&render(&file).unwrap().sizes[0]);
            let made = render(part(&file, percent));
            let made = made.unwrap_or_else(|error| panic!("{percent} % of a {name}: {error:?}"));
            let shown = Shown::of(&made.sizes[0]);
            // What is there is shown as it was.
            let there = usize::from(SIDE) * usize::from(SIDE) * 85 / 100;
            assert_eq!(
                shown.pixels[..there],
                whole.pixels[..there],
                "{percent} % of a {name}"
            );
        }
        for percent in [10, 50, 85] {
            assert!(
                render(part(&file, percent)).is_err(),
                "{percent} % of a {name}"
            );
        }
    }
}

/// Half of an interlaced image's pixels are in a quarter of its rows, the last.
#[test]
fn an_interlaced_png_is_shown_only_whole() {
    let file = crate::corpus::read("png-rgb-8-interlaced.png");
    assert!(
        render(&file[..file.len() - 12]).is_ok(),
        "only its end is missing"
    );
    for percent in [50, 93, 96] {
        assert!(render(part(&file, percent)).is_err(), "{percent} %");
    }
}

/// Otherwise a component would be missing, or all details.
#[test]
fn a_jpeg_without_whole_scans_is_refused() {
    let separate = crate::corpus::read("jpeg-separate-scans-420.jpg");
    assert!(
        render(part(&separate, 70)).is_err(),
        "a component is missing"
    );
    let progressive = jpeg(true);
    let mut scans = progressive.windows(2).enumerate();
    let mut scan = || scans.find(|(_, bytes)| *bytes == [0xFF, 0xDA]).unwrap().0;
    let (_, second) = (scan(), scan());
    assert!(
        render(&progressive[..second]).is_err(),
        "only the first scan is there"
    );
    for percent in [10, 30] {
        assert!(render(part(&progressive, percent)).is_err(), "{percent} %");
    }
}

#[test]
fn files_without_their_last_bytes_are_shown() {
    for (name, file, last) in [
        ("JPEG", jpeg(false), 2),
        ("progressive JPEG", jpeg(true), 2),
        ("progressive JPEG", jpeg(true), 40),
        ("PNG", png(), 12),
        ("PNG", png(), 4),
    ] {
        let made = render(&file[..file.len() - last]);
        assert!(
            made.is_ok(),
            "a {name} without {last} bytes: {:?}",
            made.err()
        );
    }
}
