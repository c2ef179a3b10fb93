//! The runs of a text: its words, its stretches of scripts without spaces, its emoji.

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
        // Thai, Lao, Burmese, Khmer; kana, ideographs, Hangul and its letters, and what lies between.
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

/// Letters, digits and the marks on them; not the ones that only choose how an emoji looks.
pub(super) fn is_letter(c: char) -> bool {
    matches!(
        c.general_category_group(),
        Group::Letter | Group::Mark | Group::Number
    ) && !matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{20e3}')
}

/// Characters of one kind in a row; a symbol by itself.
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

/// The runs of a text, each with the pair of Hangul around the white space that alone divides it from the one before.
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

/// The runs of a text, and whether there is only white space before each.
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
            // Between two letters it belongs to the word: `cat's`.
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
