//! Posts, and the lists that hold them.
//!
//! A post is written in one transaction with its places in its lists, its author's count, its outbox mark and the
//! answer to its idempotency key: all of it or nothing, and only if the cats that it shows are its author's. An edit
//! changes only the lists that differ. An edit or a deletion sets the mark again, so that the work that must follow
//! (cache, images, feeds) is done even if the function dies right after.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};

use super::counters::{Counter, GrowthCondition, Row, Tally};
use super::create::Created;
use super::idempotency::{Answer, IdempotentRequest};
use super::item::{Item, Read, item, n, s};
use super::outbox::shard;
use super::post_lists::{PostList, partitions};
use super::post_row::{Revised, author, draft_attributes, is_deleted, rev, revised};
use super::retry::Retry;
use super::{Error, Readable, Store};
use crate::domain::{ImageKey, Invalid, Post, PostId, Timestamp, UserId, dropped_uploads};

/// The lifetime of the tombstone of a deleted post.
const TOMBSTONE_DAYS: i64 = 30;
/// The reason for giving up a change of a post.
pub(super) const CONTENDED: &str = "others kept changing the same post";

/// The reason why a post was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// There is no post with that id, or no longer.
    #[error("no such post")]
    NotFound,
    /// The post is another user's.
    #[error("somebody else's post")]
    NotAuthor,
    /// A cat that the post is to show is no longer its author's.
    #[error("a cat is no longer the author's")]
    CatGone,
    /// A picture that the post is to show was removed meanwhile.
    #[error("a picture was removed")]
    PictureGone,
    /// The change would make the post invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The outcome of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The revision to hand over.
    pub rev: u32,
    /// Whether the post had been deleted before, by a request that did not finish the work that must follow.
    pub before: bool,
    /// The images that the post showed.
    pub dropped: Vec<ImageKey>,
}

pub(super) fn post_keys(ids: &[PostId]) -> Vec<Item> {
    ids.iter().map(|id| item([("id", s(id))])).collect()
}

impl Store {
    /// Stores a new post, and remembers the answer to its idempotency key. The fan-out counts as overdue from `due` on.
    pub async fn create_post(
        &self,
        post: &Post,
        due: Timestamp,
        request: Option<(&IdempotentRequest, &Answer)>,
    ) -> Result<Created, Error> {
        let put = self.put_post(post, due)?;
        let mut writes = vec![TransactWriteItem::builder().put(put).build()];
        for partition in partitions(post) {
            writes.push(self.list_post(&partition, post.id)?);
        }
        writes.extend(self.count_posts(&post.author, 1)?);
        for &cat in post.draft.cats() {
            writes.push(self.check_cat(cat, &post.author)?);
        }
        let images = self.count_uses(&[], &post.draft.pictures(), &mut writes)?;
        self.create(writes, images, request, self.is_stored(post))
            .await
    }

