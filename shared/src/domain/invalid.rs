//! The faults of an input, field by field.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// The reason why one value was refused, as a sentence for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reason(Cow<'static, str>);

impl Reason {
    /// Creates a reason with a fixed text.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

/// A bad field: its place (a JSON pointer) and the reason why it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FieldError {
    /// A JSON pointer (RFC 6901) into the body, such as `/images/3`, or a `/` and the name of a query parameter or
    /// header, such as `/limit`.
    pub pointer: String,
    /// The reason why it is invalid.
    pub detail: String,
}

/// A request whose input was refused: every bad field at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct Invalid {
    /// The bad fields; never empty in an `Err`.
    pub errors: Vec<FieldError>,
}

impl Invalid {
    /// Creates an `Invalid` with one bad field.
    pub fn one(pointer: impl Into<String>, reason: impl fmt::Display) -> Self {
        let mut invalid = Self::default();
        invalid.push(pointer, reason);
        invalid
    }

    /// Adds a bad field.
    pub fn push(&mut self, pointer: impl Into<String>, reason: impl fmt::Display) {
        self.errors.push(FieldError {
            pointer: pointer.into(),
            detail: reason.to_string(),
        });
    }

    /// Returns `Err` if any field was bad.
    pub fn into_result(self) -> Result<(), Self> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid input:")?;
        for error in &self.errors {
            write!(f, " {}: {};", error.pointer, error.detail)?;
        }
        Ok(())
    }
}
