//! Converts colours to sRGB, by an image's ICC profile where it has a usable one.

use moxcms::{
    ColorProfile, DataColorSpace, InterpolationMethod, Layout, RenderingIntent, TransformOptions,
};

use super::resize::Raster;
use crate::decode::{from_cmyk, from_l};

/// The maximum number of a profile's tags; usual ones have fewer than 40. Tags may share their data, which is parsed again for
/// each.
const MAX_TAGS: u32 = 100;

/// Converts an image to RGB in sRGB. A profile that can't be read, or that belongs to another kind of image, is ignored, as
/// browsers do.
pub(super) fn to_srgb(image: Raster, profile: Option<&[u8]>) -> Raster {
    let converted = profile.and_then(|profile| by_profile(&image, profile));
    let samples = match (converted, image.channels) {
        (Some(samples), _) => samples,
        (None, 1) => each(image.samples(), from_l),
        (None, 3) => return image,
        (None, _) => each(image.samples(), from_cmyk),
    };
    Raster::new(image.width, image.height, 3, samples)
}

fn by_profile(image: &Raster, profile: &[u8]) -> Option<Vec<u8>> {
    let tags = profile.get(128..)?.first_chunk()?;
    if u32::from_be_bytes(*tags) > MAX_TAGS {
        return None;
    }
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    let layout = match (image.channels, profile.color_space) {
        (1, DataColorSpace::Gray) => Layout::Gray,
        (3, DataColorSpace::Rgb) => Layout::Rgb,
        (4, DataColorSpace::Cmyk) => Layout::Rgba,
        _ => return None,
    };
    let options = TransformOptions {
        rendering_intent: RenderingIntent::RelativeColorimetric,
        // As LittleCMS does.
        interpolation_method: InterpolationMethod::Tetrahedral,
        prefer_fixed_point: false,
        ..TransformOptions::default()
    };
    let transform = profile
        .create_transform_8bit(layout, &ColorProfile::new_srgb(), Layout::Rgb, options)
        .ok()?;
    let mut samples = vec![0; image.width * image.height * 3];
    transform.transform(image.samples(), &mut samples).ok()?;
    Some(samples)
}

fn each<const N: usize>(samples: &[u8], colour: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let (pixels, _) = samples.as_chunks();
    pixels.iter().flat_map(|&pixel| colour(pixel)).collect()
}
