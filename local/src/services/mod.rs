//! AWS's services behind their own wire protocols. Each is an existing implementation behind an
//! [`Interceptor`], which identifies the caller by its User-Agent, records its calls and injects faults.

mod bucket;
mod bucket_cors;
mod bucket_notifications;
mod bucket_signature;
mod bucket_store;
mod bucket_tags;
pub(crate) mod iam;
mod interceptor;
pub(crate) mod media;
mod queues;
mod tables;
mod throttling;

pub(crate) use bucket::BucketService;
pub(crate) use interceptor::{ErrorFormat, Interceptor};
pub use queues::QueueCounts;
pub(crate) use queues::QueueService;
pub(crate) use tables::TableService;
