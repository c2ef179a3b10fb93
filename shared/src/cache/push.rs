//! Pushing a post onto many lists.
//!
//! `RPUSHX` changes only lists that exist, and returns their new lengths.

use futures::{StreamExt, TryStreamExt};
use redis::{Cmd, cmd};

use super::keys::{feed_key, timeline_key};
use super::lists::{element, merged_mark};
use super::nodes::read;
use super::{Cache, Error, count_round_trip};
use crate::domain::{PostId, UserId};

/// The maximum number of lists that are trimmed at the same time.
const TRIMS_AT_ONCE: usize = 256;

/// A push of one post onto lists.
#[derive(Debug, Clone)]
pub struct Push {
    /// The post.
    pub post: PostId,
    /// The post's author, if their timeline is to be merged in from now on.
    pub merging: Option<UserId>,
    /// Whether the push is repeated, so that some lists may have the post already: then each list is checked first.
    pub redelivered: bool,
}

impl Push {
    /// Returns the first push of a post.
    pub const fn of(post: PostId) -> Self {
        Self {
            post,
            merging: None,
            redelivered: false,
        }
    }
}

impl Cache {
    /// Pushes a post onto the feeds of these users, as far as the feeds exist. A repeated push does not show the post
    /// twice.
    pub async fn push(&self, push: &Push, feeds: &[UserId]) -> Result<(), Error> {
        self.push_onto(push, feeds.iter().map(feed_key).collect())
            .await
    }

    /// Pushes a new post onto its author's own feed at once; fan-out pushes it again.
    pub async fn show_own(&self, post: PostId, author: &UserId) -> Result<(), Error> {
        self.push_onto(&Push::of(post), vec![feed_key(author)])
            .await
    }

    /// Pushes a post onto its author's own lists: the feed and the timeline.
    pub async fn push_own(&self, post: PostId, author: &UserId) -> Result<(), Error> {
        let lists = vec![feed_key(author), timeline_key(author)];
        self.push_onto(&Push::of(post), lists).await
    }

    async fn push_onto(&self, push: &Push, mut lists: Vec<String>) -> Result<(), Error> {
        // A list that has the post may still not know that the author is merged in.
        if push.redelivered && push.merging.is_none() {
            lists = self.without(push.post, lists).await?;
        }
        let mark = push.merging.as_ref().map(merged_mark);
        let elements: Vec<Vec<u8>> = mark.into_iter().chain([element(push.post)]).collect();
        let add = |list: &String| {
            // Allocated at once, since a fan-out spends most of its time here.
            let mut add = Cmd::with_capacity(2 + elements.len(), 128);
            add.arg("RPUSHX").arg(list).arg(&elements);
            add
        };
        count_round_trip();
        let lengths: Vec<usize> = read(self.send_each(|| lists.iter().map(add).collect()).await?)?;
        let mut lengths = lengths.into_iter();
        lists.retain(|_| {
            lengths
                .next()
                .is_some_and(|length| length >= self.trim_at())
        });
        futures::stream::iter(lists)
            .map(|list| async move { self.trim(&list).await })
            .buffer_unordered(TRIMS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Returns the lists that don't have the post.
    async fn without(&self, post: PostId, lists: Vec<String>) -> Result<Vec<String>, Error> {
        let post = element(post);
        let ask = |list: &String| {
            let mut ask = cmd("LPOS");
            // Search from the end, as the post was pushed recently.
            ask.arg(list).arg(&post).arg("RANK").arg(-1);
            ask
        };
        count_round_trip();
        let places: Vec<Option<usize>> =
            read(self.send_each(|| lists.iter().map(ask).collect()).await?)?;
        let without = lists.into_iter().zip(places);
        let without = without.filter(|(_, place)| place.is_none());
        Ok(without.map(|(list, _)| list).collect())
    }
}
