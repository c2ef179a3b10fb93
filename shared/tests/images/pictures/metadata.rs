//! Nothing but pixels goes from an upload into a picture.

use super::{images, pictures};

/// Markers of a JPEG that says nothing but what decoding needs.
const APP0: u8 = 0xE0;
const ALLOWED: [u8; 7] = [0xC2, 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, APP0];

/// Returns the markers of a JPEG with their contents, and what follows its end.
fn segments(jpeg: &[u8]) -> (Vec<(u8, &[u8])>, &[u8]) {
    let mut found = Vec::new();
    let mut rest = jpeg.strip_prefix(&[0xFF, 0xD8]).expect("a JPEG");
    loop {
        let [0xFF, marker, after @ ..] = rest else {
            panic!("no marker at {}", jpeg.len() - rest.len());
        };
        if *marker == 0xD9 {
            found.push((*marker, &after[..0]));
            return (found, after);
        }
        let length = usize::from(u16::from_be_bytes([after[0], after[1]]));
        found.push((*marker, &after[2..length]));
        rest = &after[length..];
        if *marker == 0xDA {
            // Compressed data: up to a marker that is neither a stuffed byte nor a restart.
            let end = rest.windows(2).position(|pair| {
                pair[0] == 0xFF && pair[1] != 0 && !(0xD0..=0xD7).contains(&pair[1])
            });
            rest = &rest[end.expect("an end")..];
        }
    }
}

#[test]
fn pictures_have_no_metadata() {
    for (name, upload) in images("images").into_iter().chain(images("pictures")) {
        for picture in pictures(&name, &upload).sizes {
            let (segments, after) = segments(&picture.jpeg);
            assert!(after.is_empty(), "{name}: bytes after the end");
            for (marker, content) in segments {
                assert!(ALLOWED.contains(&marker), "{name}: a segment {marker:#x}");
                if marker == APP0 {
                    assert_eq!(content.len(), 14, "{name}: a JFIF header and no thumbnail");
                    assert!(content.starts_with(b"JFIF\0"), "{name}");
                }
            }
        }
    }
}
