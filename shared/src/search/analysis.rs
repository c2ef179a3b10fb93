//! What a text is found by.
//!
//! Texts meet in one [`form`]. A run of letters and digits is a word, and is
//! found by its English stem. Scripts that are written without spaces, or, as Korean, with particles
//! stuck to their words, have no words that could be told apart without a dictionary: a run of them is
//! cut into overlapping pairs of characters, and found by a phrase of pairs, so `고양이` is in `고양이가`
//! and `길고양이`. A single such character finds what begins with it. An emoji is a word.
//!
//! Korean is written with spaces that many leave out, so a space between two words of Hangul divides nothing: the pair of
//! characters around it is a term too, and `고양이카페` is in `고양이 카페`. The other way round, a search's words are looked for
//! one by one, which finds them in one word as well; one of a single syllable, where it is no beginning, may also stand
//! beside its neighbour's nearest. What this finds too many is what two words meet in by chance (`나비` in `하나 비가`),
//! as with any search by pairs.
//!
//! Names and tags are found while they are typed: by what they begin with. Hangul is typed letter by
//! letter, and on the way from `나` to `나비` stands `납`, which is no beginning of `나비` by syllables. So
//! there they are taken apart into the letters that are typed: `ㄴㅏㅂㅣ`.

use frostem::{Algorithm, Stemmer};
use unicode_properties::{
    GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory as _,
};

use super::form::form;

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
    /// Any of these terms; at least two.
    Any(Vec<String>),
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

/// A syllable, or a letter of one.
const fn is_hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}' | '\u{a960}'..='\u{a97f}' | '\u{d7b0}'..='\u{d7ff}')
}

