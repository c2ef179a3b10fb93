//! Errors in templates.

/// An error in the template: its place and the problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template, line {line}, {place}: {problem}")]
pub struct TemplateError {
    /// The line, counted from 1; 0 if unknown.
    pub line: usize,
    /// The path within the template, such as `Resources.LikesQueue.Properties.RedrivePolicy`.
    pub place: String,
    /// The problem.
    pub problem: String,
}

impl TemplateError {
    pub(crate) fn new(line: usize, place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            line,
            place: place.into(),
            problem: problem.into(),
        }
    }
}
