//! The erasure of accounts.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use purrline::aws;
use purrline::cache::HOLD_TIME;
use purrline::domain::{FanOutMessage, IndexMessage, Like, PostId, Subject, Timestamp, UserId};
use purrline::store::FollowList;

use super::{Error, Sweep};

/// The number of accounts that are looked up at a time.
const PAGE: i32 = 20;
/// The number of posts that are deleted at a time.
const POSTS: usize = 100;
/// The number of cats that are read at a time.
const CATS: usize = 100;
/// The maximum time that one account may take while others wait. Holds in the cache outlast the turn and a call under
/// way at its end, so that no reader caches what the turn is about to change.
const TURN: Duration = HOLD_TIME
    .saturating_sub(aws::OPERATION)
    .saturating_sub(Duration::from_secs(1));
/// Seconds between the two passes without findings that end an erasure, unless the whole wait for the erasure is
/// shorter. No index ever lags that far behind.
const PASS_INTERVAL_SECONDS: i64 = 60;
/// Seconds until a failed erasure is tried again.
const RETRY_SECONDS: i64 = 60;

impl Sweep {
    /// Erases departed users, the longest due first, until time is out. Returns the number of erasures that
    /// failed.
    pub(super) async fn erase_leavers(
        &self,
        start: Instant,
        within: Duration,
    ) -> Result<usize, Error> {
        let mut seen: HashSet<UserId> = HashSet::new();
        let mut failed = 0;
        loop {
            // The index lags: a user just erased may still be in it.
            let due = self.store.leavers(Timestamp::now(), PAGE).await?;
            let Some(user) = due.into_iter().find(|user| seen.insert(user.clone())) else {
                return Ok(failed);
            };
            let rest = within.saturating_sub(start.elapsed());
            if rest.is_zero() {
                return Ok(failed);
            }
            // The next turn finds what this one did not reach.
            match tokio::time::timeout(rest.min(TURN), self.erase(&user)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    failed += 1;
                    let error = purrline::log::chain(&error);
                    tracing::warn!(error, "an account was not erased");
                    let retry_at = Timestamp::now().plus_seconds(RETRY_SECONDS);
                    self.store.postpone_erasure(&user, retry_at).await?;
                }
                Err(_elapsed) => {
                    tracing::info!("an account is not wholly erased yet");
                    let behind = Timestamp::now();
                    self.store.postpone_erasure(&user, behind).await?;
                    // The user has another turn in this run, once the others have had theirs.
                    seen.remove(&user);
                }
            }
        }
    }

    /// Makes one pass over everything that a user left behind. The last pass ends the erasure: see `store/leaving.rs`.
    async fn erase(&self, user: &UserId) -> Result<(), Error> {
        let begun = Timestamp::now();
        let Some(withdrawn) = self.store.withdrawn_at(user).await? else {
            return Ok(());
        };
        let pictures = self.removals.erase(user).await?;
        if pictures {
            self.store.note_found(user).await?;
        }
        self.erase_posts(user).await?;
        self.erase_cats(user).await?;
        self.removals.uploads.erase(user).await?;
        for list in [FollowList::Following, FollowList::Followers] {
            self.store.erase_follows(list, user).await?;
        }
        let likes = self.erase_likes(user).await?;
        let comments = self.erase_comments(user).await?;
        self.store.erase_lists(user).await?;
        self.store.erase_blocks(user).await?;
        self.store.erase_recent(user).await?;
        let handles = self.store.erase_handles(user).await?;
        self.delete_sign_in(user).await?;
        self.cache.forget_user(user).await?;
        let changed = IndexMessage::new(Subject::User(user.clone()));
        self.index.send(&changed).await?;
        let settled = withdrawn.plus_seconds(self.settled_after);
        if begun < settled {
            return Ok(self.store.postpone_erasure(user, settled).await?);
        }
        let interval = PASS_INTERVAL_SECONDS.min(self.settled_after);
        let found = pictures || likes || comments || handles;
        let empty_by = begun.plus_seconds(-interval);
        // The user's next stamp: requests after a return have later ones.
        let now = self.cache.stamp(user).await?;
        if !found && self.store.finish_erasure(user, empty_by, now).await? {
            // Once more: a reader may have cached meanwhile that the user doesn't exist, and the user may come back.
            self.cache.forget_user(user).await?;
            tracing::info!("an account is erased");
            return Ok(());
        }
        // This was the first of the two passes without findings, or there was still something to erase: another pass
        // follows.
        let next = Timestamp::now().plus_seconds(interval);
        Ok(self.store.note_pass(user, found, next).await?)
    }

    /// Deletes the user from the stack's own user pool, and does so only once: a user who comes back through Google or
    /// Kakao has the same name in the pool, but another id.
    async fn delete_sign_in(&self, user: &UserId) -> Result<(), Error> {
        let Some(pool) = &self.user_pool else {
            return Ok(());
        };
        if let Some(name) = self.store.sign_in_to_delete(user).await? {
            pool.delete(&name).await?;
            self.store.sign_in_is_deleted(user).await?;
        }
        Ok(())
    }

    async fn erase_posts(&self, user: &UserId) -> Result<(), Error> {
        let mut after: Option<PostId> = None;
        loop {
            let due = Timestamp::now().plus_seconds(self.overdue_after);
            let posts = self.store.erase_posts(user, after, POSTS, due).await?;
            let messages: Vec<FanOutMessage> = posts
                .items
                .iter()
                .map(|(removed, post)| FanOutMessage::whole(*post, removed.rev))
                .collect();
            let unsent = self.fan_out.send_batch(&messages).await;
            if !unsent.is_empty() {
                tracing::warn!(
                    unsent = unsent.len(),
                    "not handed over: left to the next sweep"
                );
            }
            match posts.end {
                Some(end) => after = Some(end),
                None => return Ok(()),
            }
        }
    }

    async fn erase_cats(&self, user: &UserId) -> Result<(), Error> {
        loop {
            let cats = self.store.cats_of(user, None, CATS).await?;
            if cats.is_empty() {
                return Ok(());
            }
            for cat in cats {
                self.store.delete_cat(cat, user).await?;
                let changed = IndexMessage::new(Subject::Cat(cat));
                self.index.send(&changed).await?;
            }
        }
    }

    /// Erases the user's likes, and returns whether there were any.
    async fn erase_likes(&self, user: &UserId) -> Result<bool, Error> {
        let mut after = None;
        loop {
            let likes = self.store.likes_by(user, after).await?;
            let Some(last) = likes.last() else {
                return Ok(after.is_some());
            };
            // The finding is noted before the likes are erased, so that it counts even if this pass fails.
            if after.is_none() {
                self.store.note_found(user).await?;
            }
            after = Some(last.post);
            let posts = likes.iter().map(|like| like.post).collect();
            let hold = self.cache.hold_counts(&posts).await?;
            let erased: HashSet<Like> = likes.iter().cloned().collect();
            self.store.erase_likes(likes).await?;
            self.cache.forget_likes(&erased).await?;
            self.cache.release(&hold).await?;
        }
    }

    /// Erases the user's comments, and returns whether there were any.
    async fn erase_comments(&self, user: &UserId) -> Result<bool, Error> {
        let mut after = None;
        loop {
            let comments = self.store.comments_by(user, after.as_ref()).await?;
            let Some(last) = comments.last().copied() else {
                return Ok(after.is_some());
            };
            if after.is_none() {
                self.store.note_found(user).await?;
            }
            after = Some(last);
            for (post, comment) in comments {
                let hold = self.cache.hold_counts(&HashSet::from([post])).await?;
                self.store.delete_comment(post, comment).await?;
                self.cache.release(&hold).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_time_exceeds_a_turn() {
        assert!(
            TURN >= Duration::from_secs(5),
            "{TURN:?} is too short to get on"
        );
        assert!(TURN + aws::OPERATION < HOLD_TIME, "{TURN:?}");
    }
}
