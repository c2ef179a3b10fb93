//! Classifies a cat's breed from a photo, with a `ResNet18` that tract runs.
//!
//! [`Classifier::classify`] takes three steps. It decodes an image (`jpeg`, `png`, `webp`) onto a `canvas`, which keeps
//! the part that the model sees and resizes it exactly as training did. The `model` computes a number for each breed,
//! already calibrated. Softmax turns these into probabilities.
//!
//! The memory is bounded for any input: see `limits`.

mod canvas;
mod colour;
mod convolution;
mod framing;
mod jpeg;
mod limits;
mod model;
mod orientation;
mod png;
mod resize;
mod vp8l;
mod webp;

use std::path::Path;

use self::model::Model;
use crate::domain::{BREEDS, BreedProbability, ModelInfo, UPLOAD_MAX_BYTES};

pub use self::limits::{MAX_PIXELS, MAX_SIDE};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A model that is ready to run. It can be shared, since all methods take `&self`.
#[derive(Debug)]
pub struct Classifier {
    model: Model,
}

/// The pixels for a model: RGB, row by row, upright.
#[derive(Debug, PartialEq, Eq)]
struct Square(Vec<u8>);

/// The model can't be used: a file is missing, broken, or of another model.
#[derive(Debug, thiserror::Error)]
#[error("the model can't be loaded")]
pub struct LoadError(#[source] Error);

/// An image that can't be classified.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The format is not supported. Send another image.
    #[error("must be a JPEG, PNG or WebP image")]
    NotAnImage,
    /// The image is damaged, cut short, or of a rare kind that is not supported. Send it again, or save it anew.
    #[error("the image is broken, or of a kind that can't be read")]
    Broken(#[source] Error),
    /// The file is too large. Shrink it.
    #[error("the image must have at most {UPLOAD_MAX_BYTES} bytes")]
    TooManyBytes,
    /// The image has too many pixels, for any image or for one of its kind. Shrink it.
    #[error("an image of this kind must have at most {limit} pixels")]
    TooManyPixels {
        /// The maximum number of pixels.
        limit: u64,
    },
    /// A side is too long. Crop it.
    #[error("the image must be at most {MAX_SIDE} pixels wide and high")]
    TooLong,
    /// The classifier failed. Neither the image nor the caller is at fault.
    #[error("the classifier failed")]
    Failed(#[source] Error),
}

impl ImageError {
    fn broken(error: impl Into<Error>) -> Self {
        Self::Broken(error.into())
    }
}

impl Classifier {
    /// Reads the model's two files from a folder and runs the model once, so that the first image does not wait for
    /// tract's one-time work. Takes about a fifth of a second of CPU.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        let model = Model::load(dir).map_err(LoadError)?;
        let blank = Square(vec![0; model.side() * model.side() * 3]);
        model.run(&blank).map_err(LoadError)?;
        Ok(Self { model })
    }

    /// Returns the model's name and version.
    pub fn model(&self) -> &ModelInfo {
        self.model.info()
    }

    /// Returns the side, in pixels, of the square that the model sees.
    pub fn side(&self) -> usize {
        self.model.side()
    }

    /// Returns all breeds, the most likely first. Takes tens of milliseconds of CPU, and up to tens of megabytes: call
    /// it off the async threads, and only once at a time.
    pub fn classify(&self, image: &[u8]) -> Result<Vec<BreedProbability>, ImageError> {
        let mut breeds: Vec<_> = BREEDS
            .into_iter()
            .zip(self.probabilities(image)?)
            .map(|(breed, probability)| BreedProbability { breed, probability })
            .collect();
        breeds.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Ok(breeds)
    }

    /// Returns the probability of each breed, in the order of [`BREEDS`]. Otherwise like [`Classifier::classify`].
    pub fn probabilities(&self, image: &[u8]) -> Result<[f32; BREEDS.len()], ImageError> {
        let square = square(image, self.model.side())?;
        let logits = self.model.run(&square).map_err(ImageError::Failed)?;
        Ok(softmax(logits))
    }
}

/// Returns the `side` by `side` pixels of an image that a model gets: RGB, row by row, upright. This is the first half of
/// [`Classifier::classify`], for inspection.
pub fn pixels(image: &[u8], side: usize) -> Result<Vec<u8>, ImageError> {
    square(image, side).map(|Square(pixels)| pixels)
}

/// Decodes the square for the model. The image's format is detected from its bytes.
fn square(image: &[u8], side: usize) -> Result<Square, ImageError> {
    if u64::try_from(image.len()).is_ok_and(|bytes| bytes > UPLOAD_MAX_BYTES) {
        return Err(ImageError::TooManyBytes);
    }
    let (riff, form) = webp::SIGNATURE;
    let decoded = if image.starts_with(jpeg::SIGNATURE) {
        jpeg::decode(image, side)
    } else if image.starts_with(png::SIGNATURE) {
        png::decode(image, side)
    } else if image.starts_with(riff) && image.get(8..).is_some_and(|rest| rest.starts_with(form)) {
        webp::decode(image, side)
    } else {
        Err(ImageError::NotAnImage)
    };
    let (canvas, orientation) = decoded?;
    Ok(canvas.finish(orientation))
}

/// Turns numbers into probabilities, which are positive and sum to 1.
fn softmax<const N: usize>(logits: [f32; N]) -> [f32; N] {
    let top = logits.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let shares = logits.map(|logit| (logit - top).exp());
    let sum: f32 = shares.iter().sum();
    shares.map(|share| share / sum)
}

#[cfg(test)]
mod tests;
