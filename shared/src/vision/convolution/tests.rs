#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use fearless_simd::Level;
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::PaddingSpec;

use super::layer::Layer;
use super::map::{Map, Window, max_pool};
use super::*;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math;

/// Returns numbers from -1 to 1, the same each time, which half precision can hold.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [high, ..] = state.to_be_bytes().map(f32::from);
        high / 128.0 - 1.0
    })
    .take(count)
    .collect()
}

/// Returns the levels of instructions that this processor supports.
fn levels() -> Vec<Level> {
    let level = Level::new();
    #[cfg(target_arch = "x86_64")]
    let others = [
        level.as_avx2().map(Level::Avx2),
        level.as_sse4_2().map(Level::Sse4_2),
        level.as_sse2().map(Level::Sse2),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let others = [None];
    [level]
        .into_iter()
        .chain(others.into_iter().flatten())
        .collect()
}

/// Returns the pixel of a map that is at a place of a window; `None` in the padding.
fn pixel<'a>(
    map: &Map<'a>,
    window: Window,
    result: (usize, usize),
    place: usize,
) -> Option<&'a [f32]> {
    let y = (result.0 * window.stride + place / window.side).checked_sub(window.padding)?;
    let x = (result.1 * window.stride + place % window.side).checked_sub(window.padding)?;
    let at = (y * map.width + x) * map.channels;
    (y < map.height && x < map.width).then(|| &map.values[at..at + map.channels])
}

/// Returns the position of each pixel of a window's result for a map.
fn results(map: &Map, window: Window) -> Vec<(usize, usize)> {
    let (height, width) = window.results(map);
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (y, x)))
        .collect()
}

/// Computes a convolution by its definition.
fn definition(map: &Map, window: Window, weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let area = window.side * window.side;
    let mut values = Vec::new();
    for result in results(map, window) {
        for (output, bias) in bias.iter().enumerate() {
            let mut sum = f64::from(*bias);
            for place in 0..area {
                for (channel, value) in pixel(map, window, result, place)
                    .into_iter()
                    .flatten()
                    .enumerate()
                {
                    let weight = weights[(output * map.channels + channel) * area + place];
                    sum += f64::from(*value) * f64::from(weight);
                }
            }
            values.push(sum);
        }
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::as_conversions,
        reason = "rounds"
    )]
    values.into_iter().map(|value| value as f32).collect()
}

/// Checks that values are equal except for rounding, which depends on the largest of them.
fn assert_close(left: &[f32], right: &[f32]) {
    assert_eq!(left.len(), right.len());
    let largest = right.iter().copied().map(f32::abs).fold(1.0, f32::max);
    for (left, right) in left.iter().zip(right) {
        assert!(
            (left - right).abs() < 1e-5 * largest,
            "{left} {right} {largest}"
        );
    }
}

