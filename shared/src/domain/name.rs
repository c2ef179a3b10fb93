//! Names and self-descriptions, of people and cats alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Reason;

/// A name: 1 to 50 characters (Unicode scalar values), not all of them blank and none a control
/// character, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// How many characters it has at most.
    pub const MAX_CHARS: usize = 50;

    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.chars().take(Self::MAX_CHARS + 1).count() > Self::MAX_CHARS
            || text.trim().is_empty()
        {
            return Err(Reason::new("must be 1 to 50 characters, not all blank"));
        }
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Reason::new("must be without control characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What somebody says of themselves, or of their cat: at most 500 characters, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bio(String);

impl Bio {
    /// How many characters it has at most.
    pub const MAX_CHARS: usize = 500;

    /// Parses a text.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.chars().take(Self::MAX_CHARS + 1).count() > Self::MAX_CHARS {
            return Err(Reason::new("must be at most 500 characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = Reason;
            fn try_from(text: String) -> Result<Self, Reason> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_type!(Name);
text_type!(Bio);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_limits() {
        for good in ["x", " x ", &"나".repeat(50), "Mr. 🐈"] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "\u{3000}",
            &"나".repeat(51),
            "a\nb",
            "\u{0}x",
            "x\u{7f}",
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bios_count_characters() {
        assert!(Bio::parse("").is_ok());
        assert!(Bio::parse(&"나".repeat(500)).is_ok());
        assert!(Bio::parse(&"나".repeat(501)).is_err());
    }
}
