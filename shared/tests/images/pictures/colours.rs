//! Colours against those that `LittleCMS` computes: `tests/pictures`, as `tools/pictures/draw.py` has drawn it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jpeg_encoder::{ColorType, Encoder};
use moxcms::ColorProfile;

use super::{Shown, images, pictures};
use crate::corpus::repository;

/// The side of a patch, and the number of patches across.
const SIDE: usize = 40;
const ACROSS: usize = 8;

/// The greatest difference of a sample.
const TOLERANCE: u8 = 2;

#[test]
fn colours_are_those_of_littlecms() {
    let golden = repository().join("tests/pictures/colours.json");
    let golden = std::fs::read(golden).unwrap();
    let mut golden: BTreeMap<String, Vec<[u8; 3]>> = serde_json::from_slice(&golden).unwrap();
    let mut wrong = Vec::new();
    for (name, upload) in images("pictures") {
        let pictures = pictures(&name, &upload);
        let [picture] = pictures.sizes.as_slice() else {
            panic!("{name} is as wide as the smallest picture");
        };
        let shown = Shown::of(picture);
        for (place, expected) in golden.remove(&name).unwrap().into_iter().enumerate() {
            let (x, y) = (place % ACROSS, place / ACROSS);
            let got = shown.at(x * SIDE + SIDE / 2, y * SIDE + SIDE / 2);
            let differs = |(got, expected): (&u8, &u8)| got.abs_diff(*expected) > TOLERANCE;
            if got.iter().zip(&expected).any(differs) {
                wrong.push(format!("{name}, patch {place}: {got:?}, not {expected:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(golden.is_empty(), "not there: {golden:?}");
}

/// Returns a flat JPEG with this profile.
fn with_profile(profile: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 95);
    encoder.add_icc_profile(profile).unwrap();
    let samples = [200, 60, 60].repeat(64 * 64);
    encoder.encode(&samples, 64, 64, ColorType::Rgb).unwrap();
    file
}

fn colour(upload: &[u8]) -> [u8; 3] {
    Shown::of(&pictures("flat", upload).sizes[0]).at(32, 32)
}

#[test]
fn profiles_of_more_than_4_mib_are_ignored() {
    let mut profile = ColorProfile::new_display_p3().encode().unwrap();
    let applied = colour(&with_profile(&profile));
    let mut lengthen = |length: usize| {
        profile.resize(length, 0);
        let size = u32::try_from(length).unwrap();
        profile[..4].copy_from_slice(&size.to_be_bytes());
        colour(&with_profile(&profile))
    };
    assert_eq!(lengthen(4 * 1024 * 1024), applied);
    let ignored = lengthen(4 * 1024 * 1024 + 1);
    assert!(
        ignored[0].abs_diff(applied[0]) > 10,
        "{ignored:?} and {applied:?}"
    );
}

/// Every tag names the same table of megabytes, which would be parsed thousands of times.
#[test]
fn profiles_with_very_many_tags_are_ignored() {
    let (tags, table) = (100_000_usize, 1_800_000_usize);
    let press = std::fs::read(repository().join("tests/pictures/press.jpg")).unwrap();
    let at = press.windows(4).position(|name| name == b"acsp").unwrap() - 36;
    let mut profile = press[at..at + 128].to_vec();
    // A profile of RGB, whose table has 84 points a side.
    profile[16..20].copy_from_slice(b"RGB ");
    profile.extend(u32::try_from(tags).unwrap().to_be_bytes());
    let place = 132 + tags * 12;
    for _ in 0..tags {
        profile.extend(b"A2B0");
        profile.extend(u32::try_from(place).unwrap().to_be_bytes());
        profile.extend(u32::try_from(table).unwrap().to_be_bytes());
    }
    profile.extend(b"mft1\0\0\0\0\x03\x03\x54\0");
    profile.resize(place + table, 0x80);
    let size = u32::try_from(profile.len()).unwrap();
    profile[..4].copy_from_slice(&size.to_be_bytes());
    let started = Instant::now();
    colour(&with_profile(&profile));
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}
