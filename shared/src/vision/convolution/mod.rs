//! The network's convolutions, which replace those of tract.
//!
//! [`accelerate`] rewrites a loaded network, before tract optimises it. tract computes each convolution as one product of
//! matrices, and stores the features of an image by channel. Here, the channels of a pixel lie together instead, so that
//! each instruction works on many channels at once (`matrix`, `direct`), and most convolutions need fewer multiplications
//! (`winograd`). The operations after a convolution (bias, residual, `ReLU`) are applied before its result leaves the
//! processor's registers. All of it is safe code for the instructions that the processor has: AVX-512, AVX2 or NEON.
//!
//! Everything else in the network stays tract's, and so do convolutions of a kind that isn't handled here.
//!
//! # Gain over tract's convolutions
//!
//! | for one photo, on one core | own | tract 0.23.9 |
//! |---|---|---|
//! | processor time, with decoding | 48 ms | 148 ms |
//! | processor time until ready | 330 ms | 495 ms |
//! | peak memory | 56 MiB | 83 MiB |
//!
//! Measured with the example `classify_once`, in turns, on a busy virtual machine with AVX2, built with the profile `local`:
//! this library at optimisation level 3, tract at 1. The memory differs because the weights stay in half precision here.
//!
//! To measure the network's time again, for example after an update of tract:
//!
//! ```sh
//! cargo test --workspace --profile local own_convolutions -- --ignored --nocapture
//! ```
//!
//! The test fails once tract needs at most 1.15 times as long. Then delete this module, optimise the network directly in
//! `model.rs`, and give the function more memory.

#![allow(
    clippy::inline_always,
    reason = "what isn't inlined into `dispatch!` isn't compiled for the processor's instructions"
)]

mod direct;
mod layer;
mod map;
mod matrix;
mod ops;
mod winograd;

use std::collections::HashMap;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{AxisOp, TractErrorContext, TypedOp};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::cnn::conv::KernelFormat;
use tract_onnx::tract_core::ops::cnn::{Conv, MaxPool, PoolSpec};
use tract_onnx::tract_core::ops::dummy::Dummy;
use tract_onnx::tract_core::ops::math::{Add, Max};
use tract_onnx::tract_core::ops::nn::DataFormat;

use self::layer::Layer;
use self::map::Window;
use self::matrix::Columns;
use self::ops::{Convolution, Pool};

/// Replaces the convolutions of a network that tract has loaded, but not yet optimised. Results differ by rounding only.
///
/// At any time, the weights of only one layer are in memory twice. Weights that are in half precision in the file may
/// stay so.
pub(super) fn accelerate(mut model: TypedModel) -> TractResult<TypedModel> {
    // Drops what the loader left over, like the weights as they are in the file.
    model.compact()?;
    let mut rewriter = Rewriter {
        target: TypedModel {
            symbols: model.symbols.clone(),
            properties: model.properties.clone(),
            ..TypedModel::default()
        },
        source: model,
        channels_first: HashMap::new(),
        channels_last: HashMap::new(),
    };
    rewriter.rewrite()?;
    Ok(rewriter.target)
}

/// Copies a graph node by node, and replaces some of the nodes.
struct Rewriter {
    source: TypedModel,
    target: TypedModel,
    /// The target's outlets for those of the source, with channels first, last, or both.
    channels_first: HashMap<OutletId, OutletId>,
    channels_last: HashMap<OutletId, OutletId>,
}

impl Rewriter {
    fn rewrite(&mut self) -> TractResult<()> {
        for id in self.source.eval_order()? {
            let node = self.source.node(id).clone();
            if self.constant(id.into())?.is_some() {
                continue; // copied where it is used
            }
            let replaced = if let Some(conv) = node.op_as::<Conv>() {
                self.convolution(&node, conv)?
            } else if let Some(pool) = node.op_as::<MaxPool>() {
                self.max_pool(&node, pool)?
            } else if let Some(operation) = node.op_as::<TypedBinOp>() {
                self.fuse(&node, operation)?
            } else {
                None
            };
            if let Some(outlet) = replaced {
                self.channels_last.insert(id.into(), outlet);
                continue;
            }
            let inputs = node.inputs.iter().map(|&input| self.channels_first(input));
            let inputs: TVec<_> = inputs.collect::<TractResult<_>>()?;
            let outlets = self
                .target
                .wire_node(&node.name, node.op.clone(), &inputs)?;
            for (slot, outlet) in outlets.into_iter().enumerate() {
                self.channels_first.insert(OutletId::new(id, slot), outlet);
            }
        }
        let inputs = self.source.input_outlets()?.to_vec();
        let outputs = self.source.output_outlets()?.to_vec();
        self.target.inputs = self.all_channels_first(&inputs)?;
        self.target.outputs = self.all_channels_first(&outputs)?;
        Ok(())
    }

