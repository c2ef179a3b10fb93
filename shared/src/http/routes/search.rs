//! Search.

use super::Group;
use super::operation::{Example, Operation, Parameter, get};
use crate::domain::{SearchPage, SearchText, SearchType};

pub(super) const GROUP: Group = Group {
    name: "Search",
    description: "Posts, users, cats and tags, in Korean and English.",
    operations: &[SEARCH],
};

const WORDS: Parameter =
    Parameter::query::<SearchText>("q", true, "The words to look for.", Example::Text("고양이"));
const KIND: Parameter = Parameter::query::<SearchType>(
    "type",
    false,
    "The kind of things to look for.",
    Example::Text("posts"),
);

/// `GET /v1/search`
pub const SEARCH: Operation = get("/v1/search", "search", "Search, best match first")
    .description("Posts are found by the words of their text, Korean by parts of words and over spaces too; users, cats and tags by what their names begin with, cats by their breed's names too. Width and accents make no difference. Cursors are good for 15 minutes; then they are 400: search again.")
    .parameters(&[WORDS, KIND])
    .finds::<SearchPage>();
