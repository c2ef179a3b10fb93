//! Errors.

use std::path::Path;

/// The reason why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Using a file or folder failed.
    #[error("{what}: {source}")]
    File {
        /// The attempted action and the path.
        what: String,
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
    /// An impossible result, in words.
    #[error("{0}")]
    Wrong(String),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Returns an error for an impossible result.
pub(crate) fn wrong(what: impl Into<String>) -> Error {
    Error::Wrong(what.into())
}

/// Returns an error for an attempted action with a file.
pub(crate) fn file(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let what = format!("can't {doing} {}", path.display());
    move |source| Error::File { what, source }
}
