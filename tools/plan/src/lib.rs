//! The cost of Purrline at a size, the limits it meets, and the course of a bad day.
//!
//! Nothing here reads a clock, a network or random numbers: the same question always has the same answer. The inputs are
//! the usage asked about (`usage`), AWS's prices (`prices`), the cost of each operation (`measured`) and the settings
//! of template.yaml (`template`); all but the first are compiled in.

mod bill;
mod cache_size;
pub mod cli;
mod floors;
mod followers;
mod limits;
pub mod measured;
mod nodes;
mod numbers;
mod partitions;
mod plan;
mod prices;
mod queues;
mod report;
mod scenario;
mod sim;
mod template;
mod traffic;
mod usage;

/// The reason why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A compiled-in file is malformed.
    #[error("{file}: {problem}")]
    File {
        /// The name of the file.
        file: &'static str,
        /// The fault.
        problem: String,
    },
    /// An option has an impossible value.
    #[error("{option}: {problem}")]
    Option {
        /// The name of the option.
        option: &'static str,
        /// The fault.
        problem: String,
    },
    /// A chart was not drawn.
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