    fn all_channels_first(&mut self, outlets: &[OutletId]) -> TractResult<Vec<OutletId>> {
        outlets
            .iter()
            .map(|&outlet| self.channels_first(outlet))
            .collect()
    }

    /// Returns the target's outlet for an outlet of the source.
    fn channels_first(&mut self, outlet: OutletId) -> TractResult<OutletId> {
        if let Some(&known) = self.channels_first.get(&outlet) {
            return Ok(known);
        }
        let node = self.source.node(outlet.node).clone();
        let copy = if let Some(&last) = self.channels_last.get(&outlet) {
            let name = format!("{}.channels_first", node.name);
            self.wire(&name, AxisOp::Move(3, 1), &[last])?
        } else {
            let inputs = self.all_channels_first(&node.inputs)?;
            self.wire(&node.name, node.op, &inputs)?
        };
        self.channels_first.insert(outlet, copy);
        Ok(copy)
    }

    fn channels_last(&mut self, outlet: OutletId) -> TractResult<OutletId> {
        if let Some(&known) = self.channels_last.get(&outlet) {
            return Ok(known);
        }
        let first = self.channels_first(outlet)?;
        let name = format!("{}.channels_last", self.source.node(outlet.node).name);
        let copy = self.wire(&name, AxisOp::Move(1, 3), &[first])?;
        self.channels_last.insert(outlet, copy);
        Ok(copy)
    }

    fn wire(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        let outlets = self.target.wire_node(name, op, inputs)?;
        outlets.first().copied().context("a node without output")
    }

    /// Returns the channels, height and width of a map of one image with the channels first; `None` for anything else.
    fn map(&self, outlet: OutletId) -> TractResult<Option<[usize; 3]>> {
        let fact = self.source.outlet_fact(outlet)?;
        Ok(match fact.shape.as_concrete() {
            Some(&[1, channels, height, width]) if fact.datum_type == f32::datum_type() => {
                Some([channels, height, width])
            }
            _ => None,
        })
    }

    fn convolution(&mut self, node: &TypedNode, conv: &Conv) -> TractResult<Option<OutletId>> {
        let &[input, kernel, bias] = node.inputs.as_slice() else {
            return Ok(None);
        };
        let plain = conv.group == 1
            && conv.q_params.is_none()
            && conv.kernel_fmt == KernelFormat::OIHW
            && node.outputs.len() == 1;
        let (Some(map), true) = (self.map(input)?, plain) else {
            return Ok(None);
        };
        let Some(window) = window(&conv.pool_spec, map) else {
            return Ok(None);
        };
        let (Some(weights), Some(biases)) = (self.constant(kernel)?, self.constant(bias)?) else {
            return Ok(None);
        };
        let biases = biases.cast_to::<f32>()?;
        let biases = biases.broadcast_to_shape(&[conv.pool_spec.output_channels])?;
        let biases = biases.try_as_plain_ram()?.as_slice()?.to_vec();
        let weights = weights.try_as_plain_ram()?;
        let columns = match weights.datum_type() {
            DatumType::F32 => Columns::Single(weights.as_slice()?),
            DatumType::F16 => Columns::Half(weights.as_slice()?),
            _ => return Ok(None),
        };
        let Some(layer) = Layer::new(window, map, columns, biases) else {
            return Ok(None);
        };
        self.forget(kernel);
        let op = Convolution {
            layer: Arc::new(layer),
            residual: false,
            relu: false,
        };
        let input = self.channels_last(input)?;
        self.wire(&node.name, op, &[input]).map(Some)
    }

