//! What can go wrong while the stack starts, runs or stops, each with what to do about it.

use std::path::PathBuf;

/// An error of the local stack. Its text is meant for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The template can't be read, or holds something that the local stack can't do.
    #[error(transparent)]
    Template(#[from] crate::template::TemplateError),
    /// Parameters have values that the template refuses.
    #[error(transparent)]
    Parameters(#[from] crate::template::BadParameters),
    /// Functions whose processes don't start, each with what it said last.
    #[error("functions don't start:\n  {0}")]
    NotStarting(String),
    /// The port asked for is in use.
    #[error("port {port} is taken: stop what listens there, or choose another with --port")]
    PortTaken {
        /// The port asked for.
        port: u16,
    },
    /// A function's binary isn't there.
    #[error(
        "the binary of function {function} is missing: {} (build it with: cargo build --workspace --profile local)",
        .path.display()
    )]
    MissingBinary {
        /// The function's name.
        function: String,
        /// Where its binary was looked for.
        path: PathBuf,
    },
    /// Neither Redis nor Valkey is installed.
    #[error(
        "neither valkey-server nor redis-server is installed: run ./dev up, which installs one or says how"
    )]
    NoCacheServer,
    /// A part of the stack failed.
    #[error("{part}: {problem}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What it said.
        problem: String,
    },
    /// No function of this name is in the template.
    #[error("there is no function {0} in the template")]
    UnknownFunction(String),
    /// No queue of this name is in the template.
    #[error("there is no queue {0} in the template")]
    UnknownQueue(String),
    /// Something with a file, a process or a socket.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// An error of one part of the stack.
    pub(crate) fn part(part: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Part {
            part,
            problem: problem.to_string(),
        }
    }

    /// Says what was being done when `source` came up.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// The result of most calls of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
