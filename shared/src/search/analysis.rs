//! What a text is found by.
//!
//! Texts meet in their normal form (NFC, case folded). A run of letters and digits is a word, and is
//! found by its English stem. Scripts that are written without spaces, or, as Korean, with particles
//! stuck to their words, have no words that could be told apart without a dictionary: a run of them is
//! cut into overlapping pairs of characters, and found by a phrase of pairs, so `고양이` is in `고양이가`
//! and `길고양이`. A single such character finds what begins with it. An emoji is a word.
//!
//! Names and tags are found while they are typed: by what they begin with. Hangul is typed letter by
//! letter, and on the way from `나` to `나비` stands `납`, which is no beginning of `나비` by syllables. So
//! there they are taken apart into the letters that are typed: `ㄴㅏㅂㅣ`.

use frostem::{Algorithm, Stemmer};
use unicode_properties::{
    GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory as _,
};

use crate::domain::normal_form;

/// The longest beginning that a name is found by, in letters; what is typed beyond is passed over.
const MAX_BEGINNING: usize = 40;

/// A word or a pair with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) term: String,
    pub(super) position: usize,
}

/// What a text must hold to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clause {
    /// This term.
    Term(String),
    /// These terms, one right after the other; at least two.
    Phrase(Vec<String>),
}

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
fn is_letter(c: char) -> bool {
    matches!(
        c.general_category_group(),
        Group::Letter | Group::Mark | Group::Number
    ) && !matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{20e3}')
}

/// Characters of one kind in a row; a symbol by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Run {
    Word(String),
    Unspaced(Vec<char>),
    Symbol(char),
}

fn runs(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut open = false;
    let normal = normal_form(text);
    let mut characters = normal.chars().peekable();
    while let Some(c) = characters.next() {
        let kind = kind(c);
        match (kind, runs.last_mut()) {
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
            (Kind::Word, _) => runs.push(Run::Word(c.into())),
            (Kind::Unspaced, _) => runs.push(Run::Unspaced(vec![c])),
            (Kind::Symbol, _) => runs.push(Run::Symbol(c)),
            (Kind::Apostrophe | Kind::Gap, _) => {
                open = false;
                continue;
            }
        }
        open = true;
    }
    runs
}

fn stem(word: &str) -> String {
    Stemmer::new(Algorithm::English).stem(word).into_owned()
}

fn pairs(run: &[char]) -> impl Iterator<Item = String> {
    run.windows(2).map(|pair| pair.iter().collect())
}

/// The terms of a text.
pub(super) fn terms(text: &str) -> Vec<Placed> {
    let mut terms = Vec::new();
    let mut position = 0;
    let mut place = |term, position| terms.push(Placed { term, position });
    for run in runs(text) {
        match run {
            Run::Word(word) => place(stem(&word), position),
            Run::Symbol(symbol) => place(symbol.into(), position),
            Run::Unspaced(run) => {
                if let Some(first) = run.first() {
                    place(first.to_string(), position);
                }
                for pair in pairs(&run) {
                    place(pair, position);
                    position += 1;
                }
            }
        }
        position += 1;
    }
    terms
}

/// What a text must hold to be found by these words: all of it. Nothing is found by nothing.
pub(super) fn clauses(words: &str) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for run in runs(words) {
        let clause = match run {
            Run::Word(word) => Clause::Term(stem(&word)),
            Run::Symbol(symbol) => Clause::Term(symbol.into()),
            Run::Unspaced(run) if run.len() > 2 => Clause::Phrase(pairs(&run).collect()),
            Run::Unspaced(run) => Clause::Term(run.into_iter().collect()),
        };
        if !clauses.contains(&clause) {
            clauses.push(clause);
        }
    }
    clauses
}

/// A name or tag, letter by letter as it is typed.
pub(super) fn letters(text: &str) -> String {
    normal_form(text)
        .chars()
        .fold(String::new(), |mut letters, c| {
            hangul::spell(c, &mut letters);
            letters
        })
}

/// The words of names, letter by letter: as they stand between white space, and, where there is more
/// than letters and digits in them, their parts.
pub(super) fn names<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for text in texts {
        for whole in typed(text) {
            let parts = whole
                .split(|c| !is_letter(c))
                .filter(|part| !part.is_empty());
            for word in parts.chain([whole.as_str()]) {
                if !words.iter().any(|known| known == word) {
                    words.push(word.to_owned());
                }
            }
        }
    }
    words
}

/// What was typed to find a name, letter by letter, word by word.
pub(super) fn typed(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| letters(word.trim_start_matches(['@', '#'])))
        .filter(|word| !word.is_empty())
        .collect()
}

/// The beginnings of a word, up to the longest that it is found by.
pub(super) fn beginnings(word: &str) -> impl Iterator<Item = &str> {
    let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.take(MAX_BEGINNING).filter_map(|end| word.get(..end))
}

