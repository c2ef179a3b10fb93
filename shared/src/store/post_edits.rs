//! Edits of posts, by their authors and after a cat was deleted.
//!
//! A transaction may have 100 writes. An edit that changes all 30 tags, all 10 cats and all 10 images has 111, and is written
//! as two: first the images. Nothing else needs that many.

use std::ops::Range;

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};

use super::item::{n, s};
use super::outbox::shard;
use super::post_lists::partitions;
use super::post_row::{Revised, draft_attributes, is_deleted, revised};
use super::posts::{CONTENDED, PostError};
use super::retry::Retry;
use super::transactions::{Outcome, TRANSACTION};
use super::{Error, Store};
use crate::domain::{CatId, ImageKey, Post, PostEdit, PostId, Timestamp, UserId, dropped_uploads};

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

/// Returns the current time, or the time of the post's creation or last edit if that is later by another clock.
fn edited_now(stored: &Post) -> Timestamp {
    let before = stored.edited_at.unwrap_or_else(|| stored.id.created_at());
    Timestamp::now().max(before)
}

impl Store {
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
}
