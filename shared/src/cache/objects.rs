//! Posts, counts, authors, and viewers' states of posts: filled in under leases, changed under holds.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future::try_join_all;
use redis::cmd;

use super::hydration::{Missing, viewer_field};
use super::keys::{
    author_key, counts_key, field, follow_limit_key, post_key, stamp_key, timeline_key, viewer_key,
    writers_key,
};
use super::lease::Lease;
use super::{Cache, Error, count_round_trip, scripts};
use crate::domain::{HydratedPosts, Invalidation, Like, PostCounts, PostId, UserId};

/// The lifetimes of an object, a day, and of a lease, which lasts as long as a request may.
const TTL_SECONDS: u64 = 24 * 60 * 60;
const LEASE_SECONDS: u64 = 15;
/// The lifetime of a hold that is not released. All work under the hold must be done by then.
pub const HOLD_TIME: Duration = Duration::from_secs(LEASE_SECONDS);
/// The lifetime of a user's likes and saves.
const VIEWER_TTL_SECONDS: u64 = 60 * 60;

/// A hold on objects that are about to be changed in the store. Until the release, readers see the cached counts and
/// authors, but no longer than a request may last; authors who are leaving are read from the store meanwhile. So the
/// answers are correct even if a writer dies. The cache is used again once the last of an object's writers has released
/// it.
#[derive(Debug)]
#[must_use = "what is changed is to be released"]
pub struct Hold {
    token: String,
    keys: Vec<String>,
}

/// The prefixes of the tokens of writers that leave the old value readable, and of those that hide it.
const SHOWN: &str = "";
const HIDDEN: &str = "!";
/// The token of a writer without a hold.
const NOBODY: &str = "";

impl Cache {
    /// Takes leases on the missing values, in one round trip, before the caller reads them from the store.
    pub async fn lease(&self, caller: &UserId, missing: &Missing) -> Result<Lease, Error> {
        count_round_trip();
        let lease = Lease::new();
        // Writers of posts hold nothing: `sweep` completes what they leave undone.
        let posts = missing.posts.iter().map(|&post| (post_key(post), false));
        let counts = missing.counts.iter();
        let counts = counts.map(|&post| (counts_key(post), true));
        let authors = missing.authors.iter();
        let authors = authors.map(|author| (author_key(author), true));
        let keys = posts.chain(counts).chain(authors);
        let takes = try_join_all(keys.map(|(key, has_writers)| {
            let lease = &lease;
            async move {
                let mut connection = self.connection.clone();
                let mut take = scripts::TAKE_LEASE.arg(lease.token());
                take.arg(LEASE_SECONDS).key(&key);
                if has_writers {
                    take.key(writers_key(&key));
                }
                take.invoke_async::<i64>(&mut connection).await
            }
        }));
        let take_viewer = async {
            if missing.viewer.is_empty() {
                return Ok(0);
            }
            let mut connection = self.connection.clone();
            let mut take = scripts::TAKE_FIELD_LEASES.key(viewer_key(caller));
            take.arg(lease.token()).arg(VIEWER_TTL_SECONDS);
            for &post in &missing.viewer {
                take.arg(field(post));
            }
            take.invoke_async::<i64>(&mut connection).await
        };
        futures::try_join!(takes, take_viewer)?;
        Ok(lease)
    }

    /// Fills in the missing values whose leases are still valid, in one round trip. Values that the store did not
    /// return do not exist.
    pub async fn fill(
        &self,
        caller: &UserId,
        lease: &Lease,
        missing: &Missing,
        found: &HydratedPosts,
    ) -> Result<(), Error> {
        count_round_trip();
        let posts = missing
            .posts
            .iter()
            .map(|&post| (post_key(post), json(&found.posts.get(&post)), false));
        let counts = missing.counts.iter().map(|&post| {
            (
                counts_key(post),
                json(&found.counts.get(&post).copied().unwrap_or_default()),
                true,
            )
        });
        let cards = missing.authors.iter().map(|author| {
            (
                author_key(author),
                json(&found.authors.get(author).and_then(Option::as_ref)),
                true,
            )
        });
        let fills = try_join_all(posts.chain(counts).chain(cards).map(
            |(key, value, has_writers)| async move {
                let mut connection = self.connection.clone();
                let mut fill = scripts::FILL_LEASE.arg(lease.token());
                fill.arg(value).arg(TTL_SECONDS).key(&key);
                if has_writers {
                    fill.key(writers_key(&key));
                }
                fill.invoke_async::<i64>(&mut connection).await
            },
        ));
        let fill_viewer = async {
            if missing.viewer.is_empty() {
                return Ok(0);
            }
            let mut connection = self.connection.clone();
            let mut fill = scripts::FILL_FIELD_LEASES.key(viewer_key(caller));
            fill.arg(lease.token());
            for &post in &missing.viewer {
                let state = found.viewer.get(&post).copied().unwrap_or_default();
                fill.arg(field(post)).arg(viewer_field(state));
            }
            fill.invoke_async::<i64>(&mut connection).await
        };
        futures::try_join!(fills, fill_viewer)?;
        Ok(())
    }

    /// Forgets a post, after it was changed or deleted in the store.
    pub async fn forget_post(&self, post: PostId) -> Result<(), Error> {
        count_round_trip();
        self.forget(post_key(post)).await
    }

    /// Forgets an author, after the profile was changed in the store.
    async fn forget_author(&self, author: &UserId) -> Result<(), Error> {
        self.forget(author_key(author)).await
    }

