//! What each thing that users do costs: `measured.toml`, which is built in and says where each figure is from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Error;

const FILE: &str = include_str!("../measured.toml");

/// How a figure came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// From the code.
    Counted,
    /// By a command.
    Measured,
    /// By nobody yet.
    Assumed,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each stands in the file under the same name")]
pub struct Latency {
    pub cache_ms: f64,
    pub read_ms: f64,
    pub write_ms: f64,
    pub transaction_ms: f64,
    pub sqs_ms: f64,
    pub s3_ms: f64,
    pub runtime_ms: f64,
    pub cold_start_ms: f64,
    pub basis: Basis,
    pub source: String,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each stands in the file under the same name")]
pub struct Sizes {
    pub feed: f64,
    pub following_member: f64,
    pub post: f64,
    pub counts: f64,
    pub author: f64,
    pub liked_field: f64,
    pub follow_row: f64,
    pub page_answer: f64,
    pub small_answer: f64,
    pub log_per_run: f64,
    pub request: f64,
    pub basis: Basis,
    pub source: String,
}

/// How often a call waits for each.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each is what is waited for")]
pub struct Waits {
    pub cache: f64,
    pub read: f64,
    pub write: f64,
    pub transaction: f64,
    pub sqs: f64,
    pub s3: f64,
}

/// Units of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Units {
    /// Read request units.
    pub read: f64,
    /// Write request units.
    pub write: f64,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A page of posts or comments.
    Page,
    /// Anything else.
    Small,
}

/// What one operation costs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// What it is.
    pub what: String,
    /// The function that is invoked for it, if one is.
    pub function: Option<String>,
    /// Processor time on a whole core, in milliseconds.
    #[serde(default)]
    pub cpu_ms: f64,
    /// What it waits for.
    #[serde(default)]
    pub waits: Waits,
    /// The function that does it as part of another operation.
    pub within: Option<String>,
    /// What that function waits for because of it.
    #[serde(default)]
    pub waits_added: Waits,
    /// The tables' units.
    #[serde(default)]
    pub units: BTreeMap<String, Units>,
    /// What stays in the tables, in bytes, indexes among it.
    #[serde(default)]
    pub stored: BTreeMap<String, f64>,
    /// Units of the cache.
    #[serde(default)]
    pub ecpu: f64,
    /// Messages sent.
    #[serde(default)]
    pub sqs: f64,
    /// Calls to S3 that are priced as PUTs: lists too.
    #[serde(default)]
    pub s3_puts: f64,
    /// All others.
    #[serde(default)]
    pub s3_gets: f64,
    /// What goes back to the client.
    pub answer: Option<Answer>,
    /// How this came to be.
    pub basis: Basis,
    /// The source file or command.
    pub source: String,
}

/// What a queue's consumer takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Its function.
    pub function: String,
    /// Waiting, for each batch, in milliseconds.
    pub per_batch_ms: f64,
    /// Waiting, for each message.
    pub per_message_ms: f64,
    /// Processor time on a whole core for each message.
    pub cpu_per_message_ms: f64,
    /// The same for each follower whom a message serves.
    #[serde(default)]
    pub cpu_per_push_ms: f64,
    /// Calls to S3 of a batch, priced as PUTs.
    #[serde(default)]
    pub s3_puts_per_batch: f64,
    /// Others.
    #[serde(default)]
    pub s3_gets_per_batch: f64,
    /// How this came to be.
    pub basis: Basis,
    /// The source file or command.
    pub source: String,
}

/// All of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// How long calls take.
    pub latency: Latency,
    /// How large things are.
    pub sizes: Sizes,
    operation: BTreeMap<String, Operation>,
    /// The consumers by their queue.
    pub queue: BTreeMap<String, Queue>,
}

/// At so many megabytes a function has a whole core.
const CORE_MB: f64 = 1769.0;

/// How long so much processor time takes with so much memory.
pub fn on_memory(cpu_ms: f64, memory_mb: f64) -> f64 {
    cpu_ms * (CORE_MB / memory_mb).max(1.0)
}

impl Measured {
    /// The figures that are built in.
    pub fn built_in() -> Result<Self, Error> {
        toml::from_str(FILE).map_err(|error| Error::file("measured.toml", error))
    }

    /// What an operation costs.
    pub fn operation(&self, name: &str) -> Result<&Operation, Error> {
        let found = self.operation.get(name);
        found.ok_or_else(|| Error::file("measured.toml", format!("no operation {name}")))
    }

    /// The tables of which any operation uses units.
    pub fn tables(&self) -> BTreeSet<&str> {
        let units = self.operation.values().flat_map(|of| of.units.keys());
        units.map(String::as_str).collect()
    }

    /// A queue's consumer.
    pub fn queue(&self, name: &str) -> Result<&Queue, Error> {
        let found = self.queue.get(name);
        found.ok_or_else(|| Error::file("measured.toml", format!("no queue {name}")))
    }

    /// How long these waits take together, in milliseconds.
    pub fn waited_ms(&self, waits: Waits) -> f64 {
        let latency = &self.latency;
        waits.cache * latency.cache_ms
            + waits.read * latency.read_ms
            + waits.write * latency.write_ms
            + waits.transaction * latency.transaction_ms
            + waits.sqs * latency.sqs_ms
            + waits.s3 * latency.s3_ms
    }

    /// How long an operation's function runs, in seconds.
    pub fn seconds(&self, operation: &Operation, memory_mb: f64) -> f64 {
        let cpu = on_memory(operation.cpu_ms, memory_mb);
        (cpu + self.waited_ms(operation.waits) + self.latency.runtime_ms) / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_says_where_it_is_from() {
        let measured = Measured::built_in().unwrap();
        for (name, operation) in &measured.operation {
            assert!(operation.source.len() > 5, "{name}");
            // A source is a file of the repository, a command, or the design.
            let first = operation.source.split([' ', ',', ';', ':']).next().unwrap();
            if first.contains('/') && first.contains(".rs") {
                let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
                assert!(
                    std::path::Path::new(root).join(first).exists(),
                    "{name}: {first}"
                );
            }
        }
    }

    #[test]
    fn little_memory_is_little_processor() {
        assert!((on_memory(1.0, 256.0) - 6.91).abs() < 0.01);
        assert!((on_memory(1.0, 4096.0) - 1.0).abs() < 1e-9);
    }
}
