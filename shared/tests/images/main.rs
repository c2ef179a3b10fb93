//! The paths from an image's bytes to a breed's probability and to the pictures that are served: right (as Pillow, ONNX
//! Runtime and `LittleCMS` say), bounded (memory and time, whatever is sent) and unbreakable (whatever is damaged).
#![cfg(all(feature = "vision", feature = "picture"))]
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
mod exif;
mod golden;
mod large;
mod memory;
mod mutations;
mod mutator;
mod photos;
mod pictures;
mod worker;
