//! Errors, with what to do about them.

use purrline::{cache, env, store};

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no local stack answers at {0}. Start one with: ./dev up")]
    NoLocalStack(String),
    #[error("no function of a stack {0} is in {1}. Is it the right name, account and region?")]
    NoStack(String, String),
    #[error("can't start anew with the stack's settings: {0}")]
    Restart(std::io::Error),
    #[error("AWS did not do what it was asked to: {0}")]
    Call(String),
    #[error(transparent)]
    Setting(#[from] env::BadSetting),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(
        "{0}. On AWS it can be reached from inside the stack's network only, such as from AWS's shell in the browser \
         with an environment in the stack's VPC"
    )]
    Cache(#[from] cache::Error),
    #[error("the cache {0} {problem}", problem = purrline::log::chain(.1))]
    NoDescription(String, cache::NoDescription),
    #[error("there is no {0}")]
    Nothing(String),
    #[error("{0} messages were not sent. Send all of them again: what comes twice does no harm")]
    Unsent(usize),
    #[error("the queue {0} has no dead-letter queue")]
    NoDeadLetters(&'static str),
}

impl Error {
    /// Returns the error of a failed call to AWS.
    pub(crate) fn calling(error: impl std::error::Error) -> Self {
        Self::Call(purrline::log::chain(&error))
    }
}
