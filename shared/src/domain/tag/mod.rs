//! Hashtags.
//!
//! A hashtag follows UAX #31's hashtag identifiers: `#` (or its full-width and small forms) followed by letters,
//! digits, marks and `_` of any script, not digits alone. Tags are compared in their normal form: NFC, full case
//! folding, NFC; the limit of 50 characters applies to the normal form, so a tag is found under its own name.
//!
//! A tag doesn't start directly after a letter, digit, mark or `_` (`C#으로`), nor in a URL ([`super::link`]). Characters
//! before the sign that are drawn as nothing are passed over, except a zero-width space, which divides. A keycap
//! (`1️⃣`, `#️⃣`) is an emoji: a tag may follow it and none is in it.
//!
//! Characters that are drawn as nothing and yet are part of a text:
//!
//! * Zero-width joiner and non-joiner stay where they change how letters are drawn, which is in the contexts of UAX #31's
//!   rules A1, A2 and B, and, for Bengali and Kannada, where a joiner stands between a letter and a virama (`র‍্যাব`).
//!   They are passed over elsewhere (`#cat` is `#c‍at`), since nobody could tell the two tags apart.
//! * Variation selectors, soft hyphen, word joiner and their like are passed over: the ideograph of `#葛󠄀飾` is one
//!   character of a place's name, whichever glyph it asks for.
//! * Any other character that is ignorable by default ends the tag: zero-width space and Hangul fillers stand for a
//!   space, and controls of direction stand at the ends of the text that they turn.
//!
//! Katakana's middle dot, at both widths, and the Catalan one join the parts they stand between (`#スコティッシュ・フォールド`,
//! `#col·lecció`), and end the tag if nothing follows. So do three more signs of UAX #31's list that spell words rather
//! than divide them: Hebrew's geresh and gershayim (`#צה״ל`), and Tibetan's tsek between syllables.

mod find;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use super::text::text_type;
use super::{Reason, normal_form};
use find::{is_skipped, makes_tag, run_of};

pub use find::tags_of;

/// The maximum number of distinct tags of a text that count.
pub const MAX_TAGS: usize = 30;

/// A hashtag in its normal form, without the `#`; 1 to 50 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// The maximum number of characters of a tag.
    pub const MAX_CHARS: usize = 50;

    /// Parses a tag, without its `#`, in any spelling.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        const BAD: Reason =
            Reason::new("must be 1 to 50 letters, digits, marks or _, not digits alone");
        let text: String = text.nfc().collect();
        let (run, rest) = run_of(&text);
        if rest.chars().all(is_skipped) {
            Self::of(&run).ok_or(BAD)
        } else {
            Err(BAD)
        }
    }

    /// Creates the tag of a run of tag characters; returns `None` for digits alone or too many characters.
    fn of(run: &str) -> Option<Self> {
        let normal = normal_form(run);
        let fits = normal.chars().nth(Self::MAX_CHARS).is_none();
        (fits && normal.chars().any(makes_tag)).then_some(Self(normal))
    }
}

text_type!(Tag, stored);

impl TryFrom<String> for Tag {
    type Error = Reason;
    fn try_from(text: String) -> Result<Self, Reason> {
        Self::parse(&text)
    }
}
