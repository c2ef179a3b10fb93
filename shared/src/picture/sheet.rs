//! The pixels of a whole upload, collected row by row from a decoder. A large image is shrunk meanwhile by averaging blocks
//! of pixels, so that a sheet's shorter side is less than twice the largest picture's width.

use super::WIDTHS;
use super::resize::Raster;
use crate::decode::{Canvas, Layout, Limits, MAX_PIXELS, PAPER, Place, Target, from_la, from_rgba};

/// Enough for a photo of 22 megapixels in any format, and for more in most.
const LIMITS: Limits = Limits {
    decoder_bytes: 250_000_000,
    progressive_bytes: 250_000_000,
};

const _: () = assert!(MAX_PIXELS < (6 * 1280) * (6 * 1280));

/// Has uploads decoded onto a [`Sheet`].
#[derive(Debug, Clone, Copy)]
pub(super) struct PictureTarget;

/// The pixels collected so far, on blank paper.
#[derive(Debug)]
pub(super) struct Sheet {
    /// The upload's width and height, in pixels.
    pub(super) size: (usize, usize),
    /// The size as decoded, in pixels.
    decoded: (usize, usize),
    /// The side of a block, in pixels.
    block: usize,
    layout: Layout,
    samples: Samples,
}

/// The samples, row by row: one of grey, three of colour or four of ink for each block.
#[derive(Debug)]
enum Samples {
    /// Blocks of one pixel.
    Pixels(Vec<u8>),
    /// Blocks of several pixels: the sums of their differences from paper. An image of at most [`MAX_PIXELS`] has blocks of at
    /// most 5 by 5 pixels, so the sums fit.
    Shades(Vec<u16>),
}

impl Target for PictureTarget {
    type Canvas = Sheet;

    fn limits(&self) -> Limits {
        LIMITS
    }

    /// Returns true: browsers, too, show photos that were cut short on the way.
    fn accepts_cut_short(&self) -> bool {
        true
    }

    fn keeps_profile(&self) -> bool {
        true
    }

    /// Divides the shorter side, since either may become the width.
    fn spare_scale(&self, width: usize, height: usize) -> usize {
        let [.., widest] = WIDTHS;
        (width.min(height) / widest).max(1)
    }

    fn canvas(&self, width: usize, height: usize, scale: usize, layout: Layout) -> Sheet {
        let decoded = (width.div_ceil(scale), height.div_ceil(scale));
        let block = self.spare_scale(decoded.0, decoded.1);
        let samples = decoded.0.div_ceil(block) * decoded.1.div_ceil(block) * channels(layout);
        let samples = match block {
            1 => Samples::Pixels(vec![paper(layout); samples]),
            _ => Samples::Shades(vec![0; samples]),
        };
        Sheet {
            size: (width, height),
            decoded,
            block,
            layout,
            samples,
        }
    }
}

impl Canvas for Sheet {
    fn pixels(&mut self, place: Place, layout: Layout, data: &[u8]) {
        match layout {
            Layout::L => self.add(place, data, |l: [u8; 1]| l),
            Layout::La => self.add(place, data, |la| {
                let [l, ..] = from_la(la);
                [l]
            }),
            Layout::Rgb => self.add(place, data, |rgb: [u8; 3]| rgb),
            Layout::Rgba => self.add(place, data, from_rgba),
            Layout::Cmyk => self.add(place, data, |cmyk: [u8; 4]| cmyk),
        }
    }
}

impl Sheet {
    #[inline]
    fn add<const IN: usize, const OUT: usize>(
        &mut self,
        place: Place,
        data: &[u8],
        convert: impl Fn([u8; IN]) -> [u8; OUT],
    ) {
        let columns = self.decoded.0.div_ceil(self.block);
        let (pixels, _) = data.as_chunks::<IN>();
        let row = place.y / self.block * columns * OUT;
        let row = row..row + columns * OUT;
        match &mut self.samples {
            Samples::Pixels(samples) => {
                let (row, _) = samples.get_mut(row).unwrap_or_default().as_chunks_mut();
                let places = row.iter_mut().skip(place.first).step_by(place.step);
                places
                    .zip(pixels)
                    .for_each(|(to, &pixel)| *to = convert(pixel));
            }
            Samples::Shades(samples) => {
                let (row, _) = samples.get_mut(row).unwrap_or_default().as_chunks_mut();
                let places = (place.first..self.decoded.0).step_by(place.step);
                let paper = paper(self.layout);
                for (x, &pixel) in places.zip(pixels) {
                    if let Some(sums) = row.get_mut(x / self.block) {
                        let sums: &mut [u16; OUT] = sums;
                        for (sum, sample) in sums.iter_mut().zip(convert(pixel)) {
                            *sum += u16::from(paper.abs_diff(sample));
                        }
                    }
                }
            }
        }
    }

    /// Returns the sheet as an image, not yet upright.
    pub(super) fn finish(self) -> Raster {
        let Self {
            decoded: (width, height),
            block,
            layout,
            samples,
            ..
        } = self;
        let (columns, rows) = (width.div_ceil(block), height.div_ceil(block));
        let channels = channels(layout);
        let samples = match samples {
            Samples::Pixels(samples) => samples,
            Samples::Shades(sums) => {
                let paper = paper(layout);
                let length = |at: usize, of: usize| block.min(of - at * block);
                let mean = |sum: u16, count: u32| {
                    let shade = (u32::from(sum) + count / 2) / count;
                    paper.abs_diff(u8::try_from(shade).unwrap_or(u8::MAX))
                };
                let mut samples = Vec::with_capacity(sums.len());
                for (y, row) in sums.chunks_exact((columns * channels).max(1)).enumerate() {
                    for (x, sums) in row.chunks_exact(channels).enumerate() {
                        let count = length(x, width) * length(y, height);
                        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
                        samples.extend(sums.iter().map(|&sum| mean(sum, count)));
                    }
                }
                samples
            }
        };
        Raster::new(columns, rows, channels, samples)
    }
}

/// Returns the number of samples of a pixel, without its opacity.
const fn channels(layout: Layout) -> usize {
    match layout {
        Layout::L | Layout::La => 1,
        Layout::Rgb | Layout::Rgba => 3,
        Layout::Cmyk => 4,
    }
}

/// Returns a sample of blank paper.
const fn paper(layout: Layout) -> u8 {
    match layout {
        Layout::Cmyk => 0,
        _ => PAPER,
    }
}
