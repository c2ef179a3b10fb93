//! Names and tags, split into the letters that are typed.

use super::hangul::{is_hangul, spell};
use super::runs::is_letter;
use crate::search::form::form;

/// The longest prefix that a name is found by, in letters; anything typed beyond it is ignored.
pub(super) const MAX_BEGINNING: usize = 40;

/// Returns a name or tag letter by letter, as it is typed.
pub(in crate::search) fn letters(text: &str) -> String {
    spelt(&form(text))
}

fn spelt(form: &str) -> String {
    form.chars().fold(String::new(), |mut letters, c| {
        spell(c, &mut letters);
        letters
    })
}

/// Returns the words of names, letter by letter: each word as it is between spaces, and its parts if it has more than
/// letters and digits. Where words meet in Hangul, also returns each word joined with those after it.
pub(in crate::search) fn names<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
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
            for word in words {
                add(word);
            }
            for at in 0..words.len() {
                let rest = words.get(at..).unwrap_or_default();
                add(joined(rest).first().map_or("", |one| beginning(one)));
            }
        }
    }
    words
}

/// Returns the words typed to find a name, letter by letter.
pub(in crate::search) fn typed(text: &str) -> Vec<String> {
    form(text)
        .split_whitespace()
        .map(|word| spelt(word.trim_start_matches(['@', '#'])))
        .filter(|word| !word.is_empty())
        .collect()
}

/// Joins typed words where spaces make no difference: where one ends and the next begins in Hangul.
pub(in crate::search) fn joined(words: &[String]) -> Vec<String> {
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

/// Returns the beginnings of a word, up to [`MAX_BEGINNING`] letters.
pub(in crate::search) fn beginnings(word: &str) -> impl Iterator<Item = &str> {
    let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.take(MAX_BEGINNING).filter_map(|end| word.get(..end))
}

/// Returns the beginning by which a word is looked up.
pub(in crate::search) fn beginning(word: &str) -> &str {
    beginnings(word).last().unwrap_or_default()
}
