//! Searches: their text, their type, the page that answers.

use serde::{Deserialize, Serialize};

use super::character::is_visible;
use super::text::{text_type, without_null};
use super::{CatView, Page, PostView, Reason, Tag, UserView};

/// The text of `?q=`, without surrounding white space: 1 to 100 characters, at least one of them visible and none of
/// them U+0000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText(String);

impl SearchText {
    /// The maximum number of characters, without surrounding white space.
    pub const MAX_CHARS: usize = 100;

    /// Parses `?q=`.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let text = text.trim();
        if text.chars().nth(Self::MAX_CHARS).is_some() || !is_visible(text) {
            return Err(Reason::new(
                "must be 1 to 100 characters, at least one of them visible",
            ));
        }
        without_null(text)?;
        Ok(Self(text.to_owned()))
    }
}

text_type!(SearchText);

/// The kind of things to search for: `?type=`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SearchType {
    /// Posts, by the words of their text.
    #[default]
    Posts,
    /// Users, by the beginning of their handle or of a word of their name.
    Users,
    /// Cats, by the beginning of a word of their name.
    Cats,
    /// Tags, by their beginning.
    Tags,
}

impl SearchType {
    /// All types, with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("posts", Self::Posts),
        ("users", Self::Users),
        ("cats", Self::Cats),
        ("tags", Self::Tags),
    ];

    /// Parses `?type=`.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        let found = found.map(|(_, kind)| kind);
        found.ok_or(Reason::new("must be posts, users, cats or tags"))
    }
}

/// A page of results in JSON; its `type` says what the items are.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SearchPage {
    /// Posts.
    Posts(Page<PostView>),
    /// Users.
    Users(Page<UserView>),
    /// Cats.
    Cats(Page<CatView>),
    /// Tags.
    Tags(Page<TagView>),
}

impl SearchPage {
    /// Returns an empty page of a type.
    pub fn empty(kind: SearchType) -> Self {
        match kind {
            SearchType::Posts => Self::Posts(Page::whole(&[])),
            SearchType::Users => Self::Users(Page::whole(&[])),
            SearchType::Cats => Self::Cats(Page::whole(&[])),
            SearchType::Tags => Self::Tags(Page::whole(&[])),
        }
    }
}

/// A tag and its number of posts: of the last 24 hours among trends, of all posts in a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Tag"))]
pub struct TagView {
    /// The tag, in its normal form and without the `#`.
    pub tag: Tag,
    /// The number of posts that have it.
    pub posts: u64,
}

impl TagView {
    /// Encodes the tag's position in a list ordered by counts.
    pub fn to_position(&self) -> Vec<u8> {
        [&self.posts.to_be_bytes(), self.tag.as_str().as_bytes()].concat()
    }

    /// Decodes the tag from a position; returns `None` for other bytes.
    pub fn at_position(bytes: &[u8]) -> Option<Self> {
        let (posts, tag) = bytes.split_first_chunk()?;
        Some(Self {
            tag: Tag::parse(std::str::from_utf8(tag).ok()?).ok()?,
            posts: u64::from_be_bytes(*posts),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_text_is_1_to_100_characters() {
        for good in [
            "x",
            " x ",
            &"고".repeat(100),
            &format!(" {} ", "x".repeat(100)),
        ] {
            assert!(SearchText::parse(good).is_ok(), "{good}");
        }
        for bad in ["", " \t\u{3000}", "\u{200b}", "a\0b", &"고".repeat(101)] {
            assert!(SearchText::parse(bad).is_err(), "{bad:?}");
        }
    }
}
