//! Images that tests make, and tests of the parts. Whole images are compared with Pillow's pixels in `shared/tests/images`.

use image_webp::{ColorType, WebPEncoder};

use super::Orientation;
use super::vp8l;

#[path = "../../tests/images/exif.rs"]
mod blocks;

use blocks::STORED_QUARTERS;
pub(crate) use blocks::exif;

pub(crate) fn webp(colour: ColorType, width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = WebPEncoder::new(&mut file);
    encoder.encode(data, width, height, colour).unwrap();
    file
}

pub(crate) fn png(width: u32, height: u32, data: &[u8], exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut info = ::png::Info::with_size(width, height);
    info.color_type = ::png::ColorType::Rgb;
    info.exif_metadata = exif.map(Into::into);
    let encoder = ::png::Encoder::with_info(&mut file, info).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    file
}

/// Returns a PNG that claims this size and ends after the header.
pub(crate) fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = ::png::Encoder::new(&mut file, width, height);
    drop(encoder.write_header().unwrap());
    file
}

#[test]
fn every_orientation_is_turned_upright() {
    for (tag, stored) in (1..).zip(STORED_QUARTERS) {
        let stored = stored.map(|quarter| u8::try_from(quarter).unwrap());
        let pixels = stored.iter().flat_map(|&value| [value; 3]).collect();
        let upright = Orientation::from_exif(Some(&exif(tag))).upright(2, 2, pixels);
        assert_eq!(
            upright,
            [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3],
            "orientation {tag}"
        );
    }
    for odd in [&exif(0)[..], &exif(9), b"", b"MM", b"Exif\0\0"] {
        assert_eq!(Orientation::from_exif(Some(odd)), Orientation::default());
    }
    let prefixed = [b"Exif\0\0", &exif(6)[..]].concat();
    assert_eq!(
        Orientation::from_exif(Some(&prefixed)).upright(1, 1, vec![0; 3]),
        [0; 3]
    );
    assert!(Orientation::from_exif(Some(&prefixed)).swapped);
}

#[test]
fn table_sizes_of_lossless_webp_are_added_up() {
    let data: Vec<u8> = (0_u8..=255).cycle().take(40 * 30 * 3).collect();
    let file = webp(ColorType::Rgb8, 40, 30, &data);
    // The data follows the headers of the container, the chunk and the picture.
    let bytes = vp8l::table_bytes(&file[12 + 8 + 5..], 40, 30, usize::MAX).unwrap();
    assert!((500..100_000).contains(&bytes), "{bytes}");
    assert_eq!(vp8l::table_bytes(&[], 40, 30, 0), None);
    assert_eq!(vp8l::table_bytes(&[0xFF; 40], 40, 30, 0), None);
}
