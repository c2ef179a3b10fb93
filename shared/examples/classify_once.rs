//! Classifies an image once for every line of input, and says what it took: the function's code path,
//! for `model/bench` to measure.
//!
//! `classify_once MODEL_DIR IMAGE` prints a JSON object a line: first the processor time until it is ready,
//! then that of each classification, and at the end of the input the most memory that it ever had.

mod measure;

use std::error::Error;
use std::io::Write;
use std::path::Path;

use purrline::vision::Classifier;
use serde_json::{Value, json};

use measure::{cpu_ms, peak_kib};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, image] = arguments.as_slice() else {
        return Err("usage: classify_once MODEL_DIR IMAGE".into());
    };
    let classifier = Classifier::load(Path::new(folder))?;
    say(&json!({"cpu_ms": cpu_ms()}))?;
    let image = std::fs::read(image)?;
    for line in std::io::stdin().lines() {
        line?;
        let before = cpu_ms();
        let breeds = classifier.classify(&image)?;
        let took = cpu_ms() - before;
        let best = breeds.first().map(|first| first.breed.id);
        say(&json!({"cpu_ms": took, "breed": best}))?;
    }
    say(&json!({"peak_kib": peak_kib()?}))
}

fn say(value: &Value) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
