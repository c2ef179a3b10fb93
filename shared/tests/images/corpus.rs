//! `tests/images`, as `model/golden.py` has drawn it, and the model.

use std::collections::BTreeMap;
use std::path::PathBuf;

use purrline::decode::ImageError;
use purrline::vision::Classifier;
use serde::{Deserialize, Serialize};

/// The reference's answer.
#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) model: Model,
    pub(crate) images: Vec<Image>,
    pub(crate) refused: Vec<Refused>,
}

#[derive(Deserialize)]
pub(crate) struct Model {
    /// Pixels a side that the network sees.
    pub(crate) size: u32,
    /// SHA-256 by file name.
    pub(crate) files: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct Image {
    pub(crate) file: String,
    pub(crate) probabilities: [f64; 12],
    /// The start of the SHA-256 of what the network sees.
    pub(crate) pixels: String,
}

#[derive(Deserialize)]
pub(crate) struct Refused {
    pub(crate) file: String,
    pub(crate) error: Outcome,
}

/// The result for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Probabilities: 200.
    Classified,
    /// No image, or broken: 422.
    Unprocessable,
    /// Above a limit: 413.
    TooLarge,
    /// Our own fault: 500.
    Failed,
}

impl<T> From<&Result<T, ImageError>> for Outcome {
    fn from(result: &Result<T, ImageError>) -> Self {
        match result {
            Ok(_) => Self::Classified,
            Err(ImageError::NotAnImage | ImageError::Broken(_)) => Self::Unprocessable,
            Err(
                ImageError::TooManyBytes | ImageError::TooManyPixels { .. } | ImageError::TooLong,
            ) => Self::TooLarge,
            Err(ImageError::Failed(_)) => Self::Failed,
        }
    }
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn golden() -> Golden {
    serde_json::from_slice(&read("golden.json")).unwrap()
}

/// The images in `tests/pictures`, whose profiles are of every kind.
pub(crate) fn pictures() -> Vec<PathBuf> {
    let files = std::fs::read_dir(repository().join("tests/pictures")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind != "json"));
    files.sort();
    files
}

/// A file of the corpus.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn path(name: &str) -> PathBuf {
    repository().join("tests/images").join(name)
}

pub(crate) fn classifier() -> Classifier {
    Classifier::load(&repository().join("model")).unwrap()
}
