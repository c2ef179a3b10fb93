//! Tests of each part by itself. Whole images are compared with Pillow's pixels and ONNX Runtime's answers in
//! `shared/tests/images`.

use std::path::PathBuf;

use image_webp::ColorType;

use super::framing::Axis;
use super::*;
use crate::decode::MAX_PIXELS;
use crate::decode::tests::{bomb, exif, png, webp};
use crate::domain::UPLOAD_MAX_BYTES;

const SIDE: usize = 24;

fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model")
}

#[test]
fn probabilities_sum_to_one_and_come_in_order() {
    let classifier = Classifier::load(&model()).unwrap();
    let grey = webp(ColorType::L8, 3, 2, &[9, 90, 200, 7, 77, 255]);
    let breeds = classifier.classify(&grey).unwrap();
    assert_eq!(breeds.len(), BREEDS.len());
    assert!(breeds.is_sorted_by(|a, b| a.probability >= b.probability));
    let sum: f32 = breeds.iter().map(|breed| breed.probability).sum();
    assert!((sum - 1.0).abs() < 1e-6);
    let first = serde_json::to_value(breeds[0]).unwrap();
    assert_eq!(first["breed"], breeds[0].breed.id);
    assert_eq!(first["name"]["ko"], breeds[0].breed.name.ko);
    assert!(first["probability"].is_f64());
    assert_eq!(classifier.model().name, "resnet18-cats");
    assert!(!classifier.model().version.is_empty());
}

#[test]
fn softmax_handles_large_values() {
    let halves = softmax([1000.0, 1000.0]).map(f32::to_bits);
    assert_eq!(halves, [0.5_f32, 0.5].map(f32::to_bits));
    let sure = softmax([0.0, -1000.0]).map(f32::to_bits);
    assert_eq!(sure, [1.0_f32, 0.0].map(f32::to_bits));
}

#[test]
fn missing_or_truncated_model_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Classifier::load(folder.path()).is_err());
    let graph = "resnet18-cats.onnx";
    std::fs::copy(model().join(graph), folder.path().join(graph)).unwrap();
    assert!(Classifier::load(folder.path()).is_err());
    std::fs::write(folder.path().join("resnet18-cats.onnx.data"), [0; 100]).unwrap();
    assert!(Classifier::load(folder.path()).is_err());
}

#[test]
fn frames_match_those_of_torchvision() {
    // Resize(26) and CenterCrop(24) by torchvision: the number of columns it makes for 26 rows, and the first that it
    // keeps.
    for (width, height, resized, offset) in [(300, 200, 39, 8), (333, 200, 43, 10), (1, 1, 26, 1)] {
        let short = width.min(height);
        let frame = Axis::new(width, short, SIDE).strip(1, 1);
        let start = frame.frame(false).start + f64::from(u32::try_from(frame.range.start).unwrap());
        let scale = f64::from(u32::try_from(width).unwrap()) / f64::from(resized);
        assert!(
            (start - f64::from(offset) * scale).abs() < 1e-9,
            "{width}×{height}: {start}"
        );
        let seen = frame.frame(false).end - frame.frame(false).start;
        assert!((seen - 24.0 * scale).abs() < 1e-9);
    }
}

#[test]
fn rotated_image_has_the_pixels_of_the_upright_one() {
    // Red above green, each a half.
    let standing: Vec<u8> = [[255, 0, 0], [0, 255, 0]]
        .map(|colour| colour.repeat(50 * 60))
        .concat();
    let upright = pixels(&png(60, 100, &standing, None), SIDE).unwrap();
    let lying: Vec<u8> = (0..60)
        .flat_map(|_| [[255, 0, 0], [0, 255, 0]].map(|c| c.repeat(50)))
        .flatten()
        .collect();
    let turned = pixels(&png(100, 60, &lying, Some(exif(5))), SIDE).unwrap();
    assert_eq!(upright, turned);
    assert_eq!(upright[..3], [255, 0, 0]);
    assert_eq!(upright[upright.len() - 3..], [0, 255, 0]);
}

