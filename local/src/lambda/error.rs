//! The ways in which an invocation fails.

use std::time::Duration;

use bytes::Bytes;

/// The reason why an invocation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The function returned an error or panicked, and reported it.
    #[error("the function failed: {0}")]
    Function(String),
    /// The process ended before it answered.
    #[error("the function's process ended: {0}")]
    Crashed(String),
    /// The function exceeded its timeout and was killed.
    #[error("the function timed out after {0:?}")]
    TimedOut(Duration),
    /// The process ended before it asked for its first event.
    #[error("the function's process didn't start: {0}")]
    Init(String),
    /// The process didn't ask for its first event within the time that the local stack allows.
    #[error("the function's process didn't start within {0:?}")]
    StartTimedOut(Duration),
    /// The answer exceeds Lambda's limit.
    #[error("the function's answer is too large: {0} bytes")]
    TooLarge(usize),
    /// The function's queue of waiting invocations is full.
    #[error("too many invocations wait for the function")]
    Throttled,
    /// The template has no such function.
    #[error("there is no function {0}")]
    Unknown(String),
}

/// The result of an invocation.
pub(crate) type Outcome = Result<Bytes, InvokeError>;
