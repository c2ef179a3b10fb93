//! Pending invalidations: those that could not be carried out because the cache was out of reach.
//!
//! A consumer that applies a queued change invalidates the cache afterwards. If that failed and the message came again,
//! it would end in the dead-letter queue after a few attempts, and the cache would show stale values for a day. So the
//! consumer stores the invalidation here, and the message is done; `sweep` carries the invalidation out as soon as the
//! cache answers.
//!
//! A row is for a whole batch, and never changes: an hour has as many rows as failed batches. A row expires once
//! nothing that the cache had before can still be there.

use super::item::{Item, Read, item, list, n, rows, s};
use super::{Error, Store};
use crate::domain::{Invalidation, Like, PostId, Timestamp, UserId};

/// The lifetime of a row: longer than anything stays in the cache, which is a day.
const KEPT_SECONDS: i64 = 2 * 24 * 60 * 60;
/// The maximum number of entries in one row, which has at most 400 KB.
const ENTRIES: usize = 1000;
/// The number of rows of each kind that are read at a time.
const ROWS: usize = 50;

const FEEDS: &str = "invalidations#feeds";
const LIKES: &str = "invalidations#likes";
/// The prefix of both lists, which are not lists of posts.
#[cfg(feature = "audit")]
pub(super) const PREFIX: &str = "invalidations#";

/// An invalidation that waits for the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingInvalidation {
    id: String,
    /// The part of the cache to forget.
    pub invalidation: Invalidation,
}

fn pending(row: &Item) -> Result<PendingInvalidation, Error> {
    let users = row.texts("users")?.into_iter();
    let users = users.map(|user| UserId::parse(user).map_err(Error::broken));
    let invalidation = if row.text("list")? == FEEDS {
        Invalidation::Feeds(users.collect::<Result<_, _>>()?)
    } else {
        let posts = row.texts("posts")?.into_iter();
        let posts = posts.map(|post| PostId::parse(post).map_err(Error::broken));
        let like = |(user, post): (Result<_, Error>, Result<_, Error>)| {
            Ok::<_, Error>(Like {
                user: user?,
                post: post?,
            })
        };
        Invalidation::Likes(users.zip(posts).map(like).collect::<Result<_, _>>()?)
    };
    Ok(PendingInvalidation {
        id: row.text("post")?.to_owned(),
        invalidation,
    })
}

impl Store {
    /// Stores an invalidation until the cache can be reached.
    pub async fn defer_invalidation(&self, invalidation: &Invalidation) -> Result<(), Error> {
        let (kind, rows): (_, Vec<Item>) = match invalidation {
            Invalidation::Feeds(of) => {
                let users: Vec<&UserId> = of.iter().collect();
                let rows = users.chunks(ENTRIES);
                let rows = rows.map(|users| item([("users", list(users))]));
                (FEEDS, rows.collect())
            }
            Invalidation::Likes(likes) => {
                let likes: Vec<&Like> = likes.iter().collect();
                let row = |likes: &[&Like]| {
                    let users = list(likes.iter().map(|like| &like.user));
                    let posts = list(likes.iter().map(|like| like.post));
                    item([("users", users), ("posts", posts)])
                };
                (LIKES, likes.chunks(ENTRIES).map(row).collect())
            }
        };
        for mut row in rows {
            let now = Timestamp::now();
            let id = format!("{:013}#{:016x}", now.millis(), rand::random::<u64>());
            row.extend(item([
                ("list", s(kind)),
                ("post", s(id)),
                ("expires_at", n(now.plus_seconds(KEPT_SECONDS).seconds())),
            ]));
            let put = self.client.put_item().table_name(&self.tables.post_lists);
            put.set_item(Some(row)).send().await?;
        }
        Ok(())
    }

    /// Returns the oldest pending invalidations of each kind, up to a limit.
    pub async fn pending_invalidations(&self) -> Result<Vec<PendingInvalidation>, Error> {
        let of = |list| {
            let query = self
                .client
                .query()
                .table_name(&self.tables.post_lists)
                .key_condition_expression("#list = :list")
                .expression_attribute_names("#list", "list")
                .expression_attribute_values(":list", s(list))
                .consistent_read(true);
            rows(query, ROWS)
        };
        let (feeds, likes) = futures::try_join!(of(FEEDS), of(LIKES))?;
        feeds.iter().chain(&likes).map(pending).collect()
    }

    /// Deletes a pending invalidation, once it was carried out.
    pub async fn delete_invalidation(&self, pending: &PendingInvalidation) -> Result<(), Error> {
        let list = match pending.invalidation {
            Invalidation::Feeds(_) => FEEDS,
            Invalidation::Likes(_) => LIKES,
        };
        let delete = self.client.delete_item();
        delete
            .table_name(&self.tables.post_lists)
            .key("list", s(list))
            .key("post", s(&pending.id))
            .send()
            .await?;
        Ok(())
    }
}
