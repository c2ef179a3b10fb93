//! Bad days, simulated with `crate::sim`.

pub(crate) mod failover;
pub(crate) mod influencer;
pub(crate) mod lunch;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use purrline_charts::{Axis, Chart, Series};
use serde::Serialize;

/// The course of a scenario.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScenarioResult {
    pub title: String,
    /// Conclusions, one sentence each.
    pub verdict: Vec<String>,
    /// The same as numbers.
    pub figures: BTreeMap<&'static str, f64>,
    /// Charts, by file name.
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
