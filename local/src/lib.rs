//! The local stack: everything that template.yaml deploys, on this machine and behind the same wire
//! protocols as on AWS, so that functions run here unmodified.
//!
//! [`Stack::start`] reads the template and starts a load balancer, a Lambda that runs the functions'
//! binaries, queues and their pollers, tables, buckets, the cache, schedules and sign-in, each on a
//! free port of its own. Stacks share nothing, so a test starts as many as it likes. Tests also inject
//! faults and control deliveries and time: see [`Stack`]'s methods, [`FaultRule`] and [`Delivery`].
//!
//! `DynamoDB` is dynoxide on `SQLite`, SQS is rustack (in memory), S3 is s3s with s3s-fs, and the cache
//! is the system's Valkey or Redis. The load balancer, the Lambda runtime API and the pollers are this
//! crate's own, because no existing ones behave as AWS does.
//!
//! Each module depends only on those above it in this list:
//!
//! 1. `template`, `status`, `faults`, `wildcard`, `ids`, `address` and `credentials`: data and rules;
//! 2. `error`, `http_server`, `children`, `logs` and `events`: tools that every part uses;
//! 3. `lambda`: the functions and their processes;
//! 4. `services`, `cache` and `sign_in`: the services that functions and clients call;
//! 5. `pollers` and `schedules`: the sources that invoke functions;
//! 6. `monitor`: the activity of all these parts;
//! 7. `load_balancer`: the one entrance for clients;
//! 8. `stack`: starts the parts in this order and hands them to tests and the command line.

mod address;
mod cache;
mod children;
mod credentials;
mod error;
mod events;
mod faults;
mod http_server;
mod ids;
mod lambda;
mod load_balancer;
mod logs;
mod monitor;
mod pollers;
mod schedules;
mod services;
mod sign_in;
mod stack;
mod status;
pub mod template;
mod wildcard;

pub use credentials::{ACCESS_KEY, SECRET_KEY};
pub use error::{Error, Result};
pub use events::fill_event;
pub use faults::{Call, Fault, FaultAction, FaultRule, IamCall, Outage, Service, When};
pub use lambda::{InvokeError, StartLimits};
pub use logs::{Log, OnLine};
pub use pollers::Delivery;
pub use services::QueueCounts;
pub use sign_in::SignIn;
pub use stack::{Calls, Constraints, Endpoints, Options, Stack, TableLoader};
pub use status::{Durations, FunctionStatus, QueueStatus, Status};
