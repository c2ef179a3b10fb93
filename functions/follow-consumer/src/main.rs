//! The follows queue's consumer: applies follows, keeps counts exact.
//!
//! A follower's cached feed is forgotten, and rebuilt from the store when its owner returns: with the
//! earlier posts of who is followed now, without those of who is not. Forgetting commutes, so two
//! consumers at work on one follower's words can't leave a feed that matches neither.

use std::collections::HashSet;

use purrline::cache::Cache;
use purrline::consumer::{self, Consumer, Failed, Received};
use purrline::domain::{FollowMessage, UserId};
use purrline::planted::planted;
use purrline::store::{self, Applied, Store};
use purrline::{aws, log, metrics};

struct Follows {
    store: Store,
    cache: Cache,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::init();
    let store = Store::from_env(&aws::config().await)?;
    consumer::run(Follows {
        store,
        cache: Cache::from_env()?,
    })
    .await
}

impl Follows {
    /// Has the cache forget the feeds of these users, or notes them for when it can be told. Answers whether it was
    /// told.
    async fn tell(&self, followers: &HashSet<UserId>) -> Result<bool, store::Error> {
        let Err(error) = self.cache.forget_feeds(followers).await else {
            return Ok(true);
        };
        let error = purrline::log::chain(&error);
        let feeds = followers.len();
        tracing::warn!(error, feeds, "the cache is told of follows later");
        self.store.note_feeds(followers).await?;
        Ok(false)
    }

    /// Lets the endpoint know who follows as many as anybody may. What the cache doesn't learn makes no follow wrong:
    /// it has no effect then.
    async fn note_full(&self, batch: &[Received<FollowMessage>], full: &HashSet<UserId>) {
        let unfollows = batch.iter().filter(|received| !received.message.follow);
        let room: HashSet<&UserId> = unfollows
            .map(|received| &received.message.follower)
            .filter(|follower| !full.contains(*follower))
            .collect();
        if let Err(error) = self.cache.note_follows_most(full, room).await {
            tracing::warn!(%error, "the cache learns later who follows as many as they may");
        }
    }
}

impl Consumer for Follows {
    type Message = FollowMessage;
    const TOGETHER: usize = usize::MAX;

    async fn handle(&self, batch: Vec<Received<FollowMessage>>) -> Vec<Failed> {
        // The endpoint refuses to follow oneself: such a message is somebody's mistake.
        let batch: Vec<_> = batch
            .into_iter()
            .filter(|received| received.message.follower != received.message.followee)
            .collect();
        let words = batch
            .iter()
            .map(|Received { message, sent, .. }| (message.edge(), message.change(*sent)));
        let Applied { failures, full } = self.store.apply_follows(words).await;
        // Also for follows that were applied before: whoever applied them may have died right after.
        let followers: HashSet<UserId> = batch
            .iter()
            .map(|received| received.message.follower.clone())
            .collect();
        if planted("feed-kept") {
            return Vec::new();
        }
        match self.tell(&followers).await {
            Ok(true) => self.note_full(&batch, &full).await,
            // A cache that is out of reach is not waited for twice.
            Ok(false) => {}
            Err(error) => return consumer::all_failed(&batch, &error),
        }
        let failed = consumer::failed(&batch, |message| {
            failures.get(&message.edge()).map(ToString::to_string)
        });
        metrics::follows_applied(batch.len() - failed.len());
        failed
    }
}
