//! Every drawn image gets the reference's answer.

use std::fmt::Write as _;

use purrline::vision;
use sha2::{Digest as _, Sha256};

use crate::corpus::{self, Outcome, classifier, golden, repository};

/// Between two answers, in probability.
const TOLERANCE: f64 = 1e-3;
/// Between two means of a cell, in grey levels; half a level is golden.json's own rounding.
const LEVELS: f64 = 0.8;

#[test]
fn the_model_is_the_one_that_the_reference_was_asked_with() {
    for (file, expected) in golden().model.files {
        let bytes = std::fs::read(repository().join("model").join(&file)).unwrap();
        assert_eq!(
            sha256(&bytes),
            expected,
            "model/{file} has changed: run tools/golden"
        );
    }
}

/// In hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn probabilities_are_the_references() {
    let classifier = classifier();
    let mut largest = Vec::new();
    let mut wrong = Vec::new();
    for image in golden().images {
        let told = match classifier.probabilities(&corpus::read(&image.file)) {
            Ok(told) => told.map(f64::from),
            Err(error) => {
                wrong.push(format!("{}: {error}", image.file));
                continue;
            }
        };
        let sum: f64 = told.iter().sum();
        assert!(
            (sum - 1.0).abs() < 1e-5,
            "{}: they sum to {sum}",
            image.file
        );
        let difference = difference(&told, &image.probabilities);
        if difference > TOLERANCE {
            wrong.push(format!("{}: differs by {difference:.5}", image.file));
        }
        largest.push((difference, image.file));
    }
    largest.sort_by(|one, other| other.0.total_cmp(&one.0));
    println!("largest differences in probability:");
    for (difference, file) in largest.iter().take(20) {
        println!("  {difference:.6} {file}");
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The largest of any two.
pub(crate) fn difference(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    one.iter()
        .zip(other)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

/// Pillow rounds the place where a shrunk image ends to single precision; a seventh of this one is no such number.
const NOT_BIT_BY_BIT: [&str; 1] = ["png-size-4000x3000.png"];

/// Whatever the network makes of it: each part of the picture has its colour where the reference has it.
#[test]
fn pixels_are_the_references() {
    let golden = golden();
    let side = usize::try_from(golden.model.size).unwrap();
    let mut wrong = Vec::new();
    let mut largest = 0.0_f64;
    let mut others = Vec::new();
    for image in &golden.images {
        let pixels = match vision::pixels(&corpus::read(&image.file), side) {
            Ok(pixels) => pixels,
            Err(error) => {
                wrong.push(format!("{}: {error}", image.file));
                continue;
            }
        };
        assert_eq!(pixels.len(), side * side * 3);
        if !sha256(&pixels).starts_with(&image.pixels) {
            others.push(image.file.clone());
        }
        let worst = cells(&pixels, side)
            .iter()
            .zip(&image.cells)
            .map(|(ours, theirs)| difference(ours, theirs))
            .fold(0.0, f64::max);
        largest = largest.max(worst);
        if worst > LEVELS {
            wrong.push(format!(
                "{}: a cell differs by {worst:.2} levels",
                image.file
            ));
        }
    }
    println!("largest difference of a cell: {largest:.2} levels");
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(others, NOT_BIT_BY_BIT, "not the reference's pixels");
}

fn cells(pixels: &[u8], side: usize) -> [[f64; 3]; 16] {
    let mut sums = [[0_u32; 3]; 16];
    for (place, pixel) in pixels.chunks_exact(3).enumerate() {
        let (x, y) = (place % side, place / side);
        let sum = &mut sums[y * 4 / side * 4 + x * 4 / side];
        for (sum, &value) in sum.iter_mut().zip(pixel) {
            *sum += u32::from(value);
        }
    }
    let count = f64::from(u32::try_from(side * side / 16).unwrap());
    sums.map(|sum| sum.map(|sum| f64::from(sum) / count))
}

#[test]
fn what_is_no_good_is_refused() {
    let mut wrong = Vec::new();
    let golden = golden();
    let side = usize::try_from(golden.model.size).unwrap();
    for refused in golden.refused {
        let result = vision::pixels(&corpus::read(&refused.file), side);
        let outcome = Outcome::from(&result);
        if outcome != refused.error {
            let error = result.err().map(|error| error.to_string());
            wrong.push(format!(
                "{}: {outcome:?} instead of {:?} ({error:?})",
                refused.file, refused.error
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
