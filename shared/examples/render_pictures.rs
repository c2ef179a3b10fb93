//! Makes the pictures of uploads, and prints what that took and how large they are: the function's code path, to measure.
//!
//! `render_pictures IMAGE...` prints a JSON object a line for each image, and at the end the most memory that it ever had.
//! With `--out DIR`, it also writes the pictures there.

mod measure;

use std::error::Error;
use std::path::{Path, PathBuf};

use purrline::picture::render;
use serde_json::json;

use measure::{cpu_ms, peak_kib};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = None;
    if arguments.first().is_some_and(|first| first == "--out") && arguments.len() > 1 {
        out = arguments.drain(..2).next_back().map(PathBuf::from);
    }
    if arguments.is_empty() {
        return Err("usage: render_pictures [--out DIR] IMAGE...".into());
    }
    for image in &arguments {
        let upload = std::fs::read(image)?;
        let before = cpu_ms();
        let pictures = match render(&upload) {
            Ok(pictures) => pictures,
            Err(error) => {
                println!("{}", json!({"image": image, "error": error.to_string()}));
                continue;
            }
        };
        let took = cpu_ms() - before;
        let sizes: Vec<_> = pictures
            .sizes
            .iter()
            .map(|picture| json!([picture.width, picture.height, picture.jpeg.len()]))
            .collect();
        println!(
            "{}",
            json!({"image": image, "cpu_ms": took, "sizes": sizes})
        );
        if let Some(out) = &out {
            let name = Path::new(image).file_stem().unwrap_or_default();
            for picture in &pictures.sizes {
                let file = format!("{}-{}.jpg", name.to_string_lossy(), picture.width);
                std::fs::write(out.join(file), &picture.jpeg)?;
            }
        }
    }
    println!("{}", json!({"peak_kib": peak_kib()?}));
    Ok(())
}
