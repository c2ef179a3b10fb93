//! Posts, and the lists that hold them.
//!
//! A post is written in one transaction with its places in its lists, its author's count, its outbox mark and the
//! answer to its idempotency key: all of it or nothing, and only if the cats that it shows are its author's. An edit
//! changes only the lists that differ. An edit or a deletion sets the mark again, so that the work that must follow
//! (cache, images, feeds) is done even if the function dies right after.
//!
//! A transaction may have 100 writes. An edit that changes all 30 tags, all 10 cats and all 10 images has 111, and is written
//! as two: first the images. Nothing else needs that many.

use std::collections::HashMap;
use std::ops::Range;
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
use super::transactions::{Outcome, TRANSACTION};
use super::{Error, Readable, Store};
use crate::domain::{
    CatId, ImageKey, Invalid, Post, PostEdit, PostId, Timestamp, UserId, dropped_uploads,
};

/// The lifetime of the tombstone of a deleted post.
const TOMBSTONE_DAYS: i64 = 30;
/// The reason for giving up a change of a post.
const CONTENDED: &str = "others kept changing the same post";

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

/// The outcome of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The post as it is now.
    pub post: Post,
    /// The revision to hand over; `None` if the edit changed nothing.
    pub rev: Option<u32>,
    /// The images that the post no longer shows.
    pub dropped: Vec<ImageKey>,
}

/// A change of a post, to be written.
struct Revision {
    writes: Vec<TransactWriteItem>,
    /// The places of the writes on condition that a cat is the author's.
    cats: Range<usize>,
    /// The places of the writes on condition that a picture is there.
    pictures: Range<usize>,
}

pub(super) fn post_keys(ids: &[PostId]) -> Vec<Item> {
    ids.iter().map(|id| item([("id", s(id))])).collect()
}

