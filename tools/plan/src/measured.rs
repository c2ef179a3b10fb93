//! The cost of each operation, from the compiled-in `measured.toml`, which gives the source of each figure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::usage::Width;

const FILE: &str = include_str!("../measured.toml");

/// The origin of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Counted in the code.
    Counted,
    /// Measured by a command.
    Measured,
    /// An assumption.
    Assumed,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the file describes each")]
pub struct Latency {
    pub cache_ms: f64,
    pub read_ms: f64,
    pub write_ms: f64,
    pub transaction_ms: f64,
    pub sqs_ms: f64,
    pub s3_ms: f64,
    pub runtime_ms: f64,
    pub cold_start_ms: f64,
    /// The origin of the figures.
    pub basis: Basis,
    pub source: String,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the file describes each")]
pub struct Sizes {
    pub feed: f64,
    pub following_member: f64,
    pub post: f64,
    pub counts: f64,
    pub author: f64,
    pub liked_field: f64,
    pub follow_row: f64,
    pub page_answer: f64,
    pub comments_answer: f64,
    pub small_answer: f64,
    pub log_per_run: f64,
    pub request: f64,
    /// The origin of the figures.
    pub basis: Basis,
    pub source: String,
}

/// The mean sizes of pictures in bytes, by their width in pixels.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the file describes each")]
pub struct Pictures {
    pub bytes_320: f64,
    pub bytes_640: f64,
    pub bytes_1280: f64,
    /// The origin of the figures.
    pub basis: Basis,
    pub source: String,
}

impl Pictures {
    /// Returns the size of a picture of this width.
    pub fn bytes(&self, width: Width) -> f64 {
        match width {
            Width::Small => self.bytes_320,
            Width::Medium => self.bytes_640,
            Width::Large => self.bytes_1280,
        }
    }

    /// Returns the size of all files of an upload's picture.
    pub fn all_bytes(&self) -> f64 {
        self.bytes_320 + self.bytes_640 + self.bytes_1280
    }
}

/// Calls, by what they wait for.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each is a kind of call")]
pub struct Waits {
    pub cache: f64,
    pub read: f64,
    pub write: f64,
    pub transaction: f64,
    pub sqs: f64,
    pub s3: f64,
}

/// A table's request units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Units {
    /// Read request units.
    pub read: f64,
    /// Write request units.
    pub write: f64,
}

/// The kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A page of posts.
    Page,
    /// A page of comments.
    Comments,
    /// Any other.
    Small,
}

/// The cost of one operation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// A description.
    pub what: String,
    /// The function that is invoked for it, if any.
    pub function: Option<String>,
    /// Processor time on a full core, in milliseconds.
    #[serde(default)]
    pub cpu_ms: f64,
    /// The calls that it waits for.
    #[serde(default)]
    pub waits: Waits,
    /// The function that does it as a part of another operation.
    pub within: Option<String>,
    /// The calls that the function additionally waits for.
    #[serde(default)]
    pub waits_added: Waits,
    /// Request units, by table.
    #[serde(default)]
    pub units: BTreeMap<String, Units>,
    /// Bytes that stay in each table, including its indexes.
    #[serde(default)]
    pub stored: BTreeMap<String, f64>,
    /// Processing units of the cache.
    #[serde(default)]
    pub ecpu: f64,
    /// Messages sent.
    #[serde(default)]
    pub sqs: f64,
    /// Calls to S3 that are priced as PUTs, which includes lists.
    #[serde(default)]
    pub s3_puts: f64,
    /// All other calls to S3.
    #[serde(default)]
    pub s3_gets: f64,
    /// The answer to the client, if there is one.
    pub answer: Option<Answer>,
    /// The origin of the figures.
    pub basis: Basis,
    /// The source file or the command of the figures.
    pub source: String,
}

/// The cost of a queue's consumer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// The function's folder.
    pub function: String,
    /// Waiting for each batch, in milliseconds.
    pub per_batch_ms: f64,
    /// Waiting for each message, in milliseconds.
    pub per_message_ms: f64,
    /// Processor time on a full core for each message.
    pub cpu_per_message_ms: f64,
    /// Processor time on a full core for each follower that a message serves.
    #[serde(default)]
    pub cpu_per_push_ms: f64,
    /// Calls to S3 of a batch that are priced as PUTs.
    #[serde(default)]
    pub s3_puts_per_batch: f64,
    /// Other calls to S3 of a batch.
    #[serde(default)]
    pub s3_gets_per_batch: f64,
    /// The origin of the figures.
    pub basis: Basis,
    /// The source file or the command of the figures.
    pub source: String,
}

/// All figures.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The latencies of calls.
    pub latency: Latency,
    /// The sizes of rows, keys and answers.
    pub sizes: Sizes,
    /// The sizes of pictures.
    pub pictures: Pictures,
    operation: BTreeMap<String, Operation>,
    /// Consumers, by queue.
    pub queue: BTreeMap<String, Queue>,
}

/// The memory, in megabytes, with which a function has a full core.
const CORE_MB: f64 = 1769.0;

/// Returns the time that processor work takes in a function with this memory.
pub fn on_memory(cpu_ms: f64, memory_mb: f64) -> f64 {
    cpu_ms * (CORE_MB / memory_mb).max(1.0)
}

impl Measured {
    /// Returns the compiled-in figures.
    pub fn built_in() -> Result<Self, Error> {
        toml::from_str(FILE).map_err(|error| Error::file("measured.toml", error))
    }

    /// Returns the cost of an operation.
    pub fn operation(&self, name: &str) -> Result<&Operation, Error> {
        let found = self.operation.get(name);
        found.ok_or_else(|| Error::file("measured.toml", format!("no operation {name}")))
    }

    /// Returns the tables that any operation uses.
    pub fn tables(&self) -> BTreeSet<&str> {
        let units = self.operation.values().flat_map(|of| of.units.keys());
        units.map(String::as_str).collect()
    }

    /// Returns the cost of a queue's consumer.
    pub fn queue(&self, name: &str) -> Result<&Queue, Error> {
        let found = self.queue.get(name);
        found.ok_or_else(|| Error::file("measured.toml", format!("no queue {name}")))
    }

    /// Returns the sum of the waits, in milliseconds.
    pub fn waited_ms(&self, waits: Waits) -> f64 {
        let latency = &self.latency;
        waits.cache * latency.cache_ms
            + waits.read * latency.read_ms
            + waits.write * latency.write_ms
            + waits.transaction * latency.transaction_ms
            + waits.sqs * latency.sqs_ms
            + waits.s3 * latency.s3_ms
    }

    /// Returns the duration of an operation's function, in seconds.
    pub fn seconds(&self, operation: &Operation, memory_mb: f64) -> f64 {
        let cpu = on_memory(operation.cpu_ms, memory_mb);
        (cpu + self.waited_ms(operation.waits) + self.latency.runtime_ms) / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_source() {
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
    fn processor_share_grows_with_memory() {
        assert!((on_memory(1.0, 256.0) - 6.91).abs() < 0.01);
        assert!((on_memory(1.0, 4096.0) - 1.0).abs() < 1e-9);
    }
}
