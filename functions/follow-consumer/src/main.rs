//! The follows queue's consumer: applies follows and keeps counts exact. See [`purrline::edge_consumer`].
//!
//! A follower's cached feed is forgotten, and rebuilt from the store when its owner returns: with the earlier posts of
//! users who are followed now, and without the posts of users who aren't. Forgetting commutes, so two consumers that
//! handle one follower's requests at the same time can't leave a wrong feed.

use std::collections::HashSet;

use purrline::cache::{self, Cache};
use purrline::domain::{Change, Follow, FollowMessage, Invalidation, UserId};
use purrline::edge_consumer::{self, EdgeKind};
use purrline::metrics;
use purrline::store::{Applied, Store};

struct Follows;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    edge_consumer::run::<Follows>().await
}

fn followers<'f>(follows: impl IntoIterator<Item = &'f Follow>) -> HashSet<UserId> {
    let followers = follows.into_iter().map(|follow| follow.follower.clone());
    followers.collect()
}

impl EdgeKind for Follows {
    type Message = FollowMessage;
    const NAME: &'static str = "follows";

    fn can_exist(follow: &Follow) -> bool {
        follow.follower != follow.followee
    }

    async fn apply(store: &Store, changes: Vec<(Follow, Change)>) -> Applied<Follow> {
        store.apply_follows(changes).await
    }

    async fn refresh(
        _: &Store,
        cache: &Cache,
        follows: &HashSet<Follow>,
    ) -> Result<(), cache::Error> {
        cache.forget_feeds(&followers(follows)).await
    }

    fn invalidation(follows: HashSet<Follow>) -> Invalidation {
        Invalidation::Feeds(followers(&follows))
    }

    /// Tells the endpoint which users have reached the limit of follows. If the cache doesn't know, the endpoint
    /// accepts a further follow, which has no effect.
    async fn after_refresh(
        cache: &Cache,
        changes: &[(Follow, Change)],
        at_limit: &HashSet<UserId>,
    ) {
        let unfollows = changes.iter().filter(|(_, change)| !change.active);
        let unfollowers = followers(unfollows.map(|(follow, _)| follow));
        if let Err(error) = cache
            .note_follow_limits(at_limit, unfollowers.difference(at_limit))
            .await
        {
            tracing::warn!(%error, "the cache learns later which users follow as many as they may");
        }
    }

    fn count(handled: usize) {
        metrics::follows_applied(handled);
    }
}
