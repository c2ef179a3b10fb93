//! Drives the real binaries on the local stack, as clients, queues and the schedule do.

// Tests fail by panicking, and so do their helpers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    missing_docs
)]

mod cluster;
mod contract;
mod faults;
mod model;
mod ops;
mod replay;
mod support;
