//! What Purrline costs at a size, what it stops at, and what happens on a bad day.
//!
//! Nothing here reads a clock, a network or chance: the same question has the same answer. What goes in is the
//! usage asked about ([`usage`]), the prices ([`prices`]), what each operation costs ([`measured`]) and what
//! is deployed ([`template`]); all but the first are built in.

pub mod bill;
pub mod cache_size;
pub mod cli;
pub mod floors;
pub mod followers;
pub mod limits;
pub mod measured;
pub mod nodes;
pub mod numbers;
pub mod partitions;
pub mod plan;
pub mod prices;
pub mod queues;
pub mod report;
pub mod scenario;
pub mod sim;
pub mod template;
pub mod traffic;
pub mod usage;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is built in is not as it must be.
    #[error("{file}: {problem}")]
    File {
        /// Which.
        file: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An option asks for what can't be.
    #[error("{option}: {problem}")]
    Option {
        /// Which.
        option: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A picture was not drawn.
    #[error(transparent)]
    Picture(#[from] purrline_charts::Error),
}

impl Error {
    fn file(file: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::File {
            file,
            problem: problem.to_string(),
        }
    }
}
