//! The path from an image's bytes to probabilities: right (as Pillow and ONNX Runtime say), bounded (memory and
//! time, whatever is sent) and unbreakable (whatever is damaged).
#![cfg(feature = "vision")]
// Tests say what they expect by failing loudly, and their helpers are tests too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    missing_docs
)]

mod corpus;
mod golden;
mod large;
mod memory;
mod mutations;
mod mutator;
mod photos;
mod worker;
