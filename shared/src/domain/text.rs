//! The texts of posts and comments, and when two texts count as the same.

use caseless::Caseless;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::Reason;

/// Whether a text has at most so many characters, which are Unicode scalar values.
fn fits(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_none()
}

/// A post's text: at most 2,000 characters (Unicode scalar values), kept as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PostText(String);

impl PostText {
    /// How many characters it has at most.
    pub const MAX_CHARS: usize = 2000;

    /// Parses a text; an empty one is a text too, see [`super::Draft`].
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if !fits(text, Self::MAX_CHARS) {
            return Err(Reason::new("must be at most 2000 characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A comment's text: 1 to 1,000 characters (Unicode scalar values), kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CommentText(String);

impl CommentText {
    /// How many characters it has at most.
    pub const MAX_CHARS: usize = 1000;

    /// Parses a text.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.is_empty() || !fits(text, Self::MAX_CHARS) {
            return Err(Reason::new("must be 1 to 1000 characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The form in which spellings of the same text meet: NFC, full case folding, NFC.
pub fn normal_form(text: &str) -> String {
    text.nfc().default_case_fold().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_not_bytes() {
        assert!(PostText::parse(&"고".repeat(2000)).is_ok());
        assert!(PostText::parse(&"고".repeat(2001)).is_err());
        assert!(PostText::parse("").is_ok());
        assert!(CommentText::parse(&"고".repeat(1000)).is_ok());
        assert!(CommentText::parse(&"고".repeat(1001)).is_err());
        assert!(CommentText::parse("\u{1f408}").is_ok());
        assert!(CommentText::parse("").is_err());
    }
}
