//! Posts, and the lists they stand in.
//!
//! A post is written in one transaction with its place in its author's list, its author's count, its
//! outbox mark and the answer to its idempotency key: all of it or nothing. An edit or a deletion
//! sets the mark again, so that whatever must follow (cache, images, feeds) is done even if the
//! function dies right after.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};

use super::create::Created;
use super::edges::{Counter, Row, Tally, met_another_write};
use super::idempotency::{Answer, Once};
use super::item::{Item, Read, item, list, n, rows, s};
use super::outbox::shard;
use super::{CONFLICT_TRIES, Error, Store, back_off};
use crate::domain::{
    CatId, Draft, ImageKey, Invalid, Post, PostEdit, PostId, PostText, Timestamp, UserId,
};

/// How long the tombstone of a deleted post stays.
const TOMBSTONE_DAYS: i64 = 30;

/// Why a post was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// There is none with that id, or no longer.
    #[error("no such post")]
    NotFound,
    /// It is somebody else's.
    #[error("somebody else's post")]
    NotAuthor,
    /// The change would make it invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What a deletion found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// The revision to hand over.
    pub rev: u32,
    /// Whether it had been deleted before, by a request that could not finish what must follow.
    pub before: bool,
}

/// A post with the revision it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised {
    /// The post.
    pub post: Post,
    /// How often it was changed.
    pub rev: u32,
}

fn post_keys(ids: &[PostId]) -> Vec<Item> {
    ids.iter().map(|id| item([("id", s(id))])).collect()
}

fn author_list(author: &UserId) -> String {
    format!("author#{author}")
}

pub(super) fn rev(row: &Item) -> Result<u32, Error> {
    u32::try_from(row.number("rev")?).map_err(Error::broken)
}

pub(super) fn author(row: &Item) -> Result<UserId, Error> {
    UserId::parse(row.text("author")?).map_err(Error::broken)
}

pub(super) fn images(row: &Item) -> Result<Vec<ImageKey>, Error> {
    row.texts("images")?
        .into_iter()
        .map(|key| ImageKey::parse(key).map_err(Error::broken))
        .collect()
}

fn draft(row: &Item) -> Result<Draft, Error> {
    let text = PostText::parse(row.text("text")?).map_err(Error::broken)?;
    let cats = row
        .texts("cats")?
        .into_iter()
        .map(CatId::parse)
        .collect::<Result<_, _>>()
        .map_err(Error::broken)?;
    Draft::new(text, images(row)?, cats).map_err(Error::broken)
}

