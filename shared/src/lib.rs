//! Purrline: the backend of a social feed for people who love cats.
//!
//! [`domain`] is the core, without I/O. Everything else is an adapter behind the feature of its name; a function
//! enables the features it needs.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "call")]
mod call;
#[cfg(feature = "consumer")]
pub mod consumer;
#[cfg(any(feature = "http", feature = "consumer"))]
mod deadline;
#[cfg(feature = "decode")]
pub mod decode;
pub mod domain;
#[cfg(feature = "edge-consumer")]
pub mod edge_consumer;
pub mod env;
#[cfg(feature = "feed")]
pub mod feed;
pub mod full_page;
#[cfg(feature = "http")]
pub mod http;
#[cfg(any(feature = "http", feature = "user-pool"))]
mod https;
#[cfg(feature = "invocation")]
pub mod invocation;
#[cfg(feature = "invocation")]
pub mod lifecycle;
pub mod log;
#[cfg(feature = "media")]
pub mod media;
#[cfg(feature = "cache")]
mod memo;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "openapi")]
pub mod openapi;
#[cfg(feature = "picture")]
pub mod picture;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(feature = "removal")]
pub mod removal;
#[cfg(feature = "search")]
pub mod search;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "suggest")]
pub mod suggest;
#[cfg(feature = "uploads")]
pub mod uploads;
#[cfg(feature = "user-pool")]
pub mod user_pool;
#[cfg(feature = "vision")]
pub mod vision;
