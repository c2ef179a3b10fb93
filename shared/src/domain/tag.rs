//! Hashtags.
//!
//! After UAX #31's hashtag identifiers: `#` (or its full-width and small forms) followed by letters,
//! digits, marks and `_` of any script. Emoji are left out, and so is a run without any letter or
//! `_`: digits alone are a number, and marks alone are the keycap emoji `#️⃣`. A run of more than 50
//! characters is no tag. Tags meet by their normal form: NFC, full case folding, NFC.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::{Reason, normal_form};

/// How many distinct tags of a text count.
pub const MAX_TAGS: usize = 30;

/// A hashtag in its normal form, without the `#`; 1 to 50 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// How many characters it has at most.
    pub const MAX_CHARS: usize = 50;

    /// Parses a tag, without its `#`, in any spelling of it.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        const BAD: Reason =
            Reason::new("must be 1 to 50 letters, digits, marks or _, not digits alone");
        let normal = normal_form(text);
        let lengthy = normal.chars().take(Self::MAX_CHARS + 1).count() > Self::MAX_CHARS;
        if !lengthy && normal.chars().all(continues) && normal.chars().any(names) {
            Ok(Self(normal))
        } else {
            Err(BAD)
        }
    }

    /// The normal form, without the `#`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = Reason;
    fn try_from(text: String) -> Result<Self, Reason> {
        Self::parse(&text)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first 30 distinct tags of a text, in order.
pub fn tags_of(text: &str) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    // Each piece after the first followed a `#`; a tag is the run it begins with.
    for piece in text.split(['#', '\u{ff03}', '\u{fe5f}']).skip(1) {
        if tags.len() == MAX_TAGS {
            break;
        }
        let run = piece
            .find(|c| !continues(c))
            .map_or(piece, |end| piece.split_at(end).0);
        if let Ok(tag) = Tag::parse(run)
            && !tags.contains(&tag)
        {
            tags.push(tag);
        }
    }
    tags
}

fn continues(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Mark};
    matches!(c.general_category_group(), Letter | Mark)
        || matches!(
            c.general_category(),
            GeneralCategory::DecimalNumber | GeneralCategory::LetterNumber
        )
        || c == '_'
}

fn names(c: char) -> bool {
    c == '_'
        || c.general_category_group() == GeneralCategoryGroup::Letter
        || c.general_category() == GeneralCategory::LetterNumber
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    fn tags(text: &str) -> Vec<String> {
        tags_of(text).into_iter().map(String::from).collect()
    }

    #[test]
    fn finds_tags_of_any_script_in_order_once() {
        assert_eq!(
            tags("오늘의 #고양이, #CATS! #cats #ねこ"),
            ["고양이", "cats", "ねこ"]
        );
        assert_eq!(tags("#a#b ##c x#d"), ["a", "b", "c", "d"]);
        assert_eq!(tags("#_ #a_1 ＃full"), ["_", "a_1", "full"]);
        assert_eq!(tags("#हिन्दी"), ["हिन्दी"]);
    }

    #[test]
    fn decomposed_and_cased_spellings_meet() {
        let decomposed: String = "#고양이".nfd().collect();
        assert_eq!(tags(&decomposed), tags("#고양이"));
        assert_eq!(tags("#Straße"), tags("#STRASSE"));
        assert_eq!(tags("#CAFE\u{301}"), tags("#café"));
    }

    #[test]
    fn digits_alone_emoji_and_nothing_are_no_tags() {
        assert!(tags("#1 #2026 # #! #️⃣ #🐱").is_empty());
        assert_eq!(tags("#1cat"), ["1cat"]);
    }

    #[test]
    fn fifty_characters_are_the_most() {
        assert_eq!(tags(&format!("#{}", "고".repeat(50))).len(), 1);
        assert!(tags(&format!("#{}", "고".repeat(51))).is_empty());
    }

    #[test]
    fn the_first_thirty_count() {
        let text = (0..40)
            .map(|n| format!("#t{n}"))
            .collect::<Vec<_>>()
            .join(" ");
        let found = tags(&text);
        assert_eq!(found.len(), MAX_TAGS);
        assert_eq!(found.last().map(String::as_str), Some("t29"));
    }

    proptest! {
        #[test]
        fn every_tag_found_is_its_own_normal_form(text in "[#a-zA-Zß가-힣0-9_ \u{301}]{0,80}") {
            for tag in tags_of(&text) {
                prop_assert_eq!(Tag::parse(tag.as_str()), Ok(tag.clone()));
            }
        }
    }
}
