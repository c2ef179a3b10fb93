//! The errors of the local stack. Each says how to solve the problem, if the user can solve it.

use std::path::PathBuf;

/// An error of the local stack. Its text is meant for the user at the terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The template is invalid, or uses something that the local stack doesn't support.
    #[error(transparent)]
    Template(#[from] crate::template::TemplateError),
    /// Parameters violate the template's constraints.
    #[error(transparent)]
    Parameters(#[from] crate::template::InvalidParameters),
    /// Functions whose processes don't start, each with the reason.
    #[error("functions don't start:\n  {0}")]
    NotStarting(String),
    /// The requested port is in use.
    #[error("port {port} is taken: stop what listens there, or choose another with --port")]
    PortTaken {
        /// The requested port.
        port: u16,
    },
    /// A function's binary is missing.
    #[error(
        "the binary of function {function} is missing: {} (build it with: cargo build --workspace --profile local)",
        .path.display()
    )]
    MissingBinary {
        /// The function's name.
        function: String,
        /// The expected path of its binary.
        path: PathBuf,
    },
    /// Neither Valkey nor Redis is installed.
    #[error(
        "neither valkey-server nor redis-server is installed: run ./dev up, which installs one or says how"
    )]
    NoCacheServer,
    /// A part of the stack failed.
    #[error("{part}: {problem}")]
    Part {
        /// The name of the part.
        part: &'static str,
        /// The part's error message.
        problem: String,
    },
    /// The template has no function of this name.
    #[error("there is no function {0} in the template")]
    UnknownFunction(String),
    /// The template has no queue of this name.
    #[error("there is no queue {0} in the template")]
    UnknownQueue(String),
    /// An operation on a file, a process or a socket failed.
    #[error("{doing}: {source}")]
    Io {
        /// The failed operation, such as `can't read template.yaml`.
        doing: String,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Error {
    /// Creates an error of one part of the stack.
    pub(crate) fn part(part: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Part {
            part,
            problem: problem.to_string(),
        }
    }

    /// Returns a function that adds the failed operation to an I/O error.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// The result of most of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