/// The runs of a text, each with the pair of Hangul around the white space that alone divides it from the one before.
fn runs(text: &str) -> Vec<(Run, Option<String>)> {
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

fn stem(word: &str) -> String {
    Stemmer::new(Algorithm::English).stem(word).into_owned()
}

fn pairs(run: &[char]) -> impl Iterator<Item = String> {
    run.windows(2).map(|pair| pair.iter().collect())
}

/// The terms of a text.
pub(super) fn terms(text: &str) -> Vec<Placed> {
    let mut terms = Vec::new();
    let mut position = 0_usize;
    let mut place = |term, position| terms.push(Placed { term, position });
    for (run, around) in runs(text) {
        if let Some(pair) = around {
            // The place between the last pair of the run before and the first of this one.
            place(pair, position.saturating_sub(1));
        }
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
    let mut runs = runs(words).into_iter().peekable();
    while let Some((run, before)) = runs.next() {
        let clause = match run {
            Run::Word(word) => Clause::Term(stem(&word)),
            Run::Symbol(symbol) => Clause::Term(symbol.into()),
            Run::Unspaced(run) if run.len() > 2 => Clause::Phrase(pairs(&run).collect()),
            Run::Unspaced(run) => {
                let behind = runs.peek().and_then(|(_, around)| around.clone());
                let beside = before.into_iter().chain(behind);
                let beside = beside.filter(|_| run.len() == 1);
                let mut terms: Vec<String> = vec![run.iter().collect()];
                terms.extend(beside);
                match <[String; 1]>::try_from(terms) {
                    Ok([term]) => Clause::Term(term),
                    Err(terms) => Clause::Any(terms),
                }
            }
        };
        if !clauses.contains(&clause) {
            clauses.push(clause);
        }
    }
    clauses
}

/// A name or tag, letter by letter as it is typed.
pub(super) fn letters(text: &str) -> String {
    spelt(&form(text))
}

fn spelt(form: &str) -> String {
    form.chars().fold(String::new(), |mut letters, c| {
        hangul::spell(c, &mut letters);
        letters
    })
}

/// The words of names, letter by letter: as they stand between white space, where there is more than letters and
/// digits in them, their parts, and where Hangul ends one and begins the next, all of them from each on, as one.
pub(super) fn names<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: &str| {
        if !word.is_empty() && !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    };
    for text in texts {
        let wholes = typed(text);
        let parts = |whole: &'_ String| -> Vec<String> {
            let parts = whole.split(|c| !is_letter(c));
            let parts = parts.filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        let parts: Vec<String> = wholes.iter().flat_map(parts).collect();
        for words in [&parts, &wholes] {
            words.iter().for_each(|word| add(word));
            for at in 0..words.len() {
                let rest = words.get(at..).unwrap_or_default();
                add(joined(rest).first().map_or("", |one| beginning(one)));
            }
        }
    }
    words
}

/// What was typed to find a name, letter by letter, word by word.
pub(super) fn typed(text: &str) -> Vec<String> {
    form(text)
        .split_whitespace()
        .map(|word| spelt(word.trim_start_matches(['@', '#'])))
        .filter(|word| !word.is_empty())
        .collect()
}

/// Typed words with those as one between which spaces make no difference: where Hangul ends one and begins the next.
pub(super) fn joined(words: &[String]) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(before) if before.ends_with(is_hangul) && word.starts_with(is_hangul) => {
                before.push_str(word);
            }
            _ => joined.push(word.clone()),
        }
    }
    joined
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
                Clause::Any(terms) => terms.iter().any(|term| !at(term, None).is_empty()),
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
        for text in ["고양", "양이", "고, 양이", "고양cat이", "이양고", "cat"] {
            assert!(!finds("고양이", text), "{text}");
        }
        assert!(finds("고양이 간식", "간식을 먹는 고양이가"));
        assert!(!finds("고양이 간식", "고양이가"));
    }

    #[test]
    fn spaces_in_korean_make_no_difference() {
        for (words, text) in [
            ("고양이카페", "고양이 카페"),
            ("고양이 카페", "고양이카페"),
            ("고양이카페추천", "오늘의 고양이 \n 카페\u{3000}추천"),
            ("고양 이", "고양이"),
            ("고 양이", "고양이가"),
            ("고 양 이", "길고양이"),
            ("고양이", "고 양 이"),
            ("길고양이", "길 고양이"),
        ] {
            assert!(finds(words, text), "{words}: {text}");
        }
        for (words, text) in [
            ("고양이카페", "고양이, 카페"),
            ("고양이카페", "고양이 cat 카페"),
            ("고양이카페", "카페 고양이"),
            ("ねこカフェ", "ねこ カフェ"),
            ("이 카", "고양 카이"),
        ] {
            assert!(!finds(words, text), "{words}: {text}");
        }
    }

    #[test]
    fn width_accents_and_what_is_not_seen_make_no_difference() {
        for (words, text) in [
            ("cafe", "A café!"),
            ("café", "the CAFE"),
            ("ﾈｺ", "かわいいネコです"),
            ("ネコ", "ﾈｺ"),
            ("cat tower", "ＣＡＴ　Ｔｏｗｅｒ"),
            ("ＣＡＴ Ｔｏｗｅｒ", "the cat's towers"),
            ("고양이", "고\u{ad}양\u{200b}이"),
            ("kitten", "kit\u{ad}ten"),
            ("kit\u{200b}ten", "kitten"),
        ] {
            assert!(finds(words, text), "{words}: {text}");
        }
        assert!(!finds("カキ", "ガキ"));
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
    fn names_in_korean_are_found_with_and_without_their_spaces() {
        let words = names(["러시안 블루 고양이"]);
        for typed in ["러시안블", "블루고양이", "러시안블루고양이", "고양"] {
            let typed = letters(typed);
            assert!(words.iter().any(|word| word.starts_with(&typed)), "{typed}");
        }
        assert!(
            !words
                .iter()
                .any(|word| word.starts_with(&letters("안블루")))
        );
        // One word for each of the name's words, however many there are.
        assert!(names([["나비"; 25].join(" ").as_str()]).len() <= 2 + 25);
        for (name, typed) in [
            ("나비 집사🐱", "나비집사"),
            ("나비 집사🐱", "나비집사🐱"),
            ("나비 집사!", "나비집사"),
            ("🐱나비 집사", "나비집사"),
            ("나비🐱 집사", "나비집사"),
            ("♡ 나비 ♡ 집사 ♡", "나비집"),
            ("나비 집사2", "나비집사2"),
            ("cat나 비", "cat나비"),
            ("nabi 나비 집사", "나비집사"),
        ] {
            let (words, typed) = (names([name]), letters(typed));
            let is_found = words.iter().any(|word| word.starts_with(&typed));
            assert!(is_found, "{name}: {words:?}");
        }
    }

    #[test]
    fn spaces_between_typed_words_in_korean_make_no_difference() {
        for (words, expected) in [
            ("러시안 블", vec!["러시안블"]),
            ("나비", vec!["나비"]),
            ("나비 cat", vec!["나비", "cat"]),
            ("nabi 나 비", vec!["nabi", "나비"]),
            ("나 비 nabi 집 사🐱", vec!["나비", "nabi", "집사🐱"]),
            ("", vec![]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(letters).collect();
            assert_eq!(joined(&typed(words)), expected, "{words}");
        }
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
                prop_assume!(form(&spelling) == form(&text));
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
