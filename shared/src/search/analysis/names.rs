//! Names and tags, letter by letter as they are typed.

use super::hangul::{is_hangul, spell};
use super::runs::is_letter;
use crate::search::form::form;

/// The longest beginning that a name is found by, in letters; what is typed beyond is passed over.
pub(super) const MAX_BEGINNING: usize = 40;

/// A name or tag, letter by letter as it is typed.
pub(in crate::search) fn letters(text: &str) -> String {
    spelt(&form(text))
}

fn spelt(form: &str) -> String {
    form.chars().fold(String::new(), |mut letters, c| {
        spell(c, &mut letters);
        letters
    })
}

/// The words of names, letter by letter: as they stand between white space, where there is more than letters and
/// digits in them, their parts, and where words of Hangul follow each other, all of them from each on, as one.
pub(in crate::search) fn names<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: &str| {
        if !word.is_empty() && !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    };
    for text in texts {
        let wholes = typed(text);
        for (at, whole) in wholes.iter().enumerate() {
            whole.split(|c| !is_letter(c)).for_each(&mut add);
            add(whole);
            let rest = wholes.get(at..).unwrap_or_default().iter();
            let hangul: String = rest
                .take_while(|word| is_spelt_hangul(word))
                .cloned()
                .collect();
            add(beginning(&hangul));
        }
    }
    words
}

/// The words typed to find a name, letter by letter.
pub(in crate::search) fn typed(text: &str) -> Vec<String> {
    form(text)
        .split_whitespace()
        .map(|word| spelt(word.trim_start_matches(['@', '#'])))
        .filter(|word| !word.is_empty())
        .collect()
}

/// Several typed words as one, where spaces between them make no difference.
pub(in crate::search) fn typed_as_one(words: &[String]) -> Option<String> {
    let all = words.len() > 1 && words.iter().all(|word| is_spelt_hangul(word));
    all.then(|| words.concat())
}

fn is_spelt_hangul(word: &str) -> bool {
    word.chars().all(is_hangul)
}

/// The beginnings of a word, up to the longest that it is found by.
pub(in crate::search) fn beginnings(word: &str) -> impl Iterator<Item = &str> {
    let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.take(MAX_BEGINNING).filter_map(|end| word.get(..end))
}

/// The beginning of a word that is looked for.
pub(in crate::search) fn beginning(word: &str) -> &str {
    beginnings(word).last().unwrap_or_default()
}
