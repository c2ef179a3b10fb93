//! The pixels that the model sees, collected row by row from a decoder, then resized.
//!
//! A canvas holds only what lies in the frame, and shrinks large images by averaging blocks of pixels. So it takes a
//! few megabytes at most, whatever the image's size.

use super::Square;
use super::framing::{Axis, Strip, spare_scale};
use super::resize::resize;
use crate::decode::{self, Layout, Limits, Orientation, PAPER, Place, Target};

/// Enough for the classifier's memory, beside the model.
const LIMITS: Limits = Limits {
    decoder_bytes: 24_000_000,
    // 12.5 megapixels from a camera.
    progressive_bytes: 41_000_000,
};

/// The view of a model that sees `side` by `side` pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) side: usize,
}

impl Target for View {
    type Canvas = Canvas;

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn spare_scale(&self, width: usize, height: usize) -> usize {
        spare_scale(width.min(height), self.side)
    }

    fn accepts_cut_short(&self) -> bool {
        false
    }

    /// The model was trained on samples as they are stored.
    fn keeps_profile(&self) -> bool {
        false
    }

    fn canvas(&self, width: usize, height: usize, scale: usize, _: Layout) -> Canvas {
        Canvas::new(width, height, self.side, scale)
    }
}

/// The pixels collected so far, on blank paper.
#[derive(Debug)]
pub(super) struct Canvas {
    side: usize,
    columns: Strip,
    rows: Strip,
    blocks: Blocks,
}

/// Blocks of RGB pixels, row by row.
#[derive(Debug)]
enum Blocks {
    /// Blocks of one pixel.
    Pixels(Vec<[u8; 3]>),
    /// Blocks of several pixels: the sums of their differences from white paper.
    Shades(Vec<[u32; 3]>),
}

impl Canvas {
    /// Creates a canvas for an image of `width` by `height` pixels, of which the model sees `side` by `side`, and which
    /// its decoder shrinks by `scale`.
    fn new(width: usize, height: usize, side: usize, scale: usize) -> Self {
        let short = width.min(height);
        let block = match scale {
            1 => spare_scale(short, side),
            _ => 1,
        };
        let columns = Axis::new(width, short, side).strip(scale, block);
        let rows = Axis::new(height, short, side).strip(scale, block);
        let area = columns.len() * rows.len();
        let blocks = match block {
            1 => Blocks::Pixels(vec![[PAPER; 3]; area]),
            _ => Blocks::Shades(vec![[0; 3]; area]),
        };
        Self {
            side,
            columns,
            rows,
            blocks,
        }
    }

    #[inline]
    fn add(&mut self, place: Place, pixels: impl Iterator<Item = [u8; 3]>) {
        let (columns, rows) = (&self.columns, &self.rows);
        if !rows.range.contains(&place.y) {
            return;
        }
        let start = (place.y - rows.range.start) / rows.block * columns.len();
        let row = start..start + columns.len();
        let places = (place.first..columns.range.end)
            .step_by(place.step)
            .map(|x| (x - columns.range.start) / columns.block);
        match &mut self.blocks {
            Blocks::Pixels(blocks) if place.step == 1 => {
                let row = blocks.get_mut(row).unwrap_or_default();
                let row = row.iter_mut().skip(place.first - columns.range.start);
                row.zip(pixels).for_each(|(to, from)| *to = from);
            }
            Blocks::Pixels(blocks) => {
                let row = blocks.get_mut(row).unwrap_or_default();
                for (x, pixel) in places.zip(pixels) {
                    if let Some(to) = row.get_mut(x) {
                        *to = pixel;
                    }
                }
            }
            Blocks::Shades(blocks) => {
                let row = blocks.get_mut(row).unwrap_or_default();
                for (x, pixel) in places.zip(pixels) {
                    if let Some([r, g, b]) = row.get_mut(x) {
                        let [red, green, blue] = pixel;
                        *r += u32::from(PAPER - red);
                        *g += u32::from(PAPER - green);
                        *b += u32::from(PAPER - blue);
                    }
                }
            }
        }
    }

    /// Returns the square for the model, upright.
    pub(super) fn finish(self, orientation: Orientation) -> Square {
        let Self {
            side,
            columns,
            rows,
            blocks,
        } = self;
        let pixels = match blocks {
            Blocks::Pixels(pixels) => pixels,
            Blocks::Shades(shades) => averages(&shades, &columns, &rows),
        };
        let across = columns.frame(orientation.columns_reversed);
        let down = rows.frame(orientation.rows_reversed);
        let square = resize(
            &pixels,
            columns.len(),
            &across,
            &down,
            side,
            orientation.swapped,
        );
        Square(orientation.upright(side, side, square.into_flattened()))
    }
}

impl decode::Canvas for Canvas {
    fn pixels(&mut self, place: Place, layout: Layout, data: &[u8]) {
        let before = self.columns.range.start.saturating_sub(place.first);
        let skipped = before.div_ceil(place.step);
        let place = Place {
            first: place.first + skipped * place.step,
            ..place
        };
        let data = data.get(skipped * layout.bytes()..).unwrap_or_default();
        match layout {
            Layout::L => self.add(place, each(data, decode::from_l)),
            Layout::La => self.add(place, each(data, decode::from_la)),
            Layout::Rgb => self.add(place, each(data, |rgb| rgb)),
            Layout::Rgba => self.add(place, each(data, decode::from_rgba)),
            Layout::Cmyk => self.add(place, each(data, decode::from_cmyk)),
        }
    }
}

/// Converts the pixels of a row.
#[inline]
fn each<const N: usize>(
    data: &[u8],
    colour: impl Fn([u8; N]) -> [u8; 3],
) -> impl Iterator<Item = [u8; 3]> {
    let (pixels, _) = data.as_chunks();
    pixels.iter().map(move |&pixel| colour(pixel))
}

/// Returns the mean of every block, rounded as Pillow does (`Reduce.c`). Blocks at the image's right and lower edges
/// may be smaller than the others.
fn averages(shades: &[[u32; 3]], columns: &Strip, rows: &Strip) -> Vec<[u8; 3]> {
    let counts = rows
        .blocks()
        .flat_map(|high| columns.blocks().map(move |wide| wide * high));
    let mean = |shade: u32, count: u32| {
        let sum = u64::from(u32::from(PAPER) * count - shade + count / 2);
        u8::try_from((sum * u64::from((1 << 24) / count)) >> 24).unwrap_or(PAPER)
    };
    shades
        .iter()
        .zip(counts)
        .map(|(shade, count)| {
            let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
            shade.map(|shade| mean(shade, count))
        })
        .collect()
}
