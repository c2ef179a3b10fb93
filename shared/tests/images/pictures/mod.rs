//! The pictures that are served, from whole files of every kind that may be uploaded.

mod colours;
mod cut_short;
mod metadata;
mod shapes;

use libjpeg_turbo_rs::PixelFormat;
use purrline::picture::{Picture, Pictures, render};

use crate::corpus::repository;

fn images(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = repository().join("tests").join(folder);
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|kind| kind != "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn pictures(name: &str, upload: &[u8]) -> Pictures {
    render(upload).unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

/// A picture's pixels, as a browser shows them.
struct Shown {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Shown {
    fn of(picture: &Picture) -> Self {
        let image = libjpeg_turbo_rs::decompress_to(&picture.jpeg, PixelFormat::Rgb).unwrap();
        assert_eq!((image.width, image.height), (picture.width, picture.height));
        let (pixels, _) = image.data.as_chunks();
        Self {
            width: image.width,
            pixels: pixels.to_vec(),
        }
    }

    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.pixels[y * self.width + x]
    }
}
