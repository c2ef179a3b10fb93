//! The local stack: everything that template.yaml deploys, on this machine, behind the same wire
//! protocols as on AWS, so that functions run here unmodified.
//!
//! [`Stack::start`] reads the template and starts a load balancer, a Lambda that runs the functions'
//! binaries, queues and their pollers, tables, buckets, the cache, schedules and sign-in, each on a
//! free port of its own. Stacks don't share anything: a test starts as many as it likes. For tests
//! there is more: see [`Stack`]'s own methods, [`FaultRule`] and [`Delivery`].
//!
//! What is which part: `DynamoDB` is dynoxide on `SQLite`, SQS is rustack (in memory), S3 is s3s with
//! s3s-fs, the cache is the system's Valkey or Redis; the load balancer, the Lambda runtime API and
//! the pollers are this crate's own, since there were none that behave as AWS does.

mod address;
mod cache;
mod cache_proxy;
mod children;
mod error;
mod events;
mod faults;
mod http_server;
mod ids;
mod lambda;
mod load_balancer;
mod logs;
mod pollers;
mod schedules;
mod services;
mod sign_in;
mod stack;
mod start;
mod status;
pub mod template;

pub use error::{Error, Result};
pub use events::fill_event;
pub use faults::{Asked, Call, Fault, FaultAction, FaultRule, Outage, Service, When};
pub use lambda::{InvokeError, Starts};
pub use logs::{Log, OnLine};
pub use pollers::Delivery;
pub use services::{QueueCounts, TableLoader};
pub use sign_in::SignIn;
pub use stack::{Calls, Constraints, Endpoints, Options, Stack};
pub use status::{Durations, FunctionStatus, QueueStatus, Status};

/// The credentials that every client of the stack's services uses.
pub const ACCESS_KEY: &str = "local";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "local-secret";
