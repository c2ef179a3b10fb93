//! Lambda as functions see it: processes that poll the runtime API for one event at a time.
//!
//! The load determines how many processes run, up to a limit; idle ones stay. An invocation ends when the
//! function answers, and fails when its process exits or its timeout passes, which kills the process.
//! A process that ended is replaced when the next invocation needs it.

mod error;
mod function;
mod functions;
mod measurements;
mod process;
mod runtime_api;
mod settings;
mod state;

pub use error::InvokeError;
pub(crate) use functions::Lambda;
pub(crate) use runtime_api::handle as handle_runtime_api;
pub(crate) use settings::ProcessSettings;
pub use settings::StartLimits;
