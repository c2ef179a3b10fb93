//! Hashtags.
//!
//! After UAX #31's hashtag identifiers: `#` (or its full-width and small forms) followed by letters, digits, marks and
//! `_` of any script, not digits alone. Tags meet by their normal form: NFC, full case folding, NFC; the limit of 50
//! characters is the normal form's, so a tag is found under its own name.
//!
//! Where it starts: not right behind a letter, digit, mark or `_` (`C#으로`), nor in a URL ([`super::link`]). What is
//! drawn as nothing doesn't count as what the sign stands behind, except a zero-width space, which divides. A keycap
//! (`1️⃣`, `#️⃣`) is an emoji: a tag may follow it and none is in it.
//!
//! Characters that are drawn as nothing and yet are part of a text:
//!
//! * Zero-width joiner and non-joiner stay where they change how letters are drawn, which is in the contexts of UAX #31's
//!   rules A1, A2 and B, and, for Bengali and Kannada, where a joiner stands between a letter and a virama (`র‍্যাব`).
//!   They are passed over elsewhere (`#cat` is `#c‍at`), since nobody could tell the two tags apart.
//! * Variation selectors, soft hyphen, word joiner and their like are passed over: the ideograph of `#葛󠄀飾` is one
//!   character of a place's name, whichever glyph it asks for.
//! * Whatever else is ignorable by default ends the tag: zero-width space and Hangul fillers stand for a space, and
//!   controls of direction stand at the ends of what they turn.
//!
//! Katakana's middle dot, at both widths, and the Catalan one join what they stand between (`#スコティッシュ・フォールド`,
//! `#col·lecció`), and end the tag where nothing follows. So do three more signs of UAX #31's list that words are spelt
//! with, not divided by: Hebrew's geresh and gershayim (`#צה״ל`), and Tibetan's tsek between syllables.

use std::fmt;

use icu_properties::props::{JoiningType, VariationSelector};
use icu_properties::{CodePointMapData, CodePointSetData};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

use super::character::is_ignorable;
use super::link::urls;
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
        let text: String = text.nfc().collect();
        let (run, rest) = run_of(&text);
        if rest.chars().all(is_passed_over) {
            Self::of(&run).ok_or(BAD)
        } else {
            Err(BAD)
        }
    }

    /// A tag that was stored, under the rules of its time.
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The tag of a run of its characters; none for digits alone or too many characters.
    fn of(run: &str) -> Option<Self> {
        let normal = normal_form(run);
        let fits = normal.chars().nth(Self::MAX_CHARS).is_none();
        (fits && normal.chars().any(names)).then_some(Self(normal))
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

const SIGNS: [char; 3] = ['#', '\u{ff03}', '\u{fe5f}'];
/// Katakana's middle dot at both widths, the Catalan one, geresh, gershayim, tsek.
const MEDIAL: [char; 6] = [
    '\u{30fb}', '\u{ff65}', '\u{b7}', '\u{5f3}', '\u{5f4}', '\u{f0b}',
];
const KEYCAP: char = '\u{20e3}';
const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
/// The canonical combining class of viramas, which join a consonant to the next.
const VIRAMA: u8 = 9;

/// The first 30 distinct tags of a text, in order.
pub fn tags_of(text: &str) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    if !text.contains(SIGNS) {
        return tags;
    }
    let text: String = text.nfc().collect();
    let urls = urls(&text);
    for (at, sign) in text.match_indices(SIGNS) {
        if tags.len() == MAX_TAGS {
            break;
        }
        let (before, after) = (text.get(..at), text.get(at + sign.len()..));
        let behind = at + sign.len();
        let in_url = urls
            .iter()
            .any(|url| url.contains(&at) || url.start == behind);
        let free = before.is_some_and(stands_free) && !in_url;
        let run = after.filter(|_| free).map(|after| run_of(after).0);
        if let Some(tag) = run.and_then(|run| Tag::of(&run))
            && !tags.contains(&tag)
        {
            tags.push(tag);
        }
    }
    tags
}

