//! The other way to have the cache: nodes by the hour.

use serde::Serialize;

use crate::Error;
use crate::prices::Prices;
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
    /// How many shards, each with a replica in another zone.
    pub shards: u64,
    /// Dollars a month.
    pub dollars: f64,
}

/// The cheapest that hold so many bytes.
pub fn cheapest(bytes: f64, usage: &Usage, prices: &Prices) -> Result<Nodes, Error> {
    let mut found: Option<Nodes> = None;
    for node in &prices.cache_nodes {
        let shards = (bytes / (node.gib * GIB * USABLE)).ceil().max(1.0);
        let dollars = shards * 2.0 * node.of(usage.region)? * MONTH_HOURS;
        if found.as_ref().is_none_or(|best| dollars < best.dollars) {
            found = Some(Nodes {
                kind: node.name.clone(),
                shards: crate::numbers::whole(shards),
                dollars,
            });
        }
    }
    found.ok_or_else(|| Error::file("prices.toml", "no cache nodes"))
}

impl Nodes {
    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.shards * 2
    }
}