/// Compares a layer with the definition, with and without the operations after it.
fn check(window: Window, [channels, height, width]: [usize; 3], outputs: usize) {
    let values = numbers(channels * height * width);
    let map = Map {
        values: &values,
        height,
        width,
        channels,
    };
    let weights = numbers(outputs * channels * window.side * window.side);
    let bias = numbers(outputs);
    let expected = definition(&map, window, &weights, &bias);
    let residual = numbers(expected.len());
    let finished: Vec<f32> = expected
        .iter()
        .zip(&residual)
        .map(|(value, residual)| (value + residual).max(0.0))
        .collect();
    let layer = |weights| {
        Layer::new(window, [channels, height, width], weights, bias.clone()).expect("it fits")
    };
    let half: Vec<f16> = weights.iter().copied().map(f16::from_f32).collect();
    let (single, half) = (
        layer(Columns::Single(&weights)),
        layer(Columns::Half(&half)),
    );
    for level in levels() {
        let mut result = vec![f32::NAN; expected.len()];
        single.run(level, &map, None, false, &mut result);
        assert_close(&result, &expected);
        single.run(level, &map, Some(&residual), true, &mut result);
        assert_close(&result, &finished);
        half.run(level, &map, None, false, &mut result);
        assert_close(&result, &expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn convolution_matches_its_definition(
        side in 1_usize..5,
        stride in 1_usize..4,
        padding in 0_usize..4,
        channels in 1_usize..20,
        height in 5_usize..14,
        width in 5_usize..14,
        outputs in 1_usize..7,
    ) {
        check(Window { side, stride, padding }, [channels, height, width], outputs * 16);
    }

    #[test]
    fn winograd_convolution_matches_the_definition(
        channels in 1_usize..4,
        height in 5_usize..20,
        width in 5_usize..20,
        outputs in 1_usize..7,
    ) {
        check(Window { side: 3, stride: 1, padding: 1 }, [channels * 16, height, width], outputs * 16);
    }

    #[test]
    fn max_pool_returns_the_maximum(
        side in 1_usize..5,
        stride in 1_usize..4,
        padding in 0_usize..4,
        channels in 1_usize..20,
        height in 5_usize..14,
        width in 5_usize..14,
    ) {
        prop_assume!(padding < side);
        let values = numbers(channels * height * width);
        let map = Map { values: &values, height, width, channels };
        let window = Window { side, stride, padding };
        let maximum = |result, channel: usize| {
            (0..side * side)
                .filter_map(|place| pixel(&map, window, result, place))
                .map(|pixel| pixel[channel])
                .fold(f32::NEG_INFINITY, f32::max)
        };
        let expected: Vec<f32> = results(&map, window)
            .into_iter()
            .flat_map(|result| (0..channels).map(move |channel| (result, channel)))
            .map(|(result, channel)| maximum(result, channel))
            .collect();
        for level in levels() {
            let mut result = vec![f32::NAN; expected.len()];
            max_pool(level, &map, &window, &mut result);
            prop_assert_eq!(&result, &expected);
        }
    }
}

/// The shapes of a `ResNet18` for images of 160 and 224 pixels, but for the longest.
#[test]
fn resnet18_layers_match_the_definition() {
    let window = |side, stride, padding| Window {
        side,
        stride,
        padding,
    };
    check(window(7, 2, 3), [3, 32, 32], 64);
    check(window(3, 1, 1), [64, 40, 40], 64);
    check(window(3, 2, 1), [64, 19, 19], 128);
    check(window(1, 2, 0), [128, 20, 20], 256);
    check(window(3, 1, 1), [256, 10, 10], 256);
    check(window(3, 1, 1), [512, 5, 5], 32);
    check(window(3, 1, 1), [512, 7, 7], 32);
}

#[test]
fn weights_that_do_not_fit_make_no_layer() {
    let window = Window {
        side: 3,
        stride: 1,
        padding: 1,
    };
    let layer = |weights, outputs| {
        Layer::new(
            window,
            [4, 8, 8],
            Columns::Single(&numbers(weights)),
            numbers(outputs),
        )
    };
    assert!(layer(16 * 4 * 9, 16).is_some());
    assert!(layer(16 * 4 * 9 - 1, 16).is_none());
    assert!(layer(15 * 4 * 9, 15).is_none());
}

fn tensor(shape: &[usize]) -> TractResult<Tensor> {
    Tensor::from_shape(shape, &numbers(shape.iter().product()))
}

/// A graph under construction.
struct Builder(TypedModel);

impl Builder {
    fn convolution(
        &mut self,
        name: &str,
        input: OutletId,
        window: Window,
        [channels, outputs]: [usize; 2],
    ) -> TractResult<OutletId> {
        let side = window.side;
        let kernel = tensor(&[outputs, channels, side, side])?
            .cast_to::<f16>()?
            .into_owned();
        let kernel = self.0.add_const(format!("{name}.kernel"), kernel)?;
        let kernel =
            self.0
                .wire_node(format!("{name}.cast"), cast(f32::datum_type()), &[kernel])?[0];
        let bias = self
            .0
            .add_const(format!("{name}.bias"), tensor(&[outputs])?)?;
        let spec = spec(window, channels, outputs);
        let conv = Conv::new(spec, KernelFormat::OIHW, 1, None);
        Ok(self.0.wire_node(name, conv, &[input, kernel, bias])?[0])
    }

    fn relu(&mut self, name: &str, input: OutletId) -> TractResult<OutletId> {
        let zero = Tensor::from_shape(&[1, 1, 1, 1], &[0_f32])?;
        let zero = self.0.add_const(format!("{name}.zero"), zero)?;
        Ok(self.0.wire_node(name, math::max(), &[input, zero])?[0])
    }
}

fn spec(window: Window, channels: usize, outputs: usize) -> PoolSpec {
    let Window {
        side,
        stride,
        padding,
    } = window;
    PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: tvec![side; 2],
        padding: PaddingSpec::Explicit(tvec![padding; 2], tvec![padding; 2]),
        dilations: None,
        strides: Some(tvec![stride; 2]),
        input_channels: channels,
        output_channels: outputs,
    }
}

/// Returns a network of a stem, a plain residual block, one that halves the map, and a convolution that stays tract's,
/// with two outputs.
fn network() -> TractResult<TypedModel> {
    let mut builder = Builder(TypedModel::default());
    let window = |side, stride, padding| Window {
        side,
        stride,
        padding,
    };
    let input = builder.0.add_source("image", f32::fact([1, 3, 37, 41]))?;
    let stem = builder.convolution("stem", input, window(7, 2, 3), [3, 16])?;
    let stem = builder.relu("stem.relu", stem)?;
    let pool = MaxPool::new(spec(window(3, 2, 1), 16, 16), None);
    let before = builder.0.wire_node("pool", pool, &[stem])?[0];
    let one = builder.convolution("one", before, window(3, 1, 1), [16, 16])?;
    let one = builder.relu("one.relu", one)?;
    let two = builder.convolution("two", one, window(3, 1, 1), [16, 16])?;
    let sum = builder.0.wire_node("sum", math::add(), &[two, before])?[0];
    let sum = builder.relu("sum.relu", sum)?;
    let three = builder.convolution("three", sum, window(3, 2, 1), [16, 32])?;
    let short = builder.convolution("short", sum, window(1, 2, 0), [16, 32])?;
    let end = builder.0.wire_node("end", math::add(), &[short, three])?[0];
    let odd = builder.convolution("odd", end, window(3, 1, 1), [32, 5])?;
    builder.0.select_output_outlets(&[odd, sum])?;
    Ok(builder.0)
}

fn run(model: TypedModel) -> TractResult<Vec<Vec<f32>>> {
    let outputs = model
        .into_optimized()?
        .into_runnable()?
        .run(tvec!(tensor(&[1, 3, 37, 41])?.into()))?;
    outputs
        .iter()
        .map(|output| Ok(output.try_as_plain_ram()?.as_slice()?.to_vec()))
        .collect()
}

#[test]
fn accelerated_network_gives_the_same_results() -> TractResult<()> {
    let fast = accelerate(network()?)?;
    for (fast, plain) in run(fast)?.iter().zip(run(network()?)?) {
        assert_close(fast, &plain);
    }
    Ok(())
}

#[test]
fn accelerated_network_consists_of_fast_operators() -> TractResult<()> {
    let model = accelerate(network()?)?.into_decluttered()?;
    let count = |name: &str| {
        model
            .nodes()
            .iter()
            .filter(|node| node.op.name() == name)
            .count()
    };
    assert_eq!(count("Convolution"), 5);
    assert_eq!(count("Pool"), 1);
    assert_eq!(count("Conv"), 1, "5 channels stay tract's");
    assert_eq!(
        (count("Add"), count("Max")),
        (0, 0),
        "they are parts of convolutions"
    );
    Ok(())
}

/// Returns the processor time of this thread so far.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// Returns the median processor time of 21 runs of the network.
fn median_time(model: TypedModel, image: &Tensor) -> TractResult<Duration> {
    let plan = model.into_optimized()?.into_runnable()?;
    plan.run(tvec!(image.clone().into()))?;
    let mut times = Vec::new();
    for _ in 0..21 {
        let before = processor_time();
        plan.run(tvec!(image.clone().into()))?;
        times.push(processor_time().saturating_sub(before));
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

#[test]
#[ignore = "a measurement: see the module's documentation"]
fn own_convolutions_are_faster_than_those_of_tract() -> TractResult<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/resnet18-cats.onnx");
    let model = tract_onnx::onnx().model_for_path(file)?.into_typed()?;
    let side = model.input_fact(0)?.shape.as_concrete().unwrap()[2];
    let image = tensor(&[1, 3, side, side])?;
    let own = median_time(accelerate(model.clone())?, &image)?;
    let stock = median_time(model, &image)?;
    let ratio = stock.as_secs_f64() / own.as_secs_f64();
    println!("own {own:?}, tract's {stock:?}: {ratio:.2} times as long");
    assert!(ratio > 1.15, "tract's would do");
    Ok(())
}