/// Whether a sign behind this text stands right behind no letter, digit, mark or `_`.
fn stands_free(before: &str) -> bool {
    let last = before.chars().rev().find(|c| !is_passed_over(*c));
    let is_enclosing = |c: char| c.general_category() == GeneralCategory::EnclosingMark;
    last.is_none_or(|c| c == KEYCAP || !(continues(c) || is_enclosing(c)))
}

/// The characters of a tag that a text begins with, without those that are passed over, and the rest of the text.
/// The text is in NFC.
fn run_of(text: &str) -> (String, &str) {
    let mut run = String::new();
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let behind = at + c.len_utf8();
        let after = rest(text, behind);
        let next = || after.chars().find(|c| !is_passed_over(*c));
        let belongs = match c {
            NON_JOINER | JOINER if !draws_otherwise(c, &run, after) => continue,
            NON_JOINER | JOINER => true,
            c if is_passed_over(c) => continue,
            c if MEDIAL.contains(&c) => !run.is_empty() && next().is_some_and(continues),
            // With the keycap behind it, it is an emoji.
            c if c.is_ascii_digit() => next() != Some(KEYCAP),
            c => continues(c),
        };
        if !belongs {
            break;
        }
        run.push(c);
        end = behind;
    }
    (run, rest(text, end))
}

fn rest(text: &str, from: usize) -> &str {
    text.get(from..).unwrap_or_default()
}

/// Whether a joiner or non-joiner changes how the letters around it are drawn: after UAX #31, 2.3.
fn draws_otherwise(c: char, before: &str, after: &str) -> bool {
    let Some(last) = before.chars().next_back() else {
        return false;
    };
    let mut after = after.chars().filter(|c| !is_passed_over(*c));
    let Some(next) = after.next() else {
        return false;
    };
    let is_virama = |c| canonical_combining_class(c) == VIRAMA;
    if is_virama(last) && is_letter(next) {
        return true;
    }
    if c == JOINER {
        return is_letter(last) && is_virama(next);
    }
    let joining = |c| CodePointMapData::<JoiningType>::new().get(c);
    let is_mark = |c: &char| joining(*c) == JoiningType::Transparent;
    let left = before.chars().rev().find(|c| !is_mark(c)).map(joining);
    let right = [next]
        .into_iter()
        .chain(after)
        .find(|c| !is_mark(c))
        .map(joining);
    let dual = JoiningType::DualJoining;
    left.is_some_and(|it| it == dual || it == JoiningType::LeftJoining)
        && right.is_some_and(|it| it == dual || it == JoiningType::RightJoining)
}

/// Whether a character is drawn as nothing by itself and doesn't divide the text around it.
fn is_passed_over(c: char) -> bool {
    const OTHERS: [char; 9] = [
        // Soft hyphen, combining grapheme joiner, Khmer's inherent vowels, Mongolian's vowel separator.
        '\u{ad}', '\u{34f}', '\u{17b4}', '\u{17b5}', '\u{180e}', NON_JOINER, JOINER,
        // Word joiner, and what it was called before.
        '\u{2060}', '\u{feff}',
    ];
    OTHERS.contains(&c) || CodePointSetData::new::<VariationSelector>().contains(c)
}

fn continues(c: char) -> bool {
    let is_of_tags = match c.general_category() {
        GeneralCategory::DecimalNumber | GeneralCategory::LetterNumber => true,
        GeneralCategory::EnclosingMark => false,
        _ => matches!(
            c.general_category_group(),
            GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark
        ),
    };
    (is_of_tags && !is_ignorable(c)) || c == '_'
}

fn is_letter(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Letter && !is_ignorable(c)
}

