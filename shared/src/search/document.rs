//! The documents of the index.
//!
//! One index holds all kinds, each with fields of its own, so there is one manifest, one writer and one thing to
//! download. The index keeps no texts and nothing that is shown: a search finds keys.

use sha2::{Digest as _, Sha256};
use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{PreTokenizedString, Token};

use super::analysis::{self, Placed};
use crate::domain::{
    Author, BREEDS, Cat, CatId, Id, Name, Post, PostId, Profile, Subject, Tag, UserId, tags_of,
};

/// The fields of the index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// The key, such as `post/<id>`: documents are deleted by it, and searches return it.
    pub(super) key: Field,
    /// The tie-breaker between documents of the same rank: a post's id, which also tells when it was written; for
    /// others, the key's digest.
    pub(super) order: Field,
    /// The terms of a post's text.
    pub(super) text: Field,
    /// The terms of a post's tags (see [`tag_term`]).
    pub(super) tags: Field,
    /// The words of a user's name and handle, and their beginnings.
    pub(super) user: Field,
    /// The words of a cat's name and breed, and their beginnings.
    pub(super) cat: Field,
}

/// The name of the field of keys, as fast fields are accessed by name.
pub(super) const KEY: &str = "key";
/// The name of the field of orders.
pub(super) const ORDER: &str = "order";

/// Returns the index's schema. A change of it requires a new [`FORMAT`](super::bucket::FORMAT), and the old index is
/// abandoned. A change of the terms alone does not: documents are found by their old terms, most of which stay the
/// same, until `./dev ops reindex` writes them all anew.
pub(super) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let indexed = |record, norms| {
        TextOptions::default().set_indexing_options(
            TextFieldIndexing::default()
                .set_tokenizer("raw")
                .set_index_option(record)
                .set_fieldnorms(norms),
        )
    };
    let fields = Fields {
        key: schema.add_text_field(
            KEY,
            indexed(IndexRecordOption::Basic, false).set_fast("raw"),
        ),
        order: schema.add_u64_field(ORDER, FAST),
        text: schema.add_text_field(
            "text",
            indexed(IndexRecordOption::WithFreqsAndPositions, true),
        ),
        tags: schema.add_text_field("tags", indexed(IndexRecordOption::Basic, false)),
        user: schema.add_text_field("user", indexed(IndexRecordOption::WithFreqs, true)),
        cat: schema.add_text_field("cat", indexed(IndexRecordOption::WithFreqs, true)),
    };
    (schema.build(), fields)
}

/// Returns a subject's key.
pub(super) fn key(subject: &Subject) -> String {
    match subject {
        Subject::Post(id) => format!("post/{id}"),
        Subject::User(id) => format!("user/{id}"),
        Subject::Cat(id) => format!("cat/{id}"),
    }
}

/// Parses a key.
pub(super) fn subject(key: &str) -> Option<Subject> {
    let (kind, id) = key.split_once('/')?;
    match kind {
        "post" => PostId::parse(id).ok().map(Subject::Post),
        "user" => UserId::parse(id).ok().map(Subject::User),
        "cat" => CatId::parse(id).ok().map(Subject::Cat),
        _ => None,
    }
}

fn order(subject: &Subject) -> u64 {
    match subject {
        Subject::Post(PostId(id)) => u64::from_be_bytes(id.to_bytes()),
        other => Sha256::digest(key(other))
            .first_chunk()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes)),
    }
}

/// Returns the time at which a post was written, in milliseconds, from the post's order.
pub(super) fn written_at(order: u64) -> i64 {
    Id::from_u64(order).map_or(0, |id| id.created_at().millis())
}

/// Returns a tag's term: the letters typed for it, then the tag itself.
pub(super) fn tag_term(tag: &Tag) -> String {
    format!("{}\0{tag}", analysis::letters(tag.as_str()))
}

/// Returns the tag of a term.
pub(super) fn tag_of(term: &[u8]) -> Option<Tag> {
    let (_, tag) = std::str::from_utf8(term).ok()?.split_once('\0')?;
    Tag::parse(tag).ok()
}

