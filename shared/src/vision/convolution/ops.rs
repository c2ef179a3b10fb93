//! The operators that replace tract's in the graph. They take maps of one image with the channels last.

use std::sync::Arc;

use fearless_simd::Level;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{
    EvalContext, EvalOp, Op, StaticName, TypedOp, args_1, as_op, bail, op_as_typed_op,
    op_out_of_plan,
};

use super::layer::Layer;
use super::map::{Map, Window, max_pool};

/// A convolution, optionally followed by an addition and a `ReLU`.
#[derive(Debug, Clone)]
pub(super) struct Convolution {
    pub(super) layer: Arc<Layer>,
    /// Whether a second input is added.
    pub(super) residual: bool,
    pub(super) relu: bool,
}

/// The maximum over windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) window: Window,
}

impl PartialEq for Convolution {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.layer, &other.layer)
            && (self.residual, self.relu) == (other.residual, other.relu)
    }
}

impl Eq for Convolution {}

impl Op for Convolution {
    fn name(&self) -> StaticName {
        "Convolution".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Convolution {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (map, residual) = match (inputs.as_slice(), self.residual) {
            ([input], false) => (map(input)?, None),
            ([input, residual], true) => (map(input)?, Some(map(residual)?.values)),
            _ => bail!("a convolution with {} inputs", inputs.len()),
        };
        let (height, width) = self.layer.window.results(&map);
        let mut result = Tensor::zero::<f32>(&[1, height, width, self.layer.outputs()])?;
        let mut values = result.try_as_plain_ram_mut()?;
        let values = values.as_slice_mut()?;
        self.layer
            .run(Level::new(), &map, residual, self.relu, values);
        Ok(tvec!(result.into_tvalue()))
    }
}

impl TypedOp for Convolution {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        output_facts(inputs, &self.layer.window, Some(self.layer.outputs()))
    }

    as_op!();
}

impl Op for Pool {
    fn name(&self) -> StaticName {
        "Pool".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Pool {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let map = map(&input)?;
        let (height, width) = self.window.results(&map);
        let mut result = Tensor::zero::<f32>(&[1, height, width, map.channels])?;
        let mut values = result.try_as_plain_ram_mut()?;
        max_pool(Level::new(), &map, &self.window, values.as_slice_mut()?);
        Ok(tvec!(result.into_tvalue()))
    }
}

impl TypedOp for Pool {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        output_facts(inputs, &self.window, None)
    }

    as_op!();
}

fn map(tensor: &Tensor) -> TractResult<Map<'_>> {
    let &[1, height, width, channels] = tensor.shape() else {
        bail!("{tensor:?} is no map of one image");
    };
    Ok(Map {
        values: tensor.try_as_plain_ram()?.as_slice()?,
        height,
        width,
        channels,
    })
}

fn output_facts(
    inputs: &[&TypedFact],
    window: &Window,
    channels: Option<usize>,
) -> TractResult<TVec<TypedFact>> {
    let shape = inputs.first().and_then(|input| input.shape.as_concrete());
    let Some(&[1, height, width, same]) = shape else {
        bail!("{inputs:?} is no map of one image");
    };
    let shape = [
        1,
        window.places(height),
        window.places(width),
        channels.unwrap_or(same),
    ];
    Ok(tvec!(f32::fact(shape)))
}
