//! The runs of a text: words, stretches of scripts without spaces, emoji.

use unicode_properties::{
    GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory as _,
};

use super::hangul::is_hangul;
use crate::search::form::form;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Unspaced,
    Symbol,
    Apostrophe,
    Gap,
}

fn kind(c: char) -> Kind {
    match c {
        '\'' | '\u{2019}' => Kind::Apostrophe,
        // Thai, Lao, Burmese, Khmer; kana, ideographs, Hangul and its letters, and the ranges between.
        '\u{e00}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3031}'..='\u{3035}'
        | '\u{3040}'..='\u{31ff}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{1100}'..='\u{11ff}'
        | '\u{ff66}'..='\u{ffdc}'
        | '\u{20000}'..='\u{3ffff}'
            if is_letter(c) =>
        {
            Kind::Unspaced
        }
        c if is_letter(c) => Kind::Word,
        c if c.general_category() == GeneralCategory::OtherSymbol => Kind::Symbol,
        _ => Kind::Gap,
    }
}

/// Returns true for letters, digits and the marks on them, but not for the marks that only change an emoji's look.
pub(super) fn is_letter(c: char) -> bool {
    matches!(
        c.general_category_group(),
        Group::Letter | Group::Mark | Group::Number
    ) && !matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{20e3}')
}

/// Consecutive characters of one kind; a symbol is a run by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    Word(String),
    Unspaced(Vec<char>),
    Symbol(char),
}

impl Run {
    fn first_hangul(&self) -> Option<char> {
        self.characters().first().copied().filter(|c| is_hangul(*c))
    }

    fn last_hangul(&self) -> Option<char> {
        self.characters().last().copied().filter(|c| is_hangul(*c))
    }

    fn characters(&self) -> &[char] {
        match self {
            Self::Unspaced(run) => run,
            Self::Word(_) | Self::Symbol(_) => &[],
        }
    }
}

/// Returns the runs of a text. Where only white space divides two runs, with Hangul on both sides, the second run comes
/// with the pair of characters around the space.
pub(super) fn runs(text: &str) -> Vec<(Run, Option<String>)> {
    let mut found: Vec<(Run, Option<String>)> = Vec::new();
    for (run, spaced) in divided(text) {
        let before = found.last().and_then(|(before, _)| before.last_hangul());
        let around = before.zip(run.first_hangul()).filter(|_| spaced);
        let around = around.map(|(last, first)| [last, first].iter().collect());
        found.push((run, around));
    }
    found
}

/// Returns the runs of a text, and whether there is only white space before each.
fn divided(text: &str) -> Vec<(Run, bool)> {
    let mut runs: Vec<(Run, bool)> = Vec::new();
    let mut open = false;
    let mut spaced = true;
    let form = form(text);
    let mut characters = form.chars().peekable();
    while let Some(c) = characters.next() {
        let kind = kind(c);
        match (kind, runs.last_mut().map(|(run, _)| run)) {
            (Kind::Word, Some(Run::Word(word))) if open => word.push(c),
            (Kind::Unspaced, Some(Run::Unspaced(run))) if open => run.push(c),
            // An apostrophe between two letters belongs to the word: `cat's`.
            (Kind::Apostrophe, Some(Run::Word(word)))
                if open
                    && characters
                        .peek()
                        .is_some_and(|next| self::kind(*next) == Kind::Word) =>
            {
                word.push('\'');
            }
            (Kind::Word, _) => runs.push((Run::Word(c.into()), spaced)),
            (Kind::Unspaced, _) => runs.push((Run::Unspaced(vec![c]), spaced)),
            (Kind::Symbol, _) => runs.push((Run::Symbol(c), spaced)),
            (Kind::Apostrophe | Kind::Gap, _) => {
                open = false;
                spaced &= c.is_whitespace();
                continue;
            }
        }
        open = true;
        spaced = true;
    }
    runs
}
