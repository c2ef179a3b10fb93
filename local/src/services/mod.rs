//! AWS's services behind their own wire protocols, each an existing part with one small front before
//! it, which knows the caller by its User-Agent, counts its calls and lets chosen ones go wrong.

pub(crate) mod asked;
mod bucket;
mod bucket_cors;
mod bucket_signature;
mod bucket_store;
mod bucket_tags;
mod front;
mod loader;
pub(crate) mod media;
mod queues;
mod tables;
mod throttled;

pub(crate) use bucket::BucketService;
pub(crate) use front::{Front, Refusal};
pub use loader::TableLoader;
pub use queues::QueueCounts;
pub(crate) use queues::QueueService;
pub(crate) use tables::TableService;
