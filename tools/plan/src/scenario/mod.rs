//! Bad days, played through with [`crate::sim`].

pub mod failover;
pub mod influencer;
pub mod lunch;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use purrline_charts::{Axis, Chart, Series};
use serde::Serialize;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// What was asked.
    pub title: String,
    /// What is answered, sentence by sentence.
    pub verdict: Vec<String>,
    /// The same as numbers.
    pub figures: BTreeMap<&'static str, f64>,
    /// Pictures by their file's name.
    #[serde(skip)]
    pub pictures: Vec<(&'static str, Chart)>,
}

fn axis(label: &str, log: bool) -> Axis {
    Axis {
        label: label.to_owned(),
        log,
    }
}

fn line(name: &str, points: Vec<(f64, f64)>) -> Series {
    Series {
        name: name.to_owned(),
        points,
    }
}
