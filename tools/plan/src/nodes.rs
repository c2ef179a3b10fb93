//! The alternative to a serverless cache: nodes paid by the hour.

use serde::Serialize;

use crate::Error;
use crate::prices::{Price, Prices};
use crate::usage::{MONTH_HOURS, Usage};

/// The share of a node's memory that holds data: `ElastiCache` reserves a quarter by default.
const USABLE: f64 = 0.75;
const GIB: f64 = 1_073_741_824.0;

/// Nodes that hold the cache.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Nodes {
    pub kind: String,
    pub shards: f64,
    /// Replicas of each shard.
    pub replicas: u8,
    /// Dollars a month.
    pub dollars: f64,
    /// The hourly price of one node.
    #[serde(skip)]
    pub hour: Price,
}

/// Returns the cheapest nodes that hold this many bytes.
pub(crate) fn cheapest(
    bytes: f64,
    replicas: u8,
    usage: &Usage,
    prices: &Prices,
) -> Result<Nodes, Error> {
    let mut found: Option<Nodes> = None;
    for node in &prices.cache_nodes {
        let shards = (bytes / (node.gib * GIB * USABLE)).ceil().max(1.0);
        let hour = node.hour();
        let count = shards * f64::from(replicas + 1);
        let dollars = count * hour.of(usage.region)? * MONTH_HOURS;
        if found.as_ref().is_none_or(|best| dollars < best.dollars) {
            found = Some(Nodes {
                kind: node.name.clone(),
                shards,
                replicas,
                dollars,
                hour,
            });
        }
    }
    found.ok_or_else(|| Error::file("prices.toml", "no cache nodes"))
}

impl Nodes {
    /// Returns the number of nodes.
    pub(crate) fn count(&self) -> f64 {
        self.shards * f64::from(self.replicas + 1)
    }
}
