//! An author's recent posts, in one small item: so that a feed is rebuilt from a hundred authors with one read instead
//! of a hundred.
//!
//! The item holds the author's newest posts, about fifty, and its floor (see [`PostWindow`]). Fan-out adds each post to
//! the item before it pushes the post onto any feed, so a feed that is rebuilt from the item misses nothing: a post
//! that is not in the item yet is still to be pushed. An author who never posted has no such item.
//!
//! The item also says whether readers merge in the author's posts instead of having them pushed. Posts may stay
//! unpushed only if every existing feed knows that it must merge them. So the first post of an author who has too many
//! followers is pushed with an announcement, to every follower; once that is done, the author's posts are merged in. A
//! feed that is rebuilt merges them from the beginning of the announcement on. The write that adds a post to the item
//! also reads which way the post goes. So when an author's posts are pushed again, a feed that is rebuilt from then on
//! misses no unpushed post: each is in the item, or older than its posts. All other feeds still merge.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::conditional::condition_held;
use super::item::{Item, Read, item, s};
use super::{Error, Store};
use crate::domain::{PostId, PostWindow, UserId};

/// The number of posts to which the item is best trimmed: it has less than a kilobyte then, so that a read of a hundred
/// authors costs least, and has most of what a feed is rebuilt from.
pub const RECENT: usize = 50;

/// The value of `merging` once all feeds know; before that, it is the announcement's name.
const YES: &str = "yes";

/// The way in which an author's posts reach the feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The posts are pushed.
    Pushed,
    /// The posts are pushed, along with the announcement, of this name, that they are merged in from now on.
    Announced(String),
    /// Readers merge the posts in.
    Merged,
}

/// An author's recent posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// The newest posts.
    pub posts: PostWindow,
    /// The way in which they reach the feeds.
    pub delivery: Delivery,
}

fn partition(author: &UserId) -> String {
    format!("recent#{author}")
}

fn key(author: &UserId) -> Item {
    item([("list", s(partition(author))), ("post", s("#"))])
}

fn blob(post: PostId) -> Blob {
    Blob::new(post.0.to_bytes())
}

fn set(posts: &[PostId]) -> AttributeValue {
    AttributeValue::Bs(posts.iter().copied().map(blob).collect())
}

fn post(blob: &Blob) -> Result<PostId, Error> {
    PostId::at_position(blob.as_ref()).ok_or_else(|| Error::broken("no post's id"))
}

/// Returns all posts in the item, including those that are not above the floor.
fn ids(row: &Item) -> Result<Vec<PostId>, Error> {
    let ids = row.get("posts").and_then(|value| value.as_bs().ok());
    ids.into_iter().flatten().map(post).collect()
}

fn recent(row: &Item) -> Result<Recent, Error> {
    let floor = row.get("floor").and_then(|value| value.as_b().ok());
    Ok(Recent {
        posts: PostWindow::new(ids(row)?, floor.map(post).transpose()?),
        delivery: match row.maybe_text("merging") {
            None => Delivery::Pushed,
            Some(YES) => Delivery::Merged,
            Some(name) => Delivery::Announced(name.to_owned()),
        },
    })
}

impl Store {
    /// Returns the recent posts of these authors; those who never posted are absent.
    pub async fn recent_posts(&self, authors: &[UserId]) -> Result<HashMap<UserId, Recent>, Error> {
        let keys = authors.iter().map(key).collect();
        let rows = self.batch_get(&self.tables.post_lists, keys, None).await?;
        let of = |row: &Item| {
            let author = row.text("list")?.trim_start_matches("recent#");
            let author = UserId::parse(author).map_err(Error::broken)?;
            Ok((author, recent(row)?))
        };
        rows.iter().map(of).collect()
    }

    fn item_of(&self, author: &UserId) -> UpdateItemFluentBuilder {
        let update = self.client.update_item();
        update
            .table_name(&self.tables.post_lists)
            .set_key(Some(key(author)))
    }

    /// Adds a post to its author's recent posts, and returns these. This is idempotent. They are trimmed to `kept`
    /// posts when there are a quarter more.
    pub async fn add_recent(
        &self,
        author: &UserId,
        post: PostId,
        kept: usize,
    ) -> Result<Recent, Error> {
        let output = self
            .item_of(author)
            .update_expression("ADD posts :post")
            .expression_attribute_values(":post", set(&[post]))
            .return_values(ReturnValue::AllNew)
            .send()
            .await?;
        let row = output.attributes.unwrap_or_default();
        let mut all = ids(&row)?;
        if all.len() > kept.saturating_add(kept / 4) {
            all.sort_unstable_by(|a, b| b.cmp(a));
            self.trim_recent(author, &all, kept).await?;
        }
        recent(&row)
    }

    /// Drops all but the newest posts. A concurrent call drops others, or the same.
    async fn trim_recent(
        &self,
        author: &UserId,
        newest_first: &[PostId],
        kept: usize,
    ) -> Result<(), Error> {
        let (_, dropped) = newest_first.split_at_checked(kept).unwrap_or_default();
        let Some(floor) = dropped.first() else {
            return Ok(());
        };
        let update = self
            .item_of(author)
            .update_expression("SET floor = :floor DELETE posts :dropped")
            .condition_expression("attribute_not_exists(floor) OR floor < :floor")
            .expression_attribute_values(":floor", AttributeValue::B(blob(*floor)))
            .expression_attribute_values(":dropped", set(dropped));
        condition_held(update).await.map(drop)
    }

    /// Removes a deleted post from its author's recent posts.
    pub async fn remove_recent(&self, author: &UserId, post: PostId) -> Result<(), Error> {
        let update = self
            .item_of(author)
            .update_expression("DELETE posts :post")
            .condition_expression("attribute_exists(posts)")
            .expression_attribute_values(":post", set(&[post]));
        condition_held(update).await.map(drop)
    }

    /// Begins to announce that the author's posts are merged in. Returns the announcement's name; nothing if another
    /// call was faster.
    pub async fn announce(&self, author: &UserId) -> Result<Option<String>, Error> {
        let name = format!("{:016x}", rand::random::<u64>());
        let update = self
            .item_of(author)
            .update_expression("SET merging = :name")
            .condition_expression("attribute_not_exists(merging)")
            .expression_attribute_values(":name", s(&name));
        let begun = condition_held(update).await?;
        Ok(begun.then_some(name))
    }

    /// Notes that the announcement with this name has reached every feed: from now on the author's posts are not
    /// pushed. Does nothing if it is not the latest announcement.
    pub async fn finish_announcement(&self, author: &UserId, name: &str) -> Result<(), Error> {
        let update = self
            .item_of(author)
            .update_expression("SET merging = :yes")
            .condition_expression("merging = :name")
            .expression_attribute_values(":yes", s(YES))
            .expression_attribute_values(":name", s(name));
        condition_held(update).await.map(drop)
    }

    /// Has the author's posts pushed from now on. Feeds that merge them continue to do so.
    pub async fn resume_pushing(&self, author: &UserId) -> Result<(), Error> {
        let update = self
            .item_of(author)
            .update_expression("REMOVE merging")
            .condition_expression("attribute_exists(merging)");
        condition_held(update).await.map(drop)
    }

    /// Erases an author's recent posts.
    pub async fn erase_recent(&self, author: &UserId) -> Result<(), Error> {
        self.client
            .delete_item()
            .table_name(&self.tables.post_lists)
            .set_key(Some(key(author)))
            .send()
            .await?;
        Ok(())
    }
}
