//! The texts of posts and comments, and when two texts count as the same.

use caseless::Caseless;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::Reason;
use super::character::is_visible;

/// Refuses a text with U+0000, which many readers take for the end of a text.
pub(super) fn without_null(text: &str) -> Result<(), Reason> {
    if text.contains('\0') {
        return Err(Reason::new("must be without the character U+0000"));
    }
    Ok(())
}

/// Returns whether a text has at most `most` characters, which are Unicode scalar values.
fn fits(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_none()
}

/// Implements what all types around a text share; with `stored`, also a constructor for texts read back from the store.
macro_rules! text_type {
    ($name:ident, stored) => {
        text_type!($name);

        impl $name {
            /// Restores a stored text, which may follow older rules.
            pub fn stored(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
    ($name:ident) => {
        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use text_type;

/// A post's text: at most 2,000 characters (Unicode scalar values), none of them U+0000, kept as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PostText(String);

impl PostText {
    /// The maximum number of characters.
    pub const MAX_CHARS: usize = 2000;

    /// Parses a text, which may be blank: see [`super::Draft`].
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if !fits(text, Self::MAX_CHARS) {
            return Err(Reason::new("must be at most 2000 characters"));
        }
        without_null(text)?;
        Ok(Self(text.to_owned()))
    }

    /// Returns whether the text has a visible character.
    pub fn is_visible(&self) -> bool {
        is_visible(&self.0)
    }
}

text_type!(PostText, stored);

/// A comment's text: 1 to 1,000 characters (Unicode scalar values), at least one of them visible and none of them
/// U+0000, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CommentText(String);

impl CommentText {
    /// The maximum number of characters.
    pub const MAX_CHARS: usize = 1000;

    /// Parses a text.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if !fits(text, Self::MAX_CHARS) || !is_visible(text) {
            return Err(Reason::new(
                "must be 1 to 1000 characters, at least one of them visible",
            ));
        }
        without_null(text)?;
        Ok(Self(text.to_owned()))
    }
}

text_type!(CommentText, stored);

/// Returns the normal form, in which spellings of the same text are equal: NFC, full case folding, NFC.
pub fn normal_form(text: &str) -> String {
    text.nfc().default_case_fold().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_characters_not_bytes() {
        assert!(PostText::parse(&"고".repeat(2000)).is_ok());
        assert!(PostText::parse(&"고".repeat(2001)).is_err());
        assert!(PostText::parse("").is_ok());
        assert!(CommentText::parse(&"고".repeat(1000)).is_ok());
        assert!(CommentText::parse(&"고".repeat(1001)).is_err());
        assert!(CommentText::parse("\u{1f408}").is_ok());
        assert!(CommentText::parse("").is_err());
    }

    #[test]
    fn comments_need_a_visible_character() {
        for nothing in ["", " \n", "\u{200b}", "\u{3164}\u{fe0f}"] {
            assert!(CommentText::parse(nothing).is_err(), "{nothing:?}");
            assert!(PostText::parse(nothing).is_ok_and(|text| !text.is_visible()));
        }
        assert!(CommentText::parse("\u{202e}x\n").is_ok());
    }

    #[test]
    fn null_characters_are_refused() {
        for text in ["\0", "a\0", "\0a", "a\0b"] {
            assert!(PostText::parse(text).is_err());
            assert!(CommentText::parse(text).is_err());
        }
        assert!(PostText::parse("a\u{1}").is_ok());
    }
}
