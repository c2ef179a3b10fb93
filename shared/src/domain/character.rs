//! Characters: which of them show something, and which stand for nothing between others.
//!
//! Unicode has no property for "is seen". A character is seen here unless it is white space, a control or format
//! character, a mark without anything to stand on, ignorable by default (`Default_Ignorable_Code_Point`, such as the
//! Hangul fillers, which are letters), a noncharacter, or one of three that are drawn as nothing although Unicode takes
//! them for symbols. Private and unassigned characters count as seen: fonts draw them, some as a box, and a new emoji
//! is unassigned to tables that are a year old.

use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};
use unicode_properties::{
    GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory as _,
};

/// Symbols that are drawn as nothing: braille's blank, the null note head, and the stand-in for an object.
const BLANK_SYMBOLS: [char; 3] = ['\u{2800}', '\u{1d159}', '\u{fffc}'];

/// Whether a text has at least one character that is seen.
pub fn is_visible(text: &str) -> bool {
    text.chars().any(is_seen)
}

/// Whether a character is seen by itself.
fn is_seen(c: char) -> bool {
    let drawn = match c.general_category_group() {
        Group::Mark | Group::Separator => false,
        Group::Other => match c.general_category() {
            GeneralCategory::PrivateUse => true,
            GeneralCategory::Unassigned => !is_noncharacter(c),
            _ => false,
        },
        _ => !BLANK_SYMBOLS.contains(&c),
    };
    drawn && !is_ignorable(c)
}

/// Whether a character is drawn as nothing unless it is supported: fillers, joiners, variation selectors and the like.
pub(super) fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Whether a character has no place in one line of text: a control character, one that turns the direction of
/// those around it, or one that breaks the line.
pub(super) fn is_out_of_line(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || CodePointSetData::new::<BidiControl>().contains(c)
}

/// Whether a character is set aside for programs' own use: the last two of each plane, and 32 more.
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that show nothing, one of each kind.
    const NOTHING: [&str; 24] = [
        "",
        " ",
        "\t\n",
        "\u{3000}",
        "\u{a0}",
        "\u{3164}",
        "\u{115f}",
        "\u{1160}",
        "\u{ffa0}",
        "\u{200b}",
        "\u{200d}",
        "\u{2060}",
        "\u{2800}",
        "\u{ad}",
        "\u{fe0f}",
        "\u{feff}",
        "\u{e0041}",
        "\u{301}",
        "\u{20e3}",
        "\u{93e}",
        "\u{1d159}",
        "\u{fffc}",
        "\u{ffff}",
        " \u{200b}\u{3164}\u{fe0f} \u{2800}",
    ];

    #[test]
    fn what_is_drawn_as_nothing_is_not_visible() {
        for nothing in NOTHING {
            assert!(!is_visible(nothing), "{nothing:?}");
        }
    }

    #[test]
    fn letters_digits_punctuation_and_emoji_are_visible() {
        for seen in [
            "x",
            "나",
            "ㄱ",
            "\u{1100}",
            "7",
            ".",
            "🐈",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "e\u{301}",
            "ก็",
            "🏳\u{fe0f}\u{200d}🌈",
            "🇰🇷",
            "\u{f8ff}",
            "\u{2801}",
            "´",
            "\u{1faef}",
            "\u{200b}x",
        ] {
            assert!(is_visible(seen), "{seen:?}");
        }
    }

    proptest! {
        /// Whatever is put beside something that is seen, something is seen.
        #[test]
        fn more_text_hides_nothing(before in ".{0,5}", seen in "[a-z가-힣🐈]", after in ".{0,5}") {
            let text = format!("{before}{seen}{after}");
            prop_assert!(is_visible(&text));
        }
    }
}
