//! Makes the pictures of uploads, and prints what that took and how large they are: the function's code path, to measure.
//!
//! `render_pictures IMAGE...` prints a JSON object a line for each image, and at the end the most memory that it ever had.
//! With `--out DIR`, it also writes the pictures there.

use std::error::Error;
use std::path::{Path, PathBuf};

use purrline::picture::render;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

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

/// Processor time of this process so far, all threads together, in milliseconds.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    std::time::Duration::try_from(time).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// The most memory that this process ever had resident, in KiB.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next());
    Ok(kib
        .ok_or("the system doesn't say how much memory it had")?
        .parse()?)
}
