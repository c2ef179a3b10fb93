//! What Purrline costs at a size, what it stops at, and what happens on a bad day.
pub mod measured;
pub mod numbers;
pub mod prices;
pub mod sim;
pub mod template;

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
}

impl Error {
    fn file(file: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::File {
            file,
            problem: problem.to_string(),
        }
    }
}
