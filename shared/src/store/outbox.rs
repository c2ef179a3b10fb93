//! The outbox: marks on posts whose fan-out is not done.
//!
//! Storing a post and queueing its fan-out are two writes, and the function may die between them. So a post is stored
//! with a mark, which is cleared only when every follower's feed has the post; `sweep` sends overdue fan-outs again.
//! The marks are in a sparse index, spread over a few shards.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::conditional::condition_held;
use super::due_index::{DueIndex, SHARDS};
use super::item::{self, Item, Read, n, s};
use super::post_row::{author, is_deleted, rev};
use super::{Error, Store};
use crate::domain::{PostId, Tag, Timestamp, UserId, tags_of};

pub(super) fn shard(post: PostId) -> u8 {
    item::shard(post, SHARDS)
}

/// A post whose fan-out is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMark {
    /// The post.
    pub post: PostId,
    /// The author of the post.
    pub author: UserId,
    /// The revision the mark is for: a later one has a mark of its own.
    pub rev: u32,
    /// Whether the post was deleted.
    pub deleted: bool,
    /// Whether every feed had the post already when the mark was set again.
    pub fanned_out: bool,
    /// The post's tags; none if the post was deleted.
    pub tags: Vec<Tag>,
    /// The tags that the post is counted for: see [`Store::count_trends`].
    pub trended: Vec<Tag>,
    /// The time from which the fan-out counts as overdue.
    pub due: Timestamp,
    /// The number of times that the fan-out was sent again.
    pub sent_again: u32,
}

fn trended(row: &Item) -> Result<Vec<Tag>, Error> {
    Ok(row.texts("trended")?.into_iter().map(Tag::stored).collect())
}

fn mark(row: &Item) -> Result<Option<OutboxMark>, Error> {
    if !row.contains_key("outbox") {
        return Ok(None);
    }
    Ok(Some(OutboxMark {
        post: PostId::parse(row.text("id")?).map_err(Error::broken)?,
        author: author(row)?,
        rev: rev(row)?,
        deleted: is_deleted(row),
        fanned_out: row.flag("fanned_out"),
        tags: tags_of(row.maybe_text("text").unwrap_or_default()),
        trended: trended(row)?,
        due: Timestamp::from_millis(row.number("due_at")?),
        sent_again: u32::try_from(row.count("sent_again")?).map_err(Error::broken)?,
    }))
}

impl Store {
    /// Returns the mark of a post, unless its fan-out is done.
    pub async fn outbox_mark(&self, post: PostId) -> Result<Option<OutboxMark>, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&self.tables.posts)
            .key("id", s(post))
            .consistent_read(true)
            .send()
            .await?;
        output.item.as_ref().map_or(Ok(None), mark)
    }

    /// Notes that the fan-out was split into chunks with these names, replacing any earlier split. Returns whether the
    /// mark is still for that revision.
    pub async fn split_into(&self, mark: &OutboxMark, chunks: Vec<String>) -> Result<bool, Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.posts)
            .key("id", s(mark.post))
            .update_expression("SET chunks = :chunks")
            .condition_expression("rev = :rev AND attribute_exists(#outbox)")
            .expression_attribute_names("#outbox", "outbox")
            .expression_attribute_values(":chunks", AttributeValue::Ss(chunks))
            .expression_attribute_values(":rev", n(mark.rev));
        condition_held(update).await
    }

    /// Notes that a chunk is done. Returns the mark, to be cleared, if the chunk was the last one.
    pub async fn chunk_done(
        &self,
        post: PostId,
        of_rev: u32,
        chunk: &str,
    ) -> Result<Option<OutboxMark>, Error> {
        let output = self
            .client
            .update_item()
            .table_name(&self.tables.posts)
            .key("id", s(post))
            .update_expression("DELETE chunks :chunk")
            .condition_expression("attribute_exists(id)")
            .expression_attribute_values(":chunk", AttributeValue::Ss(vec![chunk.to_owned()]))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        let row = match output {
            Ok(output) => output.attributes.unwrap_or_default(),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => return Ok(None),
                _ => return Err(error.into()),
            },
        };
        let left = row.contains_key("chunks");
        Ok(mark(&row)?.filter(|mark| !left && mark.rev == of_rev))
    }

    /// Clears the mark, unless a later revision has set it again.
    pub async fn clear(&self, mark: &OutboxMark) -> Result<(), Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.posts)
            .key("id", s(mark.post))
            .update_expression(format!(
                "SET fanned_out = :yes REMOVE #outbox, due_at, chunks, sent_again{}",
                // A deleted post's tombstone names no author.
                if mark.deleted { ", author" } else { "" }
            ))
            .condition_expression("rev = :rev")
            .expression_attribute_names("#outbox", "outbox")
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":rev", n(mark.rev));
        condition_held(update).await.map(drop)
    }

    /// Gives a fan-out more time after it was sent again; does nothing if another run did so meanwhile.
    pub async fn postpone(&self, mark: &OutboxMark, due: Timestamp) -> Result<(), Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.posts)
            .key("id", s(mark.post))
            .update_expression("SET due_at = :due ADD sent_again :one")
            .condition_expression("due_at = :known")
            .expression_attribute_values(":due", n(due.millis()))
            .expression_attribute_values(":known", n(mark.due.millis()))
            .expression_attribute_values(":one", n(1));
        condition_held(update).await.map(drop)
    }

    /// Makes a fan-out that can't be done now overdue at once, unless it is done, or is another revision's.
    pub async fn make_overdue(&self, post: PostId, of_rev: u32) -> Result<(), Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.posts)
            .key("id", s(post))
            .update_expression("SET due_at = :now")
            .condition_expression("rev = :rev AND attribute_exists(#outbox)")
            .expression_attribute_names("#outbox", "outbox")
            .expression_attribute_values(":rev", n(of_rev))
            .expression_attribute_values(":now", n(Timestamp::now().millis()));
        condition_held(update).await.map(drop)
    }

    /// Returns posts whose fan-out was due at the time `by`, the longest overdue first, at most `most` of each shard.
    pub async fn overdue(&self, by: Timestamp, most: i32) -> Result<Vec<PostId>, Error> {
        let index = DueIndex {
            table: &self.tables.posts,
            name: "outbox",
            shard: "outbox",
        };
        let rows = self.due_rows(index, by, most).await?;
        let rows = rows.iter();
        rows.map(|row| PostId::parse(row.text("id")?).map_err(Error::broken))
            .collect()
    }
}
