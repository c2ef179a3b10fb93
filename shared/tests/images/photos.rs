//! Real photos, which are not ours to commit: compared wherever a folder of them is named.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use purrline::decode::ImageError;
use purrline::domain::BREEDS;
use serde::Deserialize;

use crate::corpus::{classifier, repository};
use crate::golden::difference;

/// A folder of `<Breed>/*.jpg`.
const CATS: &str = "PURRLINE_CATS";
/// Photos to compare, taken evenly.
const COUNT: usize = 240;
/// Between two answers, in probability.
const TOLERANCE: f64 = 1e-3;
/// The bars on photos that training never saw.
const LEAST_ACCURACY: f64 = 0.91;
const MOST_CALIBRATION_ERROR: f64 = 0.05;

#[derive(Deserialize)]
struct Reference {
    file: PathBuf,
    label: String,
    probabilities: Vec<f64>,
}

#[test]
fn photos_match_the_reference() {
    let Some(cats) = std::env::var_os(CATS) else {
        // Past the test harness, which hides what a test that passes has printed.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: agreement with ONNX Runtime on photos. Set {CATS} to a folder of <Breed>/*.jpg."
        );
        return;
    };
    // Cargo runs tests in their package's folder; the name is meant from where the workspace is.
    let cats = repository().join(cats);
    let mosaics = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mosaics");
    // Written by model/make: what training never saw.
    let held_out = repository().join("model/held-out.txt");
    let unseen = held_out.exists();
    let mut command = Command::new(repository().join("tools/reference"));
    if unseen {
        command.arg("--only").arg(&held_out);
    } else {
        command.args(["--count", &COUNT.to_string()]);
    }
    let reference = command
        .arg("--mosaics")
        .args([&mosaics, &cats])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(
        reference.status.success(),
        "tools/reference: {}",
        reference.status
    );
    let references: Vec<Reference> = String::from_utf8(reference.stdout)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        references.len() >= 200,
        "only {} photos in {}",
        references.len(),
        cats.display()
    );

    let classifier = classifier();
    let mut judged = Vec::new();
    let mut differences = Vec::new();
    for reference in references {
        let bytes = std::fs::read(&reference.file).unwrap();
        let name = reference.file.display().to_string();
        let mosaic = reference.file.starts_with(&mosaics);
        let ours = match classifier.probabilities(&bytes) {
            Ok(ours) => ours.map(f64::from),
            Err(ImageError::TooManyPixels { limit }) if mosaic => {
                println!("not compared, since it has more than {limit} pixels: {name}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let label = reference.label.to_lowercase().replace('_', "-");
        if let Some(label) = BREEDS.iter().position(|breed| breed.id == label) {
            let sure = ours.iter().copied().fold(0.0, f64::max);
            judged.push((sure, ours[label] >= sure));
        }
        differences.push((difference(&ours, &reference.probabilities), name));
    }
    differences.sort_by(|one, other| other.0.total_cmp(&one.0));
    println!(
        "{} photos; largest differences in probability:",
        differences.len()
    );
    for (difference, name) in differences.iter().take(25) {
        println!("  {difference:.6} {name}");
    }
    let wrong: Vec<_> = differences
        .iter()
        .filter(|(difference, _)| *difference > TOLERANCE)
        .collect();
    assert!(
        wrong.is_empty(),
        "{} differ by more than they may: {wrong:?}",
        wrong.len()
    );

    let accuracy = share(&judged, |(_, right)| f64::from(u8::from(*right)));
    let error = calibration_error(&judged);
    println!(
        "top-1 {accuracy:.4}, calibration error {error:.4} on {} photos",
        judged.len()
    );
    if unseen {
        assert!(accuracy >= LEAST_ACCURACY && error <= MOST_CALIBRATION_ERROR);
    } else {
        println!(
            "NOT TESTED: accuracy, since there is no {}",
            held_out.display()
        );
    }
}

fn share<T>(of: &[T], value: impl Fn(&T) -> f64) -> f64 {
    of.iter().map(value).sum::<f64>() / f64::from(u32::try_from(of.len().max(1)).unwrap())
}

/// Expected calibration error over 15 bins of equal width, as model/evaluate.py has it.
fn calibration_error(judged: &[(f64, bool)]) -> f64 {
    let all = f64::from(u32::try_from(judged.len()).unwrap());
    (0..15_u32)
        .map(|bin| {
            let bounds = f64::from(bin) / 15.0..f64::from(bin + 1) / 15.0;
            let inside: Vec<_> = judged
                .iter()
                .filter(|(sure, _)| bounds.contains(sure) || (bin == 14 && *sure >= 1.0))
                .copied()
                .collect();
            let sure = share(&inside, |(sure, _)| *sure);
            let right = share(&inside, |(_, right)| f64::from(u8::from(*right)));
            f64::from(u32::try_from(inside.len()).unwrap()) / all * (sure - right).abs()
        })
        .sum()
}
