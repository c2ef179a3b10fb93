//! The row of a post, and its attributes.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Error;
use super::item::{Item, Read, list, s};
use super::picture_row::{images, images_value};
use crate::domain::{CatId, Draft, Post, PostId, PostText, Timestamp, UserId};

/// A post and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revised {
    pub(super) post: Post,
    /// The number of changes.
    pub(super) rev: u32,
}

pub(super) fn rev(row: &Item) -> Result<u32, Error> {
    u32::try_from(row.number("rev")?).map_err(Error::broken)
}

pub(super) fn author(row: &Item) -> Result<UserId, Error> {
    UserId::parse(row.text("author")?).map_err(Error::broken)
}

fn draft(row: &Item) -> Result<Draft, Error> {
    let text = PostText::stored(row.text("text")?);
    let cats = row
        .texts("cats")?
        .into_iter()
        .map(CatId::parse)
        .collect::<Result<_, _>>()
        .map_err(Error::broken)?;
    Ok(Draft::stored(text, images(row)?, cats))
}

pub(super) fn revised(row: &Item) -> Result<Revised, Error> {
    Ok(Revised {
        post: Post {
            id: PostId::parse(row.text("id")?).map_err(Error::broken)?,
            author: author(row)?,
            draft: draft(row)?,
            edited_at: row.maybe_number("edited_at")?.map(Timestamp::from_millis),
        },
        rev: rev(row)?,
    })
}

pub(super) fn is_deleted(row: &Item) -> bool {
    row.contains_key("deleted_at")
}

pub(super) fn draft_attributes(draft: &Draft) -> [(&'static str, AttributeValue); 3] {
    [
        ("text", s(draft.text().as_str())),
        ("images", images_value(draft.images())),
        ("cats", list(draft.cats())),
    ]
}
