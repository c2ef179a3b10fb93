//! Classifies a cat's breed from a photo, with a `ResNet18` that tract runs.
//!
//! [`Classifier::classify`] takes three steps. An image is decoded (`crate::decode`) onto a `canvas`, which keeps
//! the part that the model sees and resizes it exactly as training did. The `model` computes a number for each breed,
//! already calibrated. Softmax turns these into probabilities.
//!
//! The memory is bounded for any input: see `canvas` and `crate::decode`.

mod canvas;
mod convolution;
mod framing;
mod model;
mod resize;

use std::path::Path;

use self::canvas::View;
use self::model::Model;
use crate::decode::{Decoded, ImageError, decode};
use crate::domain::{BREEDS, BreedProbability, ModelInfo};

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

/// Decodes the square for the model.
fn square(image: &[u8], side: usize) -> Result<Square, ImageError> {
    let Decoded {
        canvas,
        orientation,
        ..
    } = decode(image, &View { side })?;
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
