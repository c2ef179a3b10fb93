//! The network, run by tract.

use std::path::Path;
use std::sync::Arc;

use tract_onnx::prelude::*;

use super::convolution::accelerate;
use super::{Error, Square};
use crate::domain::{BREEDS, ModelInfo};

/// The file of the graph; its weights are beside it in a file of the same name plus `.data`.
const FILE: &str = "resnet18-cats.onnx";

/// The mean and the standard deviation, per channel, of the images that the network was trained on.
const NORMS: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

#[derive(Debug)]
pub(super) struct Model {
    plan: Arc<TypedSimplePlan>,
    info: ModelInfo,
    side: usize,
}

impl Model {
    /// Reads the model from a folder and makes it ready to run.
    pub(super) fn load(dir: &Path) -> Result<Self, Error> {
        let model = tract_onnx::onnx()
            .model_for_path(dir.join(FILE))?
            .into_typed()?;
        let property = |key: &str| -> Result<String, Error> {
            let value = model
                .properties
                .get(&format!("onnx.metadata_props.{key}"))
                .ok_or_else(|| format!("the model has no {key}"))?;
            Ok(value
                .to_plain_array_view::<String>()?
                .iter()
                .cloned()
                .collect())
        };
        let info = ModelInfo {
            name: property("name")?,
            version: property("version")?,
        };
        let side = match model.input_fact(0)?.shape.as_concrete() {
            Some(&[1, 3, height, width]) if height == width => height,
            other => return Err(format!("the model takes {other:?}").into()),
        };
        match model.output_fact(0)?.shape.as_concrete() {
            Some(&[1, labels]) if labels == BREEDS.len() => {}
            other => return Err(format!("the model gives {other:?}").into()),
        }
        let plan = optimise(model)?;
        Ok(Self { plan, info, side })
    }

    pub(super) fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Returns the side, in pixels, of the square that the model sees.
    pub(super) fn side(&self) -> usize {
        self.side
    }

    /// Runs the model on an image. Returns one number for each breed.
    pub(super) fn run(&self, square: &Square) -> Result<[f32; BREEDS.len()], Error> {
        let shape = [1, 3, self.side, self.side];
        let image = Tensor::from_shape(&shape, &planes(square))?;
        let outputs = self.plan.run(tvec!(image.into()))?;
        let logits = outputs.first().ok_or("the model gave nothing")?;
        let logits = logits.to_plain_array_view::<f32>()?;
        Ok(logits
            .as_slice()
            .ok_or("the model gave no list")?
            .try_into()?)
    }
}

/// Applies everything that makes the network run fast, once. No other code optimises it.
fn optimise(model: TypedModel) -> TractResult<Arc<TypedSimplePlan>> {
    accelerate(model)?.into_optimized()?.into_runnable()
}

/// Converts RGB pixels to what the network was trained on: a plane for each colour, normalised.
fn planes(Square(pixels): &Square) -> Vec<f32> {
    let (pixels, _) = pixels.as_chunks::<3>();
    let [red, green, blue] = NORMS;
    let mut planes = Vec::with_capacity(pixels.len() * NORMS.len());
    planes.extend(pixels.iter().map(|&[r, _, _]| normalise(r, red)));
    planes.extend(pixels.iter().map(|&[_, g, _]| normalise(g, green)));
    planes.extend(pixels.iter().map(|&[_, _, b]| normalise(b, blue)));
    planes
}

fn normalise(sample: u8, (mean, deviation): (f32, f32)) -> f32 {
    (f32::from(sample) / 255.0 - mean) / deviation
}
