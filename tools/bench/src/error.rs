//! What can go wrong.

use std::path::Path;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or folder.
    #[error("{what}: {source}")]
    File {
        /// What was tried with which.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    #[error(transparent)]
    Stack(#[from] purrline_local::Error),
    #[error(transparent)]
    Cache(#[from] purrline::cache::Error),
    #[error("the cache's server: {0}")]
    Server(#[from] redis::RedisError),
    #[error("the client: {0}")]
    Client(#[from] reqwest::Error),
    #[error(transparent)]
    Chart(#[from] purrline_charts::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Whatever must not be, in words.
    #[error("{0}")]
    Wrong(String),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Says what must not be.
pub(crate) fn wrong(what: impl Into<String>) -> Error {
    Error::Wrong(what.into())
}

/// Says what was tried with a file.
pub(crate) fn file(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let what = format!("can't {doing} {}", path.display());
    move |source| Error::File { what, source }
}