/// The beginning of a word that is looked for.
pub(super) fn beginning(word: &str) -> &str {
    beginnings(word).last().unwrap_or_default()
}

mod hangul {
    //! Syllables as they are typed on a Korean keyboard.

    const FIRST: char = '가';
    const INITIALS: [char; 19] = [
        'ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ',
        'ㅋ', 'ㅌ', 'ㅍ', 'ㅎ',
    ];
    const VOWELS: [&str; 21] = [
        "ㅏ", "ㅐ", "ㅑ", "ㅒ", "ㅓ", "ㅔ", "ㅕ", "ㅖ", "ㅗ", "ㅗㅏ", "ㅗㅐ", "ㅗㅣ", "ㅛ", "ㅜ",
        "ㅜㅓ", "ㅜㅔ", "ㅜㅣ", "ㅠ", "ㅡ", "ㅡㅣ", "ㅣ",
    ];
    const FINALS: [&str; 28] = [
        "", "ㄱ", "ㄲ", "ㄱㅅ", "ㄴ", "ㄴㅈ", "ㄴㅎ", "ㄷ", "ㄹ", "ㄹㄱ", "ㄹㅁ", "ㄹㅂ", "ㄹㅅ",
        "ㄹㅌ", "ㄹㅍ", "ㄹㅎ", "ㅁ", "ㅂ", "ㅂㅅ", "ㅅ", "ㅆ", "ㅇ", "ㅈ", "ㅊ", "ㅋ", "ㅌ", "ㅍ",
        "ㅎ",
    ];

    /// Appends a character, a syllable as its letters.
    pub(super) fn spell(c: char, letters: &mut String) {
        match syllable(c) {
            Some((initial, vowel, last)) => {
                letters.push(initial);
                letters.push_str(vowel);
                letters.push_str(last);
            }
            None => match compound(c) {
                Some(parts) => letters.push_str(parts),
                None => letters.push(c),
            },
        }
    }

    fn syllable(c: char) -> Option<(char, &'static str, &'static str)> {
        let at = usize::try_from(u32::from(c).checked_sub(FIRST.into())?).ok()?;
        let initial = INITIALS.get(at / (VOWELS.len() * FINALS.len()))?;
        let vowel = VOWELS.get(at / FINALS.len() % VOWELS.len())?;
        let last = FINALS.get(at % FINALS.len())?;
        Some((*initial, vowel, last))
    }