    async fn is_stored(&self, post: &Post) -> Result<bool, Error> {
        Ok(self
            .post(post.id)
            .await?
            .is_some_and(|stored| stored == *post))
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

    pub(super) fn count_posts(
        &self,
        author: &UserId,
        sum: i64,
    ) -> Result<Option<TransactWriteItem>, Error> {
        let row = Row {
            table: &self.tables.users,
            key: item([("id", s(author))]),
            attributes: Item::new(),
        };
        let counter = Counter {
            id: author.to_string(),
            row,
            name: "posts",
            dated: true,
            grows: GrowthCondition::Always,
        };
        Tally::of(counter, sum, Timestamp::now()).write()
    }

    /// Returns those of these posts that exist. A post that can't be understood is logged and left out, so that it
    /// doesn't make the others fail.
    pub async fn posts(&self, ids: &[PostId]) -> Result<HashMap<PostId, Arc<Post>>, Error> {
        let rows = self
            .batch_get(&self.tables.posts, post_keys(ids), None)
            .await?;
        Ok(Self::parse_posts(&rows))
    }

    /// Returns those of these posts that exist, and the ids of those that can't be read.
    pub async fn readable_posts(
        &self,
        ids: &[PostId],
    ) -> Result<Readable<HashMap<PostId, Arc<Post>>, PostId>, Error> {
        let batch = self
            .batch_get_readable(&self.tables.posts, post_keys(ids))
            .await?;
        let unread = batch.unread.iter();
        let unread = unread.map(|key| PostId::parse(key.text("id")?).map_err(Error::broken));
        Ok(Readable {
            found: Self::parse_posts(&batch.items),
            unread: unread.collect::<Result<_, _>>()?,
        })
    }

    fn parse_posts(rows: &[Item]) -> HashMap<PostId, Arc<Post>> {
        let understood = |row: &Item| match revised(row) {
            Ok(found) => Some((found.post.id, Arc::new(found.post))),
            Err(error) => {
                tracing::error!(%error, id = row.maybe_text("id"), "a post is left out");
                None
            }
        };
        rows.iter()
            .filter(|row| !is_deleted(row))
            .filter_map(understood)
            .collect()
    }

    /// Returns the authors of these posts; posts that don't exist, or no longer, are absent.
    pub(super) async fn authors_of(
        &self,
        ids: &[PostId],
    ) -> Result<HashMap<PostId, UserId>, Error> {
        let fields = Some("id, author, deleted_at");
        let rows = self
            .batch_get(&self.tables.posts, post_keys(ids), fields)
            .await?;
        let alive = rows.iter().filter(|row| !is_deleted(row));
        alive
            .map(|row| {
                let id = PostId::parse(row.text("id")?).map_err(Error::broken)?;
                Ok((id, author(row)?))
            })
            .collect()
    }

    /// Returns a post, if it exists.
    pub async fn post(&self, id: PostId) -> Result<Option<Post>, Error> {
        let post = self.posts(&[id]).await?.remove(&id);
        Ok(post.map(Arc::unwrap_or_clone))
    }

    /// Returns the ids of an author's posts that are older than a position, newest first, at most `most`.
    pub async fn posts_by(
        &self,
        author: &UserId,
        before: Option<PostId>,
        most: usize,
    ) -> Result<Vec<PostId>, Error> {
        let list = PostList::By(author.clone());
        self.newest_posts(&list, before, most).await
    }

    pub(super) async fn post_row(&self, id: PostId) -> Result<Option<Item>, Error> {
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

    /// Deletes the caller's post. A post that was deleted before is not found, unless the work that must follow is not
    /// done yet.
    pub async fn delete_post(
        &self,
        id: PostId,
        caller: &UserId,
        due: Timestamp,
    ) -> Result<Removed, PostError> {
        let mut retry = Retry::new(CONTENDED);
        loop {
            let row = self.post_row(id).await?.ok_or(PostError::NotFound)?;
            let rev = rev(&row)?;
            if is_deleted(&row) {
                let unfinished = row.contains_key("outbox") && author(&row)? == *caller;
                return if unfinished {
                    let dropped = Vec::new();
                    Ok(Removed {
                        rev,
                        before: true,
                        dropped,
                    })
                } else {
                    Err(PostError::NotFound)
                };
            }
            let Revised { post, rev } = revised(&row)?;
            if post.author != *caller {
                return Err(PostError::NotAuthor);
            }
            let mut writes = self.deletion(&post, rev, due)?;
            writes.extend(self.count_posts(caller, -1)?);
            let pictures = post.draft.pictures();
            self.count_uses(&pictures, &[], &mut writes)?;
            if self.write_transaction(writes).await? {
                return Ok(Removed {
                    rev: rev.saturating_add(1),
                    before: false,
                    dropped: dropped_uploads(&pictures, &[]),
                });
            }
            retry.back_off().await?;
        }
    }

    /// Builds the writes that delete a post and its places in its lists.
    pub(super) fn deletion(
        &self,
        post: &Post,
        rev: u32,
        due: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let id = post.id;
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
        let mut writes = vec![TransactWriteItem::builder().update(bury).build()];
        for partition in partitions(post) {
            writes.push(self.unlist_post(&partition, id)?);
        }
        Ok(writes)
    }
}