    /// Forgets a key's value, or a lease on the key.
    async fn forget(&self, key: String) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let forget = scripts::FORGET.key(key);
        forget.invoke_async::<i64>(&mut connection).await?;
        Ok(())
    }

    /// Forgets a user who has been erased in the store.
    pub async fn forget_user(&self, user: &UserId) -> Result<(), Error> {
        count_round_trip();
        let mut del = cmd("DEL");
        del.arg(viewer_key(user));
        del.arg(stamp_key(user)).arg(follow_limit_key(user));
        let mut del_timeline = cmd("DEL");
        del_timeline.arg(timeline_key(user));
        let users = HashSet::from([user.clone()]);
        futures::try_join!(
            self.send::<i64>(del),
            self.send::<i64>(del_timeline),
            self.forget_author(user),
            self.forget_feeds(&users)
        )?;
        Ok(())
    }

    /// Forgets these likes and the counts of their posts, after they were changed in the store.
    pub async fn forget_likes(&self, likes: &HashSet<Like>) -> Result<(), Error> {
        count_round_trip();
        let posts: HashSet<PostId> = likes.iter().map(|like| like.post).collect();
        let counts = posts.into_iter();
        let counts = counts.map(|post| self.forget(counts_key(post)));
        futures::try_join!(try_join_all(counts), self.forget_liked(likes))?;
        Ok(())
    }

    /// Forgets what a change of the store has made stale.
    pub async fn invalidate(&self, invalidation: &Invalidation) -> Result<(), Error> {
        match invalidation {
            Invalidation::Feeds(of) => self.forget_feeds(of).await,
            Invalidation::Likes(likes) => self.forget_likes(likes).await,
        }
    }

    async fn forget_liked(&self, likes: &HashSet<Like>) -> Result<(), Error> {
        let mut by_user: HashMap<&UserId, Vec<Vec<u8>>> = HashMap::new();
        for Like { user, post } in likes {
            by_user.entry(user).or_default().push(field(*post));
        }
        let fields = by_user.into_iter().map(|(user, posts)| {
            let mut del = cmd("HDEL");
            del.arg(viewer_key(user)).arg(posts);
            self.send::<i64>(del)
        });
        try_join_all(fields).await.map(|_| ())
    }

    /// Forgets these likes, after they were changed in the store, and puts the current counts of their posts.
    pub async fn put_likes(
        &self,
        likes: &HashSet<Like>,
        counts: &HashMap<PostId, PostCounts>,
    ) -> Result<(), Error> {
        count_round_trip();
        let posts: HashSet<PostId> = likes.iter().map(|like| like.post).collect();
        let puts = posts.into_iter().map(|post| {
            let counts = counts.get(&post).copied().unwrap_or_default();
            self.put(post, counts, NOBODY)
        });
        futures::try_join!(try_join_all(puts), self.forget_liked(likes))?;
        Ok(())
    }

    /// Puts a post's counts as they are after a change in the store, and releases the hold on them. Without a hold,
    /// acts on behalf of a writer that may have died before this step.
    pub async fn put_counts(
        &self,
        hold: Option<&Hold>,
        post: PostId,
        counts: PostCounts,
    ) -> Result<(), Error> {
        count_round_trip();
        let token = hold.map_or(NOBODY, |hold| hold.token.as_str());
        self.put(post, counts, token).await
    }

    async fn put(&self, post: PostId, counts: PostCounts, token: &str) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let key = counts_key(post);
        let mut put = scripts::PUT_COUNTS.key(&key);
        put.key(writers_key(&key)).arg(token).arg(json(&counts));
        put.arg(counts.rev).arg(TTL_SECONDS);
        put.invoke_async::<i64>(&mut connection).await?;
        Ok(())
    }

    /// Forgets a user's state of a post, after they saved or unsaved it in the store.
    pub async fn forget_save(&self, user: &UserId, post: PostId) -> Result<(), Error> {
        count_round_trip();
        let mut del = cmd("HDEL");
        del.arg(viewer_key(user)).arg(field(post));
        self.send::<i64>(del).await.map(|_| ())
    }

    /// Holds an author whose profile is about to be changed in the store.
    pub async fn hold_author(&self, author: &UserId) -> Result<Hold, Error> {
        self.hold(SHOWN, vec![author_key(author)]).await
    }

    /// Holds an author who is about to leave, and hides the cached author from now on.
    pub async fn hide_author(&self, author: &UserId) -> Result<Hold, Error> {
        self.hold(HIDDEN, vec![author_key(author)]).await
    }

    /// Holds the counts of these posts, which are about to be changed in the store.
    pub async fn hold_counts(&self, posts: &HashSet<PostId>) -> Result<Hold, Error> {
        let keys = posts.iter().map(|&post| counts_key(post));
        self.hold(SHOWN, keys.collect()).await
    }

    async fn hold(&self, kind: &str, keys: Vec<String>) -> Result<Hold, Error> {
        count_round_trip();
        let token = format!("{kind}{:016x}", rand::random::<u64>());
        let holds = keys.iter().map(|key| {
            let mut connection = self.connection.clone();
            let mut hold = scripts::HOLD.key(key);
            hold.key(writers_key(key)).arg(&token).arg(LEASE_SECONDS);
            async move { hold.invoke_async::<i64>(&mut connection).await }
        });
        try_join_all(holds).await?;
        Ok(Hold { token, keys })
    }

    /// Releases the hold after the write; readers refill the keys.
    pub async fn release(&self, hold: &Hold) -> Result<(), Error> {
        count_round_trip();
        let releases = hold.keys.iter().map(|key| {
            let mut connection = self.connection.clone();
            let mut forget = scripts::FORGET.key(key);
            forget.key(writers_key(key)).arg(&hold.token);
            async move { forget.invoke_async::<i64>(&mut connection).await }
        });
        try_join_all(releases).await?;
        Ok(())
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
