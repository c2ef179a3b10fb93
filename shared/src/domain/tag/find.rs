//! Finding the tags of a text, character by character.

use icu_properties::props::{JoiningType, VariationSelector};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

use super::{MAX_TAGS, Tag};
use crate::domain::character::is_ignorable;
use crate::domain::link::urls;

const SIGNS: [char; 3] = ['#', '\u{ff03}', '\u{fe5f}'];
/// Katakana's middle dot at both widths, the Catalan one, geresh, gershayim, tsek.
pub(super) const MEDIAL: [char; 6] = [
    '\u{30fb}', '\u{ff65}', '\u{b7}', '\u{5f3}', '\u{5f4}', '\u{f0b}',
];
const KEYCAP: char = '\u{20e3}';
pub(super) const NON_JOINER: char = '\u{200c}';
pub(super) const JOINER: char = '\u{200d}';
/// The canonical combining class of viramas, which join a consonant to the next.
const VIRAMA: u8 = 9;

/// Returns the first 30 distinct tags of a text, in order.
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

/// Returns whether a sign after this text can begin a tag: it doesn't directly follow a letter, digit, mark or `_`.
fn stands_free(before: &str) -> bool {
    let last = before.chars().rev().find(|c| !is_skipped(*c));
    let is_enclosing = |c: char| c.general_category() == GeneralCategory::EnclosingMark;
    last.is_none_or(|c| c == KEYCAP || !(continues(c) || is_enclosing(c)))
}

/// Returns the tag characters that a text begins with, without those that are passed over, and the rest of the text.
/// The text is in NFC.
pub(super) fn run_of(text: &str) -> (String, &str) {
    let mut run = String::new();
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let behind = at + c.len_utf8();
        let after = rest(text, behind);
        let mut drawn = after.chars().filter(|c| !is_skipped(*c));
        let (next, after_next) = (drawn.next(), drawn.next());
        let is_keycap = |c: char, next| c.is_ascii_digit() && next == Some(KEYCAP);
        let belongs = match c {
            NON_JOINER | JOINER if !affects_shaping(c, &run, after) => continue,
            NON_JOINER | JOINER => true,
            c if is_skipped(c) => continue,
            c if MEDIAL.contains(&c) => {
                let goes_on = |next| continues(next) && !is_keycap(next, after_next);
                !run.is_empty() && next.is_some_and(goes_on)
            }
            // A digit followed by the keycap is an emoji.
            c => continues(c) && !is_keycap(c, next),
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

/// Returns whether a joiner or non-joiner changes how the letters around it are drawn: after UAX #31, 2.3.
fn affects_shaping(c: char, before: &str, after: &str) -> bool {
    let Some(last) = before.chars().next_back() else {
        return false;
    };
    let mut after = after.chars().filter(|c| !is_skipped(*c));
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

/// Returns whether a character is drawn as nothing by itself and doesn't divide the text around it.
pub(super) fn is_skipped(c: char) -> bool {
    const OTHERS: [char; 9] = [
        // Soft hyphen, combining grapheme joiner, Khmer's inherent vowels, Mongolian's vowel separator.
        '\u{ad}', '\u{34f}', '\u{17b4}', '\u{17b5}', '\u{180e}', NON_JOINER, JOINER,
        // Word joiner, and its predecessor, the zero-width no-break space.
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

/// Returns whether a character makes a run a tag: digits alone don't.
pub(super) fn makes_tag(c: char) -> bool {
    c == '_' || is_letter(c) || c.general_category() == GeneralCategory::LetterNumber
}
