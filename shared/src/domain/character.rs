//! Characters: which are visible, which are ignorable, and which have no place in a line.
//!
//! Unicode has no property for "is visible". A character is visible here unless it is white space, a control or format
//! character, a mark by itself, ignorable by default (`Default_Ignorable_Code_Point`, such as the Hangul fillers, which
//! are letters), a noncharacter, or one of three symbols that are drawn as nothing. Private and unassigned characters
//! count as visible: fonts draw them, some as a box, and a new emoji is unassigned in tables that are a year old.

use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};
use unicode_properties::{
    GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory as _,
};

/// Symbols that are drawn as nothing: braille's blank, the null note head, and the object replacement character.
const BLANK_SYMBOLS: [char; 3] = ['\u{2800}', '\u{1d159}', '\u{fffc}'];

/// Returns whether a text has at least one visible character.
pub fn is_visible(text: &str) -> bool {
    text.chars().any(is_seen)
}

/// Returns whether a character is visible by itself.
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

/// Returns whether a character is drawn as nothing unless it is supported: fillers, joiners, variation selectors and
/// the like.
pub(super) fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Returns whether a character has no place in one line of text: a control character, one that turns the direction of
/// those around it, or one that breaks the line.
pub(super) fn is_out_of_line(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || CodePointSetData::new::<BidiControl>().contains(c)
}

/// Returns whether a character is reserved for programs' own use: the last two of each plane, and 32 more.
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
    fn blank_and_ignorable_characters_are_not_visible() {
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
        /// A text with a visible character stays visible, whatever is added to it.
        #[test]
        fn visible_character_makes_any_text_visible(before in ".{0,5}", seen in "[a-z가-힣🐈]", after in ".{0,5}") {
            let text = format!("{before}{seen}{after}");
            prop_assert!(is_visible(&text));
        }
    }
}
