//! The other way to have the cache: nodes by the hour.

use serde::Serialize;

use crate::Error;
use crate::prices::{Price, Prices};
use crate::usage::{MONTH_HOURS, Usage};

/// What of a node's memory may hold data: ElastiCache keeps a quarter for itself unless told.
const USABLE: f64 = 0.75;
/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;

/// Nodes that hold the cache.
#[derive(Debug, Clone, Serialize)]
pub struct Nodes {
    /// Their kind.
    pub kind: String,
    /// Over how many the keys are spread.
    pub shards: f64,
    /// How many replicas each of these has.
    pub replicas: u8,
    /// Dollars a month.
    pub dollars: f64,
    /// The price of an hour of one.
    #[serde(skip)]
    pub hour: Price,
}

/// The cheapest that hold so many bytes.
pub fn cheapest(bytes: f64, replicas: u8, usage: &Usage, prices: &Prices) -> Result<Nodes, Error> {
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
    /// How many there are.
    pub fn count(&self) -> f64 {
        self.shards * f64::from(self.replicas + 1)
    }
}
