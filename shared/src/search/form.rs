//! The form shared by all spellings that a search does not tell apart.
//!
//! In addition to the normal form (NFC, case folded), these differences are ignored:
//!
//! * Width: letters, digits and ASCII's signs are replaced by their compatible characters (`ﾈｺ`, `ＣＡＴ`, `ﬁ`). Symbols
//!   are not, since `™` is not part of the word before it. Nor are the single letters of Hangul, which Unicode has
//!   twice: they become those that keyboards type.
//! * Accents, in scripts that are also written without them: Latin, Greek, Cyrillic. Not `й`, which is not an accented
//!   `и`, and nothing in Japanese, Hangul or Indic scripts, where `ガ` is not `カ`. To Unicode, letters with a stroke and
//!   ligatures are not letters with marks, so the few that European languages use are listed.
//! * Invisible characters: joiners, soft hyphens, zero-width spaces, variation selectors. Only Hangul's fillers divide
//!   words, since they are drawn as a space.

use icu_properties::props::{DefaultIgnorableCodePoint, Script};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{
    GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory as _,
};

use crate::domain::normal_form;

/// Converts a text into the form that its spellings share.
pub(super) fn form(text: &str) -> String {
    let mut wide = String::with_capacity(text.len());
    for c in normal_form(text).chars() {
        match c {
            '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => wide.push(' '),
            c if is_ignorable(c) => {}
            c => push_compatible(c, &mut wide),
        }
    }
    // A compatible character may be a capital.
    normal_form(&without_accents(&normal_form(&wide)))
}

fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

fn push_compatible(c: char, text: &mut String) {
    if let Some(letter) = typed_letter(c) {
        text.push(letter);
        return;
    }
    let is_sign = matches!(c, '\u{ff01}'..='\u{ff65}');
    let is_text = matches!(c.general_category_group(), Group::Letter | Group::Number);
    if is_sign || is_text {
        text.extend([c].into_iter().nfkc());
    } else {
        text.push(c);
    }
}

/// Returns a single letter of Hangul, of either width, as keyboards type it.
fn typed_letter(c: char) -> Option<char> {
    let (half, full) = match c {
        '\u{3131}'..='\u{318e}' => return Some(c),
        '\u{ffa1}'..='\u{ffbe}' => ('\u{ffa1}', '\u{3131}'),
        '\u{ffc2}'..='\u{ffc7}' => ('\u{ffc2}', '\u{314f}'),
        '\u{ffca}'..='\u{ffcf}' => ('\u{ffca}', '\u{3155}'),
        '\u{ffd2}'..='\u{ffd7}' => ('\u{ffd2}', '\u{315b}'),
        '\u{ffda}'..='\u{ffdc}' => ('\u{ffda}', '\u{3161}'),
        _ => return None,
    };
    char::from_u32(u32::from(c) - u32::from(half) + u32::from(full))
}

fn without_accents(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut base = None;
    for c in text.nfd() {
        if c.general_category() != GeneralCategory::NonspacingMark {
            base = Some(c);
            match unaccented(c) {
                Some(letters) => plain.push_str(letters),
                None => plain.push(c),
            }
        } else if !base.is_some_and(|base| is_accent(c, base)) {
            plain.push(c);
        }
    }
    plain
}

fn is_accent(mark: char, base: char) -> bool {
    let script = CodePointMapData::<Script>::new().get(base);
    [Script::Latin, Script::Greek, Script::Cyrillic].contains(&script)
        && (mark, base) != ('\u{306}', 'и')
}

const fn unaccented(c: char) -> Option<&'static str> {
    Some(match c {
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ł' => "l",
        'ŧ' => "t",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn width_accents_and_invisible_characters_make_no_difference() {
        for (text, expected) in [
            ("ﾈｺ ｶﾞｯﾊﾟ", "ネコ ガッパ"),
            ("ＣＡＴ　Ｔｏｗｅｒ＇ｓ", "cat\u{3000}tower's"),
            ("𝓬𝓪𝓽 ﬁsh ①", "cat fish 1"),
            (
                "Café CAFE\u{301} naïve Ångström",
                "cafe cafe naive angstrom",
            ),
            (
                "Łódź Øre Ħ İstanbul ığdır æ Ǽ",
                "lodz ore h istanbul igdir ae ae",
            ),
            ("Việt Đà", "viet da"),
            ("Γάτα ΓΆΤΑ", "γατα γατα"),
            ("ёлка Й й", "елка й й"),
            ("고\u{ad}양\u{200b}이 ca\u{200d}t\u{fe0f}", "고양이 cat"),
            ("나비\u{3164}집사", "나비 집사"),
            ("ﾡﾤ ㄱㄴ", "ㄱㄴ ㄱㄴ"),
            ("ガ カ が ハ\u{309a}", "ガ カ が パ"),
            ("हिन्दी กำ m²", "हिन्दी ก\u{e4d}า m2"),
            ("cat™", "cat™"),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn form_is_idempotent(text in "\\PC{0,40}|[ﾊﾟｶﾞĳǄИ\u{306}\u{301}\u{345}a-zßİ가-힣ﾡ-ﾾ\u{1100}\u{1161}\u{200b}\u{3164}]{0,20}") {
            let once = form(&text);
            prop_assert_eq!(form(&once), once);
        }

        #[test]
        fn equivalent_texts_have_one_form(text in "\\PC{0,40}") {
            let expected = form(&text);
            prop_assert_eq!(form(&text.nfd().collect::<String>()), expected.clone());
            prop_assert_eq!(form(&text.nfc().collect::<String>()), expected);
        }
    }
}