/// Returns the current time, or the time of the post's creation or last edit if that is later by another clock.
fn edited_now(stored: &Post) -> Timestamp {
    let before = stored.edited_at.unwrap_or_else(|| stored.id.created_at());
    Timestamp::now().max(before)
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

    /// Edits the caller's post. An edit that changes nothing writes nothing.
    pub async fn edit_post(
        &self,
        id: PostId,
        caller: &UserId,
        edit: &PostEdit,
        due: Timestamp,
    ) -> Result<Edited, PostError> {
        let edited = |stored: &Post| {
            if stored.author != *caller {
                return Err(PostError::NotAuthor);
            }
            let draft = edit.clone().apply(stored.draft.clone())?;
            if draft == stored.draft {
                return Ok(None);
            }
            Ok(Some(Post {
                draft,
                edited_at: Some(edited_now(stored)),
                ..stored.clone()
            }))
        };
        self.revise_post(id, edited, due).await
    }

    /// Removes a deleted cat from a post, which does not count as an edit by the author.
    pub async fn drop_cat(
        &self,
        id: PostId,
        cat: CatId,
        due: Timestamp,
    ) -> Result<Edited, PostError> {
        let without = |stored: &Post| {
            Ok(Some(Post {
                draft: stored.draft.clone().without(cat),
                ..stored.clone()
            }))
        };
        self.revise_post(id, without, due).await
    }

    /// Replaces a post by the one that `change` returns, if any.
    async fn revise_post(
        &self,
        id: PostId,
        change: impl Fn(&Post) -> Result<Option<Post>, PostError>,
        due: Timestamp,
    ) -> Result<Edited, PostError> {
        let mut retry = Retry::new(CONTENDED);
        let mut dropped = Vec::new();
        loop {
            let row = self
                .post_row(id)
                .await?
                .filter(|row| !is_deleted(row))
                .ok_or(PostError::NotFound)?;
            let Revised { post: stored, rev } = revised(&row)?;
            let Some(whole) = change(&stored)? else {
                return Ok(Edited {
                    post: stored,
                    rev: None,
                    dropped,
                });
            };
            let mut revision = self.revision(&stored, &whole, rev, due)?;
            let is_part = revision.writes.len() > TRANSACTION;
            if is_part {
                let images = whole.draft.images().to_vec();
                let images_first = Post {
                    draft: stored.draft.clone().with_images(images),
                    ..stored.clone()
                };
                revision = self.revision(&stored, &images_first, rev, due)?;
                // A cat that is gone must not make the second part fail alone.
                revision.cats = self.check_new_cats(&stored, &whole, &mut revision.writes)?;
            }
            let watched = [revision.cats, revision.pictures];
            match self.write_all_or_none(revision.writes, watched).await? {
                Outcome::Written => {
                    let (before, after) = (stored.draft.pictures(), whole.draft.pictures());
                    dropped.extend(dropped_uploads(&before, &after));
                    if !is_part {
                        return Ok(Edited {
                            post: whole,
                            rev: Some(rev.saturating_add(1)),
                            dropped,
                        });
                    }
                }
                Outcome::Unmet(0) => return Err(PostError::CatGone),
                Outcome::Unmet(_) => return Err(PostError::PictureGone),
                Outcome::Conflict => retry.back_off().await?,
            }
        }
    }

    /// Adds the checks that a post's new cats are its author's. Returns their places.
    fn check_new_cats(
        &self,
        stored: &Post,
        post: &Post,
        writes: &mut Vec<TransactWriteItem>,
    ) -> Result<Range<usize>, Error> {
        let start = writes.len();
        let known = stored.draft.cats();
        for &cat in post.draft.cats().iter().filter(|cat| !known.contains(cat)) {
            writes.push(self.check_cat(cat, &post.author)?);
        }
        Ok(start..writes.len())
    }

    /// Builds the writes that replace revision `rev` of a post.
    fn revision(
        &self,
        stored: &Post,
        post: &Post,
        rev: u32,
        due: Timestamp,
    ) -> Result<Revision, Error> {
        let id = post.id;
        let mut writes = vec![self.edition(post, rev, due)?];
        let (before, after) = (partitions(stored), partitions(post));
        for partition in before.difference(&after) {
            writes.push(self.unlist_post(partition, id)?);
        }
        for partition in after.difference(&before) {
            writes.push(self.list_post(partition, id)?);
        }
        let cats = self.check_new_cats(stored, post, &mut writes)?;
        let (shown, edited) = (stored.draft.pictures(), post.draft.pictures());
        let pictures = self.count_uses(&shown, &edited, &mut writes)?;
        Ok(Revision {
            writes,
            cats,
            pictures,
        })
    }

    /// Builds the write that replaces revision `rev` of a post.
    fn edition(&self, post: &Post, rev: u32, due: Timestamp) -> Result<TransactWriteItem, Error> {
        let [text, images, cats] = draft_attributes(&post.draft).map(|(_, value)| value);
        let edited_at = post.edited_at.map(|at| n(at.millis()));
        let edited = if edited_at.is_some() {
            ", edited_at = :edited"
        } else {
            ""
        };
        let update = Update::builder()
            .table_name(&self.tables.posts)
            .key("id", s(post.id))
            .update_expression(format!(
                "SET #text = :text, images = :images, cats = :cats, rev = :next, #outbox = :shard, \
                 due_at = :due{edited}"
            ))
            .condition_expression("rev = :rev AND attribute_not_exists(deleted_at)")
            .expression_attribute_names("#text", "text")
            .expression_attribute_names("#outbox", "outbox")
            .expression_attribute_values(":text", text)
            .expression_attribute_values(":images", images)
            .expression_attribute_values(":cats", cats)
            .expression_attribute_values(":rev", n(rev))
            .expression_attribute_values(":next", n(rev.saturating_add(1)))
            .expression_attribute_values(":shard", s(shard(post.id)))
            .expression_attribute_values(":due", n(due.millis()));
        let update = match edited_at {
            Some(at) => update.expression_attribute_values(":edited", at),
            None => update,
        };
        let update = update.build().map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
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