fn names(c: char) -> bool {
    c == '_' || is_letter(c) || c.general_category() == GeneralCategory::LetterNumber
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
        assert_eq!(tags("#a#b ##c x#d (#e)"), ["a", "c", "e"]);
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
    fn fifty_characters_of_the_normal_form_are_the_most() {
        for (good, bad) in [
            ("고".repeat(50), "고".repeat(51)),
            // Folded, one is two characters.
            ("ß".repeat(25), "ß".repeat(26)),
            // Decomposed, one is three.
            (
                "\u{1100}\u{1161}\u{11a8}".repeat(50),
                "\u{1100}\u{1161}\u{11a8}".repeat(51),
            ),
            // Passed over, it is none.
            (
                format!("{}\u{fe0f}\u{ad}x", "x".repeat(49)),
                format!("{}\u{fe0f}x", "x".repeat(50)),
            ),
        ] {
            let found = tags(&format!("#{good}"));
            assert_eq!(found.len(), 1, "{good}");
            assert_eq!(
                Tag::parse(&found[0]).map(String::from),
                Ok(found[0].clone())
            );
            assert!(tags(&format!("#{bad}")).is_empty(), "{bad}");
            assert!(Tag::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sign_behind_a_letter_digit_mark_or_low_line_starts_no_tag() {
        for text in [
            "abc#def",
            "C#으로",
            "고양이#집",
            "1#a",
            "٣#a",
            "_#a",
            "e\u{301}#a",
            "का#a",
            "a\u{20dd}#b",
            "a\u{fe0f}#b",
            "a\u{ad}#b",
            "abc＃def",
        ] {
            assert!(tags(text).is_empty(), "{text}");
        }
        for text in [
            ".#a",
            "。#a",
            "/#a",
            "##a",
            "🐱#a",
            "❤\u{fe0f}#a",
            "1\u{fe0f}\u{20e3}#a",
            "·#a",
            "x\u{200b}#a",
            "\n#a",
            "²#a",
            "🏳\u{fe0f}\u{200d}🌈#a",
        ] {
            assert_eq!(tags(text), ["a"], "{text}");
        }
    }

    #[test]
    fn nothing_in_a_url_is_a_tag() {
        for text in [
            "https://example.com/guide#kitten",
            "https://example.com/#kitten",
            "example.com/#kitten",
            "HTTP://EXAMPLE.COM/?a=#kitten",
            "https://example.com/고양이/#집",
        ] {
            assert!(tags(text).is_empty(), "{text}");
            assert_eq!(tags(&format!("#a ({text}) #b")), ["a", "b"], "{text}");
        }
        assert_eq!(tags("https://example.com #a"), ["a"]);
        assert_eq!(tags("https://example.com。#a"), ["a"]);
    }

    #[test]
    fn keycaps_are_emoji_and_part_of_no_tag() {
        for text in [
            "#\u{fe0f}\u{20e3}고양이",
            "#\u{20e3}고양이",
            "#1\u{fe0f}\u{20e3}고양이",
            "#1\u{20e3}",
            "#\u{20e3}",
        ] {
            assert!(tags(text).is_empty(), "{text}");
        }
        assert_eq!(tags("#cat1\u{fe0f}\u{20e3}"), ["cat"]);
        assert_eq!(tags("#cat1"), ["cat1"]);
        assert_eq!(tags("#a\u{20dd}b"), ["a"]);
    }

    #[test]
    fn what_is_drawn_as_nothing_makes_no_other_tag() {
        for text in [
            "#cat\u{fe0f}",
            "#ca\u{fe0f}t",
            "#c\u{ad}at",
            "#cat\u{200d}",
            "#c\u{200c}at",
            "#cat\u{200b}",
            "#cat\u{3164}",
            "#cat\u{2069}x",
            "#cat\u{200d}🐱",
            "#\u{fe0f}cat",
            "#cat\u{180b}",
        ] {
            assert_eq!(tags(text), ["cat"], "{text:?}");
        }
        assert_eq!(tags("#葛\u{e0100}飾区"), ["葛飾区"]);
        for text in [
            "#\u{3164}",
            "#\u{200b}cat",
            "#\u{115f}\u{1160}",
            "#\u{200d}",
        ] {
            assert!(tags(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn joiners_stay_where_a_script_needs_them() {
        for tag in [
            // Persian, Sinhala, Devanagari with both, Malayalam, Kannada, Bengali.
            "گربه\u{200c}ها",
            "ශ්\u{200d}රීලංකා",
            "क्\u{200d}ष",
            "क्\u{200c}ष",
            "ന്\u{200d}മ",
            "ರ\u{200d}್ಕ",
            "র\u{200d}্যাব",
            // With a mark between.
            "گرب\u{651}\u{200c}ها",
        ] {
            assert_eq!(tags(&format!("#{tag} #a")), [tag, "a"], "{tag:?}");
        }
        for (text, tag) in [
            // A letter that joins to no other, a joiner that nothing follows, two of them.
            ("#رو\u{200c}به", "روبه"),
            ("#ශ්\u{200d}", "ශ්"),
            ("#گربه\u{200c}\u{200c}ها", "گربه\u{200c}ها"),
            ("#고\u{200d}양이", "고양이"),
        ] {
            assert_eq!(tags(text), [tag], "{text:?}");
        }
    }

    #[test]
    fn middle_dots_join_what_they_stand_between() {
        for tag in [
            "スコティッシュ・フォールド",
            "ｽｺ･ﾌｫ",
            "col·lecció",
            "a·1",
            "猫・犬・鳥",
            "צה״ל",
            "བོད་ཡིག",
        ] {
            assert_eq!(tags(&format!("#{tag}、#a")), [tag, "a"], "{tag}");
        }
        for (text, tag) in [
            ("#猫・", "猫"),
            ("#猫・ 犬", "猫"),
            ("#a··b", "a"),
            ("#a·#b", "a"),
        ] {
            assert_eq!(tags(text)[0], tag, "{text}");
        }
        assert!(tags("#・猫").is_empty());
        // Greek's is the same character in NFC.
        assert_eq!(tags("#a\u{387}b"), ["a·b"]);
    }

    #[test]
    fn a_path_names_a_tag_in_any_spelling() {
        for (text, tag) in [
            ("CAT\u{fe0f}", "cat"),
            ("گربه\u{200c}ها", "گربه\u{200c}ها"),
            ("スコ・フォ", "スコ・フォ"),
            ("\u{ad}cat", "cat"),
        ] {
            assert_eq!(
                Tag::parse(text).map(String::from),
                Ok(tag.to_owned()),
                "{text:?}"
            );
        }
        for bad in [
            "",
            "#cat",
            "cat ",
            "cat・",
            "・cat",
            "a b",
            "cat\u{200b}",
            "1\u{20e3}",
            "2026",
            "cat\0",
            "\u{fe0f}",
        ] {
            assert!(Tag::parse(bad).is_err(), "{bad:?}");
        }
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

    /// The characters that matter to tags: signs, scripts that join, viramas, invisible ones, dots, and those that end a tag.
    const TEXT: &str = "[#＃a-zßİŉ가-힣ㄱ-ㅎ\u{1100}-\u{1112}\u{1161}-\u{1175}\u{11a8}-\u{11c2}0-9_ ./:\u{301}\u{345}\u{323}ه-يرو\u{651}क्षා්ර\u{9b0}\u{9cd}\u{9af}\u{ad}\u{34f}\u{200b}-\u{200f}\u{2060}\u{20dd}\u{20e3}\u{3164}\u{fe0e}\u{fe0f}\u{e0100}·・･\u{387}\u{5f4}\u{f0b}🐱葛]{0,60}";

    /// One or two of each kind of case that twitter-text's conformance suite has of hashtags. Purrline's tags differ where
    /// the contract does, or a script is better served:
    ///
    /// * `_` names a tag by itself and with digits (`#_`, `#1_2`), as the contract has it.
    /// * Signs between words end a tag, as `-` does: Hebrew's maqaf, Japanese's wave dash and full-width tilde. So does the
    ///   ditto mark, which stands for a word and is none.
    /// * Geresh and tsek at the end of a tag aren't part of it, as with all signs that join.
    /// * A tag is shown in its normal form (`#Ateş` as `ateş`).
    #[test]
    fn the_kinds_of_cases_that_others_have() {
        for (text, expected) in [
            ("말 #태그1 그리고 #2태그, #16 #0", vec!["태그1", "2태그"]),
            ("(#a )#b [#c ]#d ’#e’#f", vec!["a", "b", "c", "d", "e", "f"]),
            (
                ":#a ;#b ,#c .#d !#e ?#f",
                vec!["a", "b", "c", "d", "e", "f"],
            ),
            (
                "#a: #b; #c, #d. #e! #f?",
                vec!["a", "b", "c", "d", "e", "f"],
            ),
            ("#a\nb\n#c\n", vec!["a", "c"]),
            ("# 고양이", vec![]),
            (
                "#ﾣﾦﾰ ＃ｃａｔ１ #ﾈｺﾃﾞｽ #ネコー",
                vec!["ﾣﾦﾰ", "ｃａｔ１", "ﾈｺﾃﾞｽ", "ネコー"],
            ),
            ("ねこ！＃猫。 漢字#猫", vec!["猫"]),
            (
                "#人々 #いすゞ #各〻 #各〃",
                vec!["人々", "いすゞ", "各〻", "各"],
            ),
            ("#メ～テ #メ〜テ", vec!["メ"]),
            (
                "#mañana #Ateş #ştu #Čeština #Azərbaycan #mûǁae",
                vec!["mañana", "ateş", "ştu", "čeština", "azərbaycan", "mûǁae"],
            ),
            ("#İn #ın", vec!["i̇n", "ın"]),
            (
                "#http://example.com #https://example.com http://example.com/#a example.com/#b",
                vec![],
            ),
            (
                "#القطط #ثبت_نام. #۳۴۵گربه #ســـلام_٤٠٦",
                vec!["القطط", "ثبت_نام", "۳۴۵گربه", "ســـلام_٤٠٦"],
            ),
            ("#עַל־יְדֵי #וכו׳ #מ״כ", vec!["עַל", "וכו", "מ״כ"]),
            (
                "#ผู้เริ่ม #বাংলা #ગુજરાતી #ಕನ್ನಡ #മലയാളം #ਪੰਜਾਬੀ #தமிழ் #తెలుగు",
                vec![
                    "ผู้เริ่ม",
                    "বাংলা",
                    "ગુજરાતી",
                    "ಕನ್ನಡ",
                    "മലയാളം",
                    "ਪੰਜਾਬੀ",
                    "தமிழ்",
                    "తెలుగు",
                ],
            ),
            ("#महात्मा_१२३४ #१२३४", vec!["महात्मा_१२३४"]),
            ("#བོད་སྐད་ #མ", vec!["བོད་སྐད", "མ"]),
            (
                "#មហាត្មះ #မြင့်မြတ် #ຊີວະ #ኢትዮ",
                vec!["មហាត្មះ", "မြင့်မြတ်", "ຊີວະ", "ኢትዮ"],
            ),
            (
                "#Γάτα_Α #Մահաթմա #მაჰათმა",
                vec!["γάτα_α", "մահաթմա", "მაჰათმა"],
            ),
            ("#il·lusió", vec!["il·lusió"]),
            ("#_ #1_2 #122 #〃", vec!["_", "1_2"]),
            (
                "#\u{20021} #\u{16f04}\u{16f51} #A\u{104a0}",
                vec!["\u{20021}", "\u{16f04}\u{16f51}", "a\u{104a0}"],
            ),
        ] {
            assert_eq!(tags(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_tag_found_is_its_own_normal_form(text in prop_oneof![TEXT, "\\PC{0,60}"]) {
            for tag in tags_of(&format!("#{text}")) {
                prop_assert_eq!(Tag::parse(tag.as_str()), Ok(tag.clone()));
                prop_assert_eq!(tags_of(&format!("#{tag}")), vec![tag]);
            }
        }

        #[test]
        fn equivalent_texts_have_the_same_tags(text in TEXT) {
            let tags = tags_of(&text);
            prop_assert_eq!(tags_of(&text.nfc().collect::<String>()), tags.clone());
            prop_assert_eq!(tags_of(&text.nfd().collect::<String>()), tags);
        }

        /// Of what is drawn as nothing, a tag has joiners between letters at most.
        #[test]
        fn no_tag_has_what_nobody_sees(text in TEXT) {
            for tag in tags_of(&text) {
                let ignorable = |c| is_ignorable(c) && c != JOINER && c != NON_JOINER;
                prop_assert!(!tag.as_str().contains(ignorable), "{:?}", tag);
                prop_assert!(!tag.as_str().starts_with(MEDIAL) && !tag.as_str().starts_with([JOINER, NON_JOINER]), "{:?}", tag);
                prop_assert!(!tag.as_str().ends_with(MEDIAL) && !tag.as_str().ends_with([JOINER, NON_JOINER]), "{:?}", tag);
                prop_assert!(tag.as_str().chars().count() <= Tag::MAX_CHARS);
            }
        }
    }
}
