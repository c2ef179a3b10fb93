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
    .description("Finds posts by the words of their text, in Korean also by parts of words and across spaces; users, cats and tags by prefixes of their names; cats also by the names of their breed. Width and accents make no difference. A cursor is valid for 15 minutes and then refused with 400: search again.")
    .parameters(&[WORDS, KIND])
    .finds::<SearchPage>();
