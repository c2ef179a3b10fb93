//! Tests of which words find which texts.

use super::names::MAX_BEGINNING;
use super::*;
use crate::search::form::form;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization as _;

/// Returns true if these words find a text, as in the index.
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
fn width_accents_and_invisible_characters_make_no_difference() {
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
fn single_syllable_finds_words_that_begin_with_it() {
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
fn query_without_words_has_no_clauses() {
    for nothing in ["", " ", "!!!", "#", "'", "\u{fe0f}"] {
        assert!(clauses(nothing).is_empty(), "{nothing}");
    }
}

/// The steps are what a Korean keyboard shows on the way to a word, letter by letter.
#[test]
fn every_typing_step_is_a_prefix_of_the_word() {
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
    // One joined word for each of the name's words, whatever their number.
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
fn prefixes_are_limited_in_length() {
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
    fn text_is_found_by_any_spelling_of_itself(text in "\\PC{0,60}") {
        for spelling in [text.clone(), text.nfd().collect(), text.to_uppercase()] {
            prop_assume!(form(&spelling) == form(&text));
            prop_assert_eq!(finds(&spelling, &text), !clauses(&text).is_empty());
        }
    }

    #[test]
    fn name_is_found_by_each_of_its_prefixes(name in "\\PC{1,30}") {
        let words = names([name.as_str()]);
        for typed in typed(&name) {
            prop_assert!(words.contains(&typed), "{} {:?}", typed, words);
            prop_assert!(beginnings(&typed).any(|it| it == beginning(&typed)));
        }
    }
}