    /// Returns the constant at an outlet of the source, before a cast to a wider type.
    fn constant(&self, outlet: OutletId) -> TractResult<Option<Arc<Tensor>>> {
        let node = self.source.node(outlet.node);
        match (node.op_as(), node.inputs.as_slice()) {
            (Some(&Cast { to: DatumType::F32 }), &[input]) => self.constant(input),
            _ => Ok(self.source.outlet_fact(outlet)?.konst.clone()),
        }
    }

    /// Frees a constant if nothing else needs it.
    fn forget(&mut self, outlet: OutletId) {
        if self.source.outlet_successors(outlet).len() > 1 {
            return;
        }
        let node = self.source.node_mut(outlet.node);
        node.op = Box::new(Dummy::new());
        if let Some(output) = node.outputs.get_mut(outlet.slot) {
            output.fact.konst = None;
        }
        for input in node.inputs.clone() {
            self.forget(input);
        }
    }

    fn max_pool(&mut self, node: &TypedNode, pool: &MaxPool) -> TractResult<Option<OutletId>> {
        let (&[input], None) = (node.inputs.as_slice(), pool.with_index_outputs) else {
            return Ok(None);
        };
        let Some(map) = self.map(input)? else {
            return Ok(None);
        };
        let Some(window) =
            window(&pool.pool_spec, map).filter(|window| window.padding < window.side)
        else {
            return Ok(None);
        };
        let input = self.channels_last(input)?;
        self.wire(&node.name, Pool { window }, &[input]).map(Some)
    }

    /// Merges an addition or a `ReLU` into the convolution before it.
    fn fuse(&mut self, node: &TypedNode, operation: &TypedBinOp) -> TractResult<Option<OutletId>> {
        let &[a, b] = node.inputs.as_slice() else {
            return Ok(None);
        };
        for (outlet, other) in [(a, b), (b, a)] {
            let shape = self.map(node.id.into())?;
            let Some((before, inputs)) = self.only_before(outlet)? else {
                continue;
            };
            if shape.is_none() || shape != self.map(outlet)? {
                continue;
            }
            if operation.0.is::<Add>()
                && !before.residual
                && !before.relu
                && shape == self.map(other)?
            {
                let other = self.channels_last(other)?;
                let inputs = [inputs.as_slice(), &[other]].concat();
                let op = Convolution {
                    residual: true,
                    ..before
                };
                return self.wire(&node.name, op, &inputs).map(Some);
            }
            let other = self.source.outlet_fact(other)?.konst.clone();
            let zero = other.is_some_and(|constant| {
                constant.is_uniform()
                    && constant
                        .cast_to_scalar::<f32>()
                        .is_ok_and(|value| value == 0.0)
            });
            if operation.0.is::<Max>() && zero && !before.relu {
                let op = Convolution {
                    relu: true,
                    ..before
                };
                return self.wire(&node.name, op, &inputs).map(Some);
            }
        }
        Ok(None)
    }

    /// Returns the convolution that computes a value in the target, and its inputs, if the value is used only once.
    fn only_before(&self, outlet: OutletId) -> TractResult<Option<(Convolution, Vec<OutletId>)>> {
        let once = self.source.outlet_successors(outlet).len() == 1
            && !self.source.output_outlets()?.contains(&outlet);
        let (Some(last), true) = (self.channels_last.get(&outlet), once) else {
            return Ok(None);
        };
        let node = self.target.node(last.node);
        let op = node.op_as::<Convolution>().cloned();
        Ok(op.map(|op| (op, node.inputs.clone())))
    }
}

/// Returns the window of a convolution or the like, if it is square and the same in both directions.
fn window(spec: &PoolSpec, [_, height, width]: [usize; 3]) -> Option<Window> {
    let &[side, other] = spec.kernel_shape.as_slice() else {
        return None;
    };
    let paddings = spec.computed_padding(&[height, width]);
    let [rows, columns] = paddings.as_slice() else {
        return None;
    };
    let window = Window {
        side,
        stride: spec.stride(0),
        padding: rows.pad_before,
    };
    let alike = side == other
        && window.stride == spec.stride(1)
        && [rows.pad_after, columns.pad_before, columns.pad_after] == [window.padding; 3]
        && (window.places(height), window.places(width)) == (rows.convoluted, columns.convoluted)
        && spec.dilations().iter().all(|&dilation| dilation == 1)
        && spec.data_format == DataFormat::NCHW;
    alike.then_some(window)
}

#[cfg(test)]
mod tests;
