//! The cache: the system's Valkey or Redis, and a proxy through which the functions reach it.

mod client_process;
mod node;
mod proxy;

pub(crate) use node::{Cache, NAME};
pub(crate) use proxy::CacheProxy;