    /// A letter that is typed as two, standing alone: on the way from `ㄱ` to `ㄳ`.
    fn compound(c: char) -> Option<&'static str> {
        Some(match c {
            'ㄳ' => "ㄱㅅ",
            'ㄵ' => "ㄴㅈ",
            'ㄶ' => "ㄴㅎ",
            'ㄺ' => "ㄹㄱ",
            'ㄻ' => "ㄹㅁ",
            'ㄼ' => "ㄹㅂ",
            'ㄽ' => "ㄹㅅ",
            'ㄾ' => "ㄹㅌ",
            'ㄿ' => "ㄹㅍ",
            'ㅀ' => "ㄹㅎ",
            'ㅄ' => "ㅂㅅ",
            'ㅘ' => "ㅗㅏ",
            'ㅙ' => "ㅗㅐ",
            'ㅚ' => "ㅗㅣ",
            'ㅝ' => "ㅜㅓ",
            'ㅞ' => "ㅜㅔ",
            'ㅟ' => "ㅜㅣ",
            'ㅢ' => "ㅡㅣ",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    /// Whether a text is found by these words, as the index would.
    fn finds(words: &str, text: &str) -> bool {
        let terms = terms(text);
        let at = |term: &String, position: Option<usize>| -> Vec<usize> {
            let same = |placed: &&Placed| {
                placed.term == *term && position.is_none_or(|it| it == placed.position)
            };
            terms.iter().filter(same).map(|it| it.position).collect()
        };
        let clauses = clauses(words);
        !clauses.is_empty()
            && clauses.iter().all(|clause| match clause {
                Clause::Term(term) => !at(term, None).is_empty(),
                Clause::Phrase(phrase) => at(&phrase[0], None).into_iter().any(|start| {
                    let mut rest = phrase.iter().enumerate();
                    rest.all(|(n, term)| !at(term, Some(start + n)).is_empty())
                }),
            })
    }

    #[test]
    fn korean_is_found_without_exact_word_boundaries() {
        for text in [
            "고양이",
            "고양이가 운다",
            "길고양이",
            "우리집고양이는요",
            "#고양이",
            "a고양이b",
        ] {
            assert!(finds("고양이", text), "{text}");
        }
        for text in ["고양", "양이", "고 양이", "고양 이", "이양고", "cat"] {
            assert!(!finds("고양이", text), "{text}");
        }
        assert!(finds("고양이 간식", "간식을 먹는 고양이가"));
        assert!(!finds("고양이 간식", "고양이가"));
    }

    #[test]
    fn one_syllable_finds_what_begins_with_it() {
        for text in ["개", "개가", "우리 개는", "개냥이"] {
            assert!(finds("개", text), "{text}");
        }
        for text in ["안개", "조개가", "가"] {
            assert!(!finds("개", text), "{text}");
        }
    }

    #[test]
    fn english_is_found_by_its_stem() {
        for text in [
            "Cats!",
            "the cat's",
            "CAT",
            "a_cat",
            "cat-like",
            "고양이cat",
        ] {
            assert!(finds("cat", text), "{text}");
        }
        assert!(finds("sleeping cats", "My cat sleeps"));
        assert!(finds("naïve", "NAI\u{308}VE"));
        assert!(!finds("cat", "category concatenate"));
        assert!(!finds("cat", "고양이"));
    }

    #[test]
    fn other_scripts_and_emoji_are_found() {
        assert!(finds("猫", "猫がいる"));
        assert!(finds("ねこ", "かわいいねこです"));
        assert!(finds("แมว", "รักแมวมาก"));
        assert!(finds("🐱", "안녕🐱❤️"));
        assert!(finds("❤", "안녕🐱❤️"));
        assert!(!finds("🐶", "안녕🐱"));
    }

    #[test]
    fn nothing_is_found_by_nothing() {
        for nothing in ["", " ", "!!!", "#", "'", "\u{fe0f}"] {
            assert!(clauses(nothing).is_empty(), "{nothing}");
        }
    }

    /// The words that this keyboard shows on its way to a word, letter by letter.
    #[test]
    fn every_step_of_typing_is_a_beginning() {
        for (word, steps) in [
            ("나비", vec!["ㄴ", "나", "납", "나비"]),
            ("과일", vec!["ㄱ", "고", "과", "광", "과이", "과일"]),
            ("닭살", vec!["ㄷ", "다", "달", "닭", "닭ㅅ", "닭사", "닭살"]),
            ("달가", vec!["닭", "달가"]),
            ("Nabi", vec!["n", "NA", "nab", "nabi"]),
            ("ㅋㅋ", vec!["ㅋ", "ㅋㅋ"]),
        ] {
            let whole = letters(word);
            for step in steps {
                let step = letters(step);
                assert!(whole.starts_with(&step), "{word}: {step}");
            }
        }
        assert!(!letters("나비").starts_with(&letters("낣")));
    }

    #[test]
    fn names_are_found_by_their_parts() {
        let words = names(["nabi_cat.01", "나비 O'Brien"]);
        for typed in [
            "nabi_cat.01",
            "nabi",
            "cat",
            "01",
            "나비",
            "o'brien",
            "o",
            "brien",
        ] {
            assert!(words.contains(&letters(typed)), "{typed}");
        }
        assert_eq!(typed(" @Nabi  #나비 @ "), ["nabi", "ㄴㅏㅂㅣ"]);
        assert_eq!(typed("!!!"), ["!!!"]);
        assert_eq!(names(["!!!"]), ["!!!"]);
    }

    #[test]
    fn beginnings_have_an_end() {
        let long = "x".repeat(50);
        assert_eq!(beginnings(&long).count(), MAX_BEGINNING);
        assert_eq!(beginning(&long).len(), MAX_BEGINNING);
        assert_eq!(beginnings("나b").collect::<Vec<_>>(), ["나", "나b"]);
        assert_eq!(beginning(""), "");
    }

    proptest! {
        #[test]
        fn a_text_is_found_by_any_part_of_a_korean_word(
            before in "[가-힣]{0,5}", word in "[가-힣]{2,6}", after in "[가-힣]{0,5}", rest in "\\PC{0,30}"
        ) {
            let text = format!("{before}{word}{after} {rest}");
            prop_assert!(finds(&word, &text));
        }

        #[test]
        fn a_text_is_found_by_itself_in_any_form(text in "\\PC{0,60}") {
            for spelling in [text.clone(), text.nfd().collect(), text.to_uppercase()] {
                prop_assume!(normal_form(&spelling) == normal_form(&text));
                prop_assert_eq!(finds(&spelling, &text), !clauses(&text).is_empty());
            }
        }

        #[test]
        fn a_name_is_found_by_each_beginning(name in "\\PC{1,30}") {
            let words = names([name.as_str()]);
            for typed in typed(&name) {
                prop_assert!(words.contains(&typed), "{} {:?}", typed, words);
                prop_assert!(beginnings(&typed).any(|it| it == beginning(&typed)));
            }
        }
    }
}
