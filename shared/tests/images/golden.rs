//! Every drawn image gets the reference's answer.

use std::fmt::Write as _;

use purrline::vision;
use sha2::{Digest as _, Sha256};

use crate::corpus::{self, Outcome, classifier, golden, repository};

/// Between two answers, in probability.
const TOLERANCE: f64 = 1e-3;

#[test]
fn model_is_the_one_that_the_reference_used() {
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
fn probabilities_match_the_reference() {
    let classifier = classifier();
    let mut largest = Vec::new();
    let mut wrong = Vec::new();
    for image in golden().images {
        let found = match classifier.probabilities(&corpus::read(&image.file)) {
            Ok(found) => found.map(f64::from),
            Err(error) => {
                wrong.push(format!("{}: {error}", image.file));
                continue;
            }
        };
        let sum: f64 = found.iter().sum();
        assert!(
            (sum - 1.0).abs() < 1e-5,
            "{}: they sum to {sum}",
            image.file
        );
        let difference = difference(&found, &image.probabilities);
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

/// Bit by bit, whatever the network makes of them.
#[test]
fn pixels_match_the_reference() {
    let golden = golden();
    let side = usize::try_from(golden.model.size).unwrap();
    let others: Vec<_> = golden
        .images
        .iter()
        .filter(|image| {
            let pixels = vision::pixels(&corpus::read(&image.file), side).unwrap();
            assert_eq!(pixels.len(), side * side * 3);
            !sha256(&pixels).starts_with(&image.pixels)
        })
        .map(|image| &image.file)
        .collect();
    assert_eq!(others, NOT_BIT_BY_BIT, "not the reference's pixels");
}

#[test]
fn invalid_images_are_refused() {
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
