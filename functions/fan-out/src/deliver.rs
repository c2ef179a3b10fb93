//! The delivery of a post to the feeds that show it.
//!
//! A post is pushed onto its author's own lists, and onto the feeds of the author's followers. If there are more
//! followers than one message serves, each shard of followers gets a message of its own. That message queues another
//! one for the rest of its shard, until no follower is left. So shards are served in parallel, and a crash repeats only
//! one message. The post's outbox mark is cleared when the last message is done.
//!
//! The posts of an author with too many followers are not pushed: readers merge them in. The store's module `recent`
//! explains how that begins and ends without a gap.

use std::time::Duration;

use purrline::cache::Push;
use purrline::domain::{Chunk, FanOutMessage, Followers, PostId, Timestamp, UserId};
use purrline::metrics;
use purrline::store::{Audience, Delivery, OutboxMark, RECENT};

use super::{Error, FanOut};

/// The number of followers that are read at a time.
const FOLLOWERS_PER_READ: i32 = 1000;
/// The maximum number of such reads per message.
const READS_PER_MESSAGE: usize = 10;
/// The percentage of the influencers' threshold below which an author's posts are pushed again. The gap keeps an author
/// near the threshold from switching with every follower gained or lost.
const RESUME_PUSH_PERCENT: u64 = 90;
/// The number of attempts to settle how an author's posts are delivered while other processes change it.
const ATTEMPTS: usize = 5;

impl FanOut {
    /// Adds a post to its author's recent posts, and returns how it is to be delivered.
    pub(super) async fn add_recent(
        &self,
        author: &UserId,
        post: PostId,
    ) -> Result<Delivery, Error> {
        let kept = RECENT.min(self.cache.feed_length());
        Ok(self.store.add_recent(author, post, kept).await?.delivery)
    }

    /// Brings a post to all feeds that are to show it, in the way that was decided when it was added to its author's
    /// recent posts.
    pub(super) async fn deliver(
        &self,
        mark: &OutboxMark,
        planned: Delivery,
        redelivered: bool,
    ) -> Result<(), Error> {
        let OutboxMark { post, author, .. } = mark;
        self.cache.push_own(*post, author).await?;
        let audience = self.store.audience(author).await?;
        let (announces, audience) = match self.delivery(mark, planned, audience).await? {
            Delivery::Merged => return Ok(self.store.clear(mark).await?),
            // Every user whose feed was rebuilt before the announcement began is in one of the present shards.
            Delivery::Announced(name) => (Some(name), self.store.audience(author).await?),
            Delivery::Pushed => (None, audience),
        };
        let first = Chunk {
            name: String::new(),
            followers: Followers {
                author: author.clone(),
                shard: 0,
                after: None,
            },
            announces,
        };
        if audience.shards > 1 {
            return self.split(mark, &first, audience.shards).await;
        }
        let (followers, next) = self
            .store
            .followers_in(&first.followers, FOLLOWERS_PER_READ)
            .await?;
        if next.is_some() {
            return self.split(mark, &first, 1).await;
        }
        self.cache
            .push(&first.push(*post, redelivered), &followers)
            .await?;
        metrics::fanned_out(followers.len(), lag(*post));
        self.finish(mark, first.announces.as_deref()).await
    }

    /// Decides how the post and its author's later posts are delivered. If the number of followers calls for another
    /// way, requests that way, and adds the post again to learn which way applies.
    async fn delivery(
        &self,
        mark: &OutboxMark,
        mut planned: Delivery,
        audience: Audience,
    ) -> Result<Delivery, Error> {
        let OutboxMark { post, author, .. } = mark;
        let most = self.influencer_followers;
        let few = audience.followers.saturating_mul(100) < most.saturating_mul(RESUME_PUSH_PERCENT);
        for _ in 0..ATTEMPTS {
            match planned {
                Delivery::Pushed if audience.followers > most => {
                    if let Some(name) = self.store.announce(author).await? {
                        return Ok(Delivery::Announced(name));
                    }
                }
                Delivery::Merged if few => {
                    self.store.resume_pushing(author).await?;
                }
                planned => return Ok(planned),
            }
            planned = self.add_recent(author, *post).await?;
        }
        Err(Error::Contended)
    }

    /// Completes the announcement, if the post carried one, and clears the mark, since every feed now has both.
    async fn finish(&self, mark: &OutboxMark, announced: Option<&str>) -> Result<(), Error> {
        if let Some(name) = announced {
            self.store.finish_announcement(&mark.author, name).await?;
        }
        Ok(self.store.clear(mark).await?)
    }

    /// Queues a message for each shard of followers.
    async fn split(&self, mark: &OutboxMark, first: &Chunk, shards: u16) -> Result<(), Error> {
        // Chunks of an earlier split are no longer waited for: their names differ.
        let split = format!("{}.{:016x}", mark.rev, rand::random::<u64>());
        let chunks = (0..shards).map(|shard| {
            let mut chunk = first.clone();
            chunk.name = format!("{split}.{shard}");
            chunk.followers.shard = shard;
            chunk
        });
        let chunks: Vec<Chunk> = chunks.collect();
        let names = chunks.iter().map(|chunk| chunk.name.clone()).collect();
        if !self.store.split_into(mark, names).await? {
            return Ok(());
        }
        let message = |chunk| FanOutMessage::chunk(mark.post, mark.rev, chunk);
        let messages: Vec<FanOutMessage> = chunks.into_iter().map(message).collect();
        match self.queue.send_batch(&messages).await.len() {
            0 => Ok(()),
            unsent => Err(Error::NotQueued(unsent)),
        }
    }

    /// Serves some followers of a shard and queues the rest. The chunk is done when none are left.
    pub(super) async fn serve_chunk(
        &self,
        post: PostId,
        rev: u32,
        chunk: &Chunk,
        redelivered: bool,
    ) -> Result<(), Error> {
        let push = chunk.push(post, redelivered);
        let (mut rest, mut served) = (chunk.clone(), 0);
        for _ in 0..READS_PER_MESSAGE {
            let (followers, next) = self
                .store
                .followers_in(&rest.followers, FOLLOWERS_PER_READ)
                .await?;
            self.cache.push(&push, &followers).await?;
            served += followers.len();
            rest.followers.after = next;
            if rest.followers.after.is_none() {
                metrics::fanned_out(served, lag(post));
                let last = self.store.chunk_done(post, rev, &chunk.name).await?;
                return match last {
                    Some(mark) => self.finish(&mark, chunk.announces.as_deref()).await,
                    None => Ok(()),
                };
            }
        }
        metrics::fanned_out(served, lag(post));
        let rest = FanOutMessage::chunk(post, rev, rest);
        Ok(self.queue.send(&rest).await?)
    }
}

/// Returns the time since a post was created.
fn lag(post: PostId) -> Duration {
    let millis = Timestamp::now()
        .millis()
        .saturating_sub(post.created_at().millis());
    Duration::from_millis(millis.max(0).unsigned_abs())
}

/// Makes the push of a chunk.
trait ChunkExt {
    fn push(&self, post: PostId, redelivered: bool) -> Push;
}

impl ChunkExt for Chunk {
    fn push(&self, post: PostId, redelivered: bool) -> Push {
        let author = &self.followers.author;
        Push {
            post,
            merging: self.announces.is_some().then(|| author.clone()),
            redelivered,
        }
    }
}
