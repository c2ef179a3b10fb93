//! The documents of the index.
//!
//! One index for all kinds, each with fields of its own, so that there is one manifest, one writer and
//! one thing to download. Texts are not kept, nor is anything that is shown: what is found is a key.

use sha2::{Digest as _, Sha256};
use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{PreTokenizedString, Token};

use super::analysis::{self, Placed};
use crate::domain::{
    Author, BREEDS, Cat, CatId, Id, Name, Post, PostId, Profile, Subject, Tag, UserId, tags_of,
};

/// The fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// `post/<id>`: what a document is deleted by, and what is found.
    pub(super) key: Field,
    /// Tells documents of the same rank apart, and when a post was written: its id; elsewhere the key's
    /// digest.
    pub(super) order: Field,
    /// The terms of a post's text.
    pub(super) text: Field,
    /// A post's tags, each as [`tag_term`].
    pub(super) tags: Field,
    /// The words of a user's name and handle, and what they begin with.
    pub(super) user: Field,
    /// The same of a cat's name and breed.
    pub(super) cat: Field,
}

/// The name of the field of keys, as fast fields go by names.
pub(super) const KEY: &str = "key";
/// The name of the field of orders.
pub(super) const ORDER: &str = "order";

/// The index's schema. Changing it takes another [`FORMAT`](super::bucket::FORMAT), beside which the old index is
/// forgotten. Changing only what texts are found by doesn't: what was indexed before is found by its older terms, which
/// are the same ones for most words, until `./dev ops reindex` has every document written anew.
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

/// The key of what can be found.
pub(super) fn key(subject: &Subject) -> String {
    match subject {
        Subject::Post(id) => format!("post/{id}"),
        Subject::User(id) => format!("user/{id}"),
        Subject::Cat(id) => format!("cat/{id}"),
    }
}

/// The thing that a key stands for.
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

/// When a post was written, in milliseconds, from its order.
pub(super) fn written_at(order: u64) -> i64 {
    Id::from_u64(order).map_or(0, |id| id.created_at().millis())
}

/// A tag's term: what is typed on the way to it, then the tag itself.
pub(super) fn tag_term(tag: &Tag) -> String {
    format!("{}\0{tag}", analysis::letters(tag.as_str()))
}

/// The tag of a term.
pub(super) fn tag_of(term: &[u8]) -> Option<Tag> {
    let (_, tag) = std::str::from_utf8(term).ok()?.split_once('\0')?;
    Tag::parse(tag).ok()
}

/// The term of a whole word of a name.
pub(super) fn whole(word: &str) -> String {
    format!("={word}")
}

/// The term of what a word of a name begins with.
pub(super) fn beginning(word: &str) -> String {
    format!("~{word}")
}

/// Everything that a breed is called: its id and its names, where the classifier knows it by one of them, and the
/// owner's word for it otherwise.
fn breed_names(breed: &str) -> Vec<&str> {
    let letters = |name: &str| -> String {
        let letters = analysis::letters(name);
        letters.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    let told = letters(breed);
    let names = BREEDS.map(|breed| [breed.id, breed.name.en, breed.name.ko]);
    let known = names
        .into_iter()
        .find(|names| names.iter().any(|name| letters(name) == told));
    known.map_or_else(|| vec![breed], Vec::from)
}

/// Something to be found, and what by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    subject: Subject,
    text: Vec<Placed>,
    tags: Vec<String>,
    names: Vec<String>,
}

impl Document {
    /// A post: by its text and its tags.
    pub fn post(post: &Post) -> Self {
        let text = post.draft.text().as_str();
        Self {
            subject: Subject::Post(post.id),
            text: analysis::terms(text),
            tags: tags_of(text).iter().map(tag_term).collect(),
            names: Vec::new(),
        }
    }

    /// A user: by handle and name, as they are shown.
    pub fn user(profile: &Profile) -> Self {
        let shown = Author::of(&profile.id, Some(profile));
        let name = profile.name.as_ref().map(Name::as_str);
        let names = [Some(shown.handle.as_str()), name];
        Self::named(
            Subject::User(profile.id.clone()),
            names.into_iter().flatten(),
        )
    }

    /// A cat: by its name, and by its breed's.
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

    /// The kind of thing.
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
