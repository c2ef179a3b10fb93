//! Names and self-descriptions, of people and cats alike.

use serde::Serialize;

use super::Reason;
use super::character::{is_out_of_line, is_visible};
use super::text::{text_type, without_null};

/// A name: 1 to 50 characters (Unicode scalar values), at least one of them visible and none of them a control,
/// bidirectional or line-break character. Kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Name(String);

impl Name {
    /// The maximum number of characters.
    pub const MAX_CHARS: usize = 50;

    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.chars().nth(Self::MAX_CHARS).is_some() || !is_visible(text) {
            return Err(Reason::new(
                "must be 1 to 50 characters, at least one of them visible",
            ));
        }
        if text.chars().any(is_out_of_line) {
            return Err(Reason::new(
                "must be without control, bidirectional and line-break characters",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

text_type!(Name, stored);

/// A user's text about themselves or their cat: at most 500 characters, none of them U+0000, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Bio(String);

impl Bio {
    /// The maximum number of characters.
    pub const MAX_CHARS: usize = 500;

    /// Parses a text.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.chars().nth(Self::MAX_CHARS).is_some() {
            return Err(Reason::new("must be at most 500 characters"));
        }
        without_null(text)?;
        Ok(Self(text.to_owned()))
    }
}

text_type!(Bio, stored);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_1_to_50_characters_with_a_visible_one() {
        for good in [
            "x",
            " x ",
            &"나".repeat(50),
            "Mr. 🐈",
            "گربه\u{200c}ها",
            "🏳\u{fe0f}\u{200d}🌈",
            "x\u{ad}y",
        ] {
            assert!(Name::parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            " ",
            "\u{3000}",
            "\u{3164}",
            "\u{200b}",
            &"나".repeat(51),
        ] {
            let refused = Name::parse(bad).unwrap_err().to_string();
            assert!(refused.contains("visible"), "{bad:?}: {refused}");
        }
    }

    #[test]
    fn control_and_bidirectional_characters_are_refused_in_names() {
        for bad in "\0\t\n\u{b}\u{c}\r\u{1f}\u{7f}\u{80}\u{85}\u{9f}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars() {
            for name in [format!("{bad}x"), format!("x{bad}y"), format!("x{bad}")] {
                let refused = Name::parse(&name).unwrap_err().to_string();
                assert!(refused.contains("control"), "{name:?}: {refused}");
            }
        }
    }

    #[test]
    fn bios_are_limited_to_500_characters_without_null() {
        assert!(Bio::parse("").is_ok());
        assert!(Bio::parse(&"나".repeat(500)).is_ok());
        assert!(Bio::parse(&"나".repeat(501)).is_err());
        assert!(Bio::parse("a\n\u{202e}b").is_ok());
        assert!(Bio::parse("a\0b").is_err());
    }
}
