//! The terms that a text is found by.
//!
//! Texts and searches are compared in one [`form`]. A run of letters and digits is a word, and is found by its English
//! stem. Scripts without spaces, and Korean, which attaches particles to its words, can't be divided into words without
//! a dictionary. A run of them is cut into overlapping pairs of characters and found by a phrase of pairs, so `고양이` is
//! found in `고양이가` and `길고양이`. A single such character finds runs that begin with it. An emoji is a word.
//!
//! Many people leave out the spaces of Korean, so a space between two words of Hangul divides nothing: the pair of
//! characters around it is a term too, and `고양이카페` finds `고양이 카페`. Conversely, each word of a search is looked up by
//! itself, which also finds it joined with others in one word; a word of a single syllable may also stand directly
//! beside its neighbour. Like any search by pairs, this finds some pairs that only meet by chance (`나비` in `하나 비가`).
//!
//! Names and tags are found by their beginnings, while they are being typed. Hangul is typed letter by letter, and the
//! keyboard shows `납` on the way from `나` to `나비`, which by syllables is not a beginning of `나비`. So names and tags are
//! split into the letters that are typed: `ㄴㅏㅂㅣ`.

mod hangul;
mod names;
mod runs;
#[cfg(test)]
mod tests;

use frostem::{Algorithm, Stemmer};

use runs::{Run, runs};

pub(super) use names::{beginning, beginnings, joined, letters, names, typed};

/// A term with its position in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) term: String,
    pub(super) position: usize,
}

/// A condition that a text must meet to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clause {
    /// This term.
    Term(String),
    /// These terms, directly one after the other; at least two.
    Phrase(Vec<String>),
    /// Any of these terms; at least two.
    Any(Vec<String>),
}

fn stem(word: &str) -> String {
    Stemmer::new(Algorithm::English).stem(word).into_owned()
}

fn pairs(run: &[char]) -> impl Iterator<Item = String> {
    run.windows(2).map(|pair| pair.iter().collect())
}

/// Returns the terms of a text.
pub(super) fn terms(text: &str) -> Vec<Placed> {
    let mut terms = Vec::new();
    let mut position = 0_usize;
    let mut place = |term, position| terms.push(Placed { term, position });
    for (run, around) in runs(text) {
        if let Some(pair) = around {
            // The position between the last pair of the run before and the first pair of this one.
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

/// Returns the conditions, all of which a text must meet to be found by these words. Without words, nothing is found.
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