fn revised(row: &Item) -> Result<Revised, Error> {
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

fn draft_attributes(draft: &Draft) -> [(&'static str, AttributeValue); 3] {
    [
        ("text", s(draft.text().as_str())),
        ("images", list(draft.images())),
        ("cats", list(draft.cats().iter().map(CatId::as_str))),
    ]
}

impl Store {
    /// Stores a new post, and remembers what was answered to its idempotency key. `due` is when its
    /// fan-out counts as overdue.
    pub async fn create_post(
        &self,
        post: &Post,
        due: Timestamp,
        once: Option<(&Once, &Answer)>,
    ) -> Result<Created, Error> {
        let put = TransactWriteItem::builder().put(self.put_post(post, due)?);
        let listed = TransactWriteItem::builder().put(self.put_in_list(post)?);
        let counted = self.count_posts(&post.author, 1)?;
        let writes = [put.build(), listed.build()].into_iter().chain(counted);
        let is_ours = async { Ok(self.post(post.id).await?.as_ref() == Some(post)) };
        let created = self.create(writes.collect(), once, is_ours).await?;
        created.ok_or_else(|| Error::broken("a new post has no other conditions"))
    }

    fn put_post(&self, post: &Post, due: Timestamp) -> Result<Put, Error> {
        let mut row = item([
            ("id", s(post.id)),
            ("author", s(&post.author)),
            ("rev", n(0)),
            ("outbox", s(shard(post.id))),
            ("due_at", n(due.millis())),
        ]);
        row.extend(item(draft_attributes(&post.draft)));
        Put::builder()
            .table_name(&self.tables.posts)
            .set_item(Some(row))
            .condition_expression("attribute_not_exists(id)")
            .build()
            .map_err(Error::broken)
    }

    fn put_in_list(&self, post: &Post) -> Result<Put, Error> {
        Put::builder()
            .table_name(&self.tables.post_lists)
            .set_item(Some(item([
                ("list", s(author_list(&post.author))),
                ("post", s(post.id)),
            ])))
            .build()
            .map_err(Error::broken)
    }

    fn count_posts(&self, author: &UserId, sum: i64) -> Result<Option<TransactWriteItem>, Error> {
        let row = Row {
            table: &self.tables.users,
            key: item([("id", s(author))]),
        };
        let counter = Counter {
            id: author.to_string(),
            row,
            name: "posts",
            dated: true,
        };
        Tally::of(counter, sum, Timestamp::now()).write()
    }

    /// Those of these posts that exist. One that can't be understood is logged and left out, so that
    /// it doesn't take the others along.
    pub async fn posts(&self, ids: &[PostId]) -> Result<HashMap<PostId, Post>, Error> {
        let rows = self
            .batch_get(&self.tables.posts, post_keys(ids), None)
            .await?;
        let understood = |row: &Item| match revised(row) {
            Ok(found) => Some((found.post.id, found.post)),
            Err(error) => {
                tracing::error!(%error, id = row.maybe_text("id"), "a post is left out");
                None
            }
        };
        Ok(rows
            .iter()
            .filter(|row| !is_deleted(row))
            .filter_map(understood)
            .collect())
    }

    /// Which of these posts exist.
    pub async fn existing(&self, ids: &[PostId]) -> Result<HashSet<PostId>, Error> {
        let rows = self
            .batch_get(&self.tables.posts, post_keys(ids), Some("id, deleted_at"))
            .await?;
        let alive = rows.iter().filter(|row| !is_deleted(row));
        alive
            .map(|row| PostId::parse(row.text("id")?).map_err(Error::broken))
            .collect()
    }

    /// A post, if it exists.
    pub async fn post(&self, id: PostId) -> Result<Option<Post>, Error> {
        Ok(self.posts(&[id]).await?.remove(&id))
    }

    /// The ids of an author's posts, newest first: those older than a position, at most so many.
    pub async fn posts_by(
        &self,
        author: &UserId,
        before: Option<PostId>,
        most: usize,
    ) -> Result<Vec<PostId>, Error> {
        let bound = if before.is_some() {
            " AND post < :before"
        } else {
            ""
        };
        let mut query = self
            .client
            .query()
            .table_name(&self.tables.post_lists)
            .key_condition_expression(format!("#list = :list{bound}"))
            .expression_attribute_names("#list", "list")
            .expression_attribute_values(":list", s(author_list(author)))
            .scan_index_forward(false)
            .consistent_read(true);
        if let Some(before) = before {
            query = query.expression_attribute_values(":before", s(before));
        }
        let rows = rows(query, most).await?;
        let id = |row: &Item| PostId::parse(row.text("post")?).map_err(Error::broken);
        rows.iter().map(id).collect()
    }

    async fn post_row(&self, id: PostId) -> Result<Option<Item>, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&self.tables.posts)
            .key("id", s(id))
            .consistent_read(true)
            .send()
            .await?;
        Ok(output.item)
    }

    /// Edits the caller's post.
    pub async fn edit_post(
        &self,
        id: PostId,
        caller: &UserId,
        edit: &PostEdit,
        due: Timestamp,
    ) -> Result<Revised, PostError> {
        for tries in 0..CONFLICT_TRIES {
            let row = self
                .post_row(id)
                .await?
                .filter(|row| !is_deleted(row))
                .ok_or(PostError::NotFound)?;
            let Revised { mut post, rev } = revised(&row)?;
            if post.author != *caller {
                return Err(PostError::NotAuthor);
            }
            post.draft = edit.clone().apply(post.draft)?;
            let edited_at = Timestamp::now();
            let [text, images, cats] = draft_attributes(&post.draft).map(|(_, value)| value);
            let sent = self
                .client
                .update_item()
                .table_name(&self.tables.posts)
                .key("id", s(id))
                .update_expression(
                    "SET #text = :text, images = :images, cats = :cats, edited_at = :now, rev = :next, \
                     #outbox = :shard, due_at = :due",
                )
                .condition_expression("rev = :rev AND attribute_not_exists(deleted_at)")
                .expression_attribute_names("#text", "text")
                .expression_attribute_names("#outbox", "outbox")
                .expression_attribute_values(":text", text)
                .expression_attribute_values(":images", images)
                .expression_attribute_values(":cats", cats)
                .expression_attribute_values(":now", n(edited_at.millis()))
                .expression_attribute_values(":rev", n(rev))
                .expression_attribute_values(":next", n(rev.saturating_add(1)))
                .expression_attribute_values(":shard", s(shard(id)))
                .expression_attribute_values(":due", n(due.millis()))
                .send()
                .await;
            match sent {
                Ok(_) => {
                    post.edited_at = Some(edited_at);
                    return Ok(Revised {
                        post,
                        rev: rev.saturating_add(1),
                    });
                }
                Err(error) => match error.as_service_error() {
                    Some(
                        UpdateItemError::ConditionalCheckFailedException(_)
                        | UpdateItemError::TransactionConflictException(_),
                    ) => back_off(tries).await,
                    _ => return Err(Error::from(error).into()),
                },
            }
        }
        Err(Error::Unavailable("others kept changing the same post".to_owned()).into())
    }

    /// Deletes the caller's post. One that was deleted before is not found, unless what must follow
    /// is not done yet.
    pub async fn delete_post(
        &self,
        id: PostId,
        caller: &UserId,
        due: Timestamp,
    ) -> Result<Removed, PostError> {
        for tries in 0..CONFLICT_TRIES {
            let row = self.post_row(id).await?.ok_or(PostError::NotFound)?;
            let rev = rev(&row)?;
            if is_deleted(&row) {
                let unfinished = row.contains_key("outbox") && author(&row)? == *caller;
                return if unfinished {
                    Ok(Removed { rev, before: true })
                } else {
                    Err(PostError::NotFound)
                };
            }
            if author(&row)? != *caller {
                return Err(PostError::NotAuthor);
            }
            let writes = self.deletion(id, caller, rev, due)?;
            match self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes))
                .send()
                .await
            {
                Ok(_) => {
                    return Ok(Removed {
                        rev: rev.saturating_add(1),
                        before: false,
                    });
                }
                Err(error) if met_another_write(&error) => back_off(tries).await,
                Err(error) => return Err(Error::from(error).into()),
            }
        }
        Err(Error::Unavailable("others kept changing the same post".to_owned()).into())
    }

    fn deletion(
        &self,
        id: PostId,
        by: &UserId,
        rev: u32,
        due: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let now = Timestamp::now();
        let bury = Update::builder()
            .table_name(&self.tables.posts)
            .key("id", s(id))
            .update_expression(
                "SET deleted_at = :now, expires_at = :expires, rev = :next, #outbox = :shard, due_at = :due \
                 REMOVE #text, images, cats, edited_at",
            )
            .condition_expression("rev = :rev AND attribute_not_exists(deleted_at)")
            .expression_attribute_names("#text", "text")
            .expression_attribute_names("#outbox", "outbox")
            .expression_attribute_values(":now", n(now.millis()))
            .expression_attribute_values(":expires", n(now.plus_seconds(TOMBSTONE_DAYS * 24 * 60 * 60).seconds()))
            .expression_attribute_values(":rev", n(rev))
            .expression_attribute_values(":next", n(rev.saturating_add(1)))
            .expression_attribute_values(":shard", s(shard(id)))
            .expression_attribute_values(":due", n(due.millis()))
            .build()
            .map_err(Error::broken)?;
        let unlist = Delete::builder()
            .table_name(&self.tables.post_lists)
            .set_key(Some(item([("list", s(author_list(by))), ("post", s(id))])))
            .build()
            .map_err(Error::broken)?;
        let bury = TransactWriteItem::builder().update(bury).build();
        let unlist = TransactWriteItem::builder().delete(unlist).build();
        Ok([bury, unlist]
            .into_iter()
            .chain(self.count_posts(by, -1)?)
            .collect())
    }
}