#[test]
fn transparent_pixels_become_white() {
    let clear = webp(ColorType::Rgba8, 2, 1, &[9, 9, 9, 0, 9, 9, 9, 0]);
    assert_eq!(pixels(&clear, SIDE).unwrap(), vec![255; SIDE * SIDE * 3]);
    let half = webp(ColorType::La8, 1, 1, &[0, 128]);
    assert_eq!(pixels(&half, SIDE).unwrap(), vec![127; SIDE * SIDE * 3]);
}

#[test]
fn a_large_image_keeps_its_colours() {
    // Far larger than the model needs, with prime sides.
    let flat = [10, 100, 250].repeat(1009 * 757);
    let flat = pixels(&png(1009, 757, &flat, None), SIDE).unwrap();
    assert_eq!(flat, [10, 100, 250].repeat(SIDE * SIDE));
}

#[test]
fn animated_png_is_decoded_to_its_first_frame() {
    let (width, height) = (200, 200);
    // Noise does not compress, so the second picture is long enough to be left out.
    let noise = |seed: u32| -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [byte, ..] = state.to_be_bytes();
            byte
        };
        std::iter::repeat_with(next).take(200 * 200 * 3).collect()
    };
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, width, height);
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&noise(1)).unwrap();
    writer.write_image_data(&noise(2)).unwrap();
    writer.finish().unwrap();
    let alone = png(width, height, &noise(1), None);
    assert!(file.len() > alone.len() + 100_000);
    assert_eq!(pixels(&file, SIDE).unwrap(), pixels(&alone, SIDE).unwrap());
}

#[test]
fn other_formats_are_not_an_image() {
    for other in [
        &b""[..],
        b"\xFF\xD8",
        b"GIF89a",
        b"RIFF\0\0\0\0WAVE",
        b"<svg>",
        &[0; 100],
    ] {
        assert!(
            matches!(pixels(other, SIDE), Err(ImageError::NotAnImage)),
            "{other:?}"
        );
    }
}

#[test]
fn limits_are_checked_from_the_header() {
    let limited = |file: &[u8]| pixels(file, SIDE).unwrap_err();
    // At the limit, the only problem is that the rest is missing.
    assert!(matches!(
        limited(&bomb(10_000, 5_000)),
        ImageError::Broken(_)
    ));
    assert!(matches!(
        limited(&bomb(10_000, 5_001)),
        ImageError::TooManyPixels { limit: MAX_PIXELS }
    ));
    assert!(matches!(limited(&bomb(65_535, 1)), ImageError::Broken(_)));
    assert!(matches!(limited(&bomb(65_536, 1)), ImageError::TooLong));
    let large = vec![0; usize::try_from(UPLOAD_MAX_BYTES).unwrap() + 1];
    assert!(matches!(limited(&large), ImageError::TooManyBytes));
    // The image compresses to almost nothing, but takes 8 bytes a pixel to decode.
    let (width, height) = (2000, 2000);
    let lossless = webp(ColorType::L8, width, height, &vec![0; 4_000_000]);
    assert!(matches!(
        limited(&lossless),
        ImageError::TooManyPixels {
            limit: 2_900_000..=3_000_000
        }
    ));
}

#[test]
fn truncated_file_is_broken() {
    let data: Vec<u8> = (0_u8..=255).cycle().take(40 * 30 * 3).collect();
    for file in [
        png(40, 30, &data, None),
        webp(ColorType::Rgb8, 40, 30, &data),
    ] {
        assert!(pixels(&file, SIDE).is_ok());
        for length in 12..file.len() {
            let cut = pixels(&file[..length], SIDE);
            assert!(
                matches!(cut, Err(ImageError::Broken(_))),
                "{length} of {}: {cut:?}",
                file.len()
            );
        }
    }
}