/// Returns the term for a whole word of a name.
pub(super) fn whole(word: &str) -> String {
    format!("={word}")
}

/// Returns the term for the beginning of a word of a name.
pub(super) fn beginning(word: &str) -> String {
    format!("~{word}")
}

/// Returns all names of a breed: its id and names, if the classifier knows it by one of them; otherwise what its owner
/// calls it.
fn breed_names(breed: &str) -> Vec<&str> {
    let letters = |name: &str| -> String {
        let letters = analysis::letters(name);
        letters.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    let wanted = letters(breed);
    let names = BREEDS.map(|breed| [breed.id, breed.name.en, breed.name.ko]);
    let known = names
        .into_iter()
        .find(|names| names.iter().any(|name| letters(name) == wanted));
    known.map_or_else(|| vec![breed], Vec::from)
}

/// A searchable subject, and the terms that find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    subject: Subject,
    text: Vec<Placed>,
    tags: Vec<String>,
    names: Vec<String>,
}

impl Document {
    /// Creates a post's document, found by the post's text and tags.
    pub fn post(post: &Post) -> Self {
        let text = post.draft.text().as_str();
        Self {
            subject: Subject::Post(post.id),
            text: analysis::terms(text),
            tags: tags_of(text).iter().map(tag_term).collect(),
            names: Vec::new(),
        }
    }

    /// Creates a user's document, found by handle and name, as they are shown.
    pub fn user(profile: &Profile) -> Self {
        let shown = Author::of(&profile.id, Some(profile));
        let name = profile.name.as_ref().map(Name::as_str);
        let names = [Some(shown.handle.as_str()), name];
        Self::named(
            Subject::User(profile.id.clone()),
            names.into_iter().flatten(),
        )
    }

    /// Creates a cat's document, found by the names of the cat and its breed.
    pub fn cat(cat: &Cat) -> Self {
        let breed = cat.breed.as_ref().map(Name::as_str);
        let names = [cat.name.as_str()].into_iter();
        let names = names.chain(breed.into_iter().flat_map(breed_names));
        Self::named(Subject::Cat(cat.id), names)
    }

    fn named<'a>(subject: Subject, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            subject,
            text: Vec::new(),
            tags: Vec::new(),
            names: analysis::names(names),
        }
    }

    /// Returns the subject.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(super) fn into_tantivy(self, fields: &Fields) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_text(fields.key, key(&self.subject));
        document.add_u64(fields.order, order(&self.subject));
        if !self.text.is_empty() {
            let tokens = self.text.into_iter().map(|it| token(it.term, it.position));
            document.add_pre_tokenized_text(fields.text, pre_tokenized(tokens));
        }
        for tag in self.tags {
            document.add_text(fields.tags, tag);
        }
        if !self.names.is_empty() {
            let field = match self.subject {
                Subject::Cat(_) => fields.cat,
                Subject::User(_) | Subject::Post(_) => fields.user,
            };
            let wholes = self.names.iter().map(|word| whole(word));
            let begun = self
                .names
                .iter()
                .flat_map(|word| analysis::beginnings(word));
            let mut terms: Vec<String> = wholes.chain(begun.map(beginning)).collect();
            terms.sort_unstable();
            terms.dedup();
            let tokens = terms
                .into_iter()
                .enumerate()
                .map(|(at, term)| token(term, at));
            document.add_pre_tokenized_text(field, pre_tokenized(tokens));
        }
        document
    }
}

fn token(text: String, position: usize) -> Token {
    Token {
        text,
        position,
        ..Token::default()
    }
}

fn pre_tokenized(tokens: impl Iterator<Item = Token>) -> PreTokenizedString {
    PreTokenizedString {
        text: String::new(),
        tokens: tokens.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_breed_is_found_by_each_of_its_names() {
        for told in [
            "russian-blue",
            "Russian Blue",
            "RUSSIAN BLUE",
            "러시안 블루",
            "러시안블루",
        ] {
            let names = breed_names(told);
            assert_eq!(
                names,
                ["russian-blue", "Russian Blue", "러시안 블루"],
                "{told}"
            );
        }
        assert_eq!(breed_names("치즈 태비"), ["치즈 태비"]);
    }
}
