//! Feeds, and the authors' timelines that are merged into them.

use std::collections::{HashMap, HashSet};

use futures::future::try_join_all;
use redis::cmd;

use super::keys::{feed_key, following_key, timeline_key};
use super::lease::Lease;
use super::lists::{PostsAndMerged, REBUILD_SECONDS, Rebuild, TTL_SECONDS};
use super::nodes::read;
use super::{Cache, Error, count_trip};
use crate::domain::{PostWindow, UserId};

/// The most follows that one command adds: ElastiCache Serverless takes no more than 3,999 arguments.
const FOLLOWS_PER_COMMAND: usize = 1000;

/// The longest lifetime of an author's timeline: it is one for all who follow, and a cache that lost a write at a failover
/// would hide a post from all of them.
const TIMELINE_TTL_SECONDS: u64 = 5 * 60;

/// A feed, if the cache has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// The feed.
    Here(PostsAndMerged),
    /// Nothing, or not all that is needed.
    Gone,
}

impl Cache {
    /// The user's feed: one round trip.
    pub async fn feed(&self, user: &UserId) -> Result<Feed, Error> {
        count_trip();
        let mut commands = redis::pipe();
        commands.cmd("LRANGE").arg(feed_key(user)).arg(0).arg(-1);
        commands.cmd("EXISTS").arg(following_key(user));
        let mut connection = self.connection.clone();
        let (list, following): (Vec<Vec<u8>>, bool) = commands.query_async(&mut connection).await?;
        Ok(match PostsAndMerged::read(&list) {
            Some(feed) if following => Feed::Here(feed),
            _ => Feed::Gone,
        })
    }

    /// The timelines of these authors, as far as the cache has them: one round trip.
    pub async fn author_timelines(
        &self,
        authors: &[UserId],
    ) -> Result<HashMap<UserId, PostWindow>, Error> {
        if authors.is_empty() {
            return Ok(HashMap::new());
        }
        count_trip();
        let range = |author: &UserId| {
            let mut range = cmd("LRANGE");
            range.arg(timeline_key(author)).arg(0).arg(-1);
            range
        };
        let lists: Vec<Vec<Vec<u8>>> =
            read(self.each(|| authors.iter().map(range).collect()).await?)?;
        let lists = authors.iter().zip(lists);
        let known = lists.filter_map(|(author, list)| {
            Some((author.clone(), PostsAndMerged::read(&list)?.posts))
        });
        Ok(known.collect())
    }

    /// Forgets the feed and the follows of these users, after they were changed in the store.
    pub async fn forget_feeds(&self, users: &HashSet<UserId>) -> Result<(), Error> {
        count_trip();
        let dels = users.iter().map(|user| {
            let mut del = cmd("DEL");
            del.arg(feed_key(user)).arg(following_key(user));
            self.send::<i64>(del)
        });
        try_join_all(dels).await.map(|_| ())
    }

    /// Forgets the feeds and the follows of these users, which are about to be changed in the store, and keeps them from
    /// being rebuilt until they are forgotten again, or for as long as a request may last.
    pub async fn hold_feeds(&self, users: &HashSet<UserId>) -> Result<(), Error> {
        count_trip();
        let lease = Lease::new();
        let holds = users.iter().map(|user| {
            let (feed, lease) = (feed_key(user), &lease);
            let mut commands = redis::pipe();
            commands.atomic();
            commands
                .cmd("DEL")
                .arg(&feed)
                .arg(following_key(user))
                .ignore();
            commands.cmd("RPUSH").arg(&feed).arg(lease.token()).ignore();
            commands
                .cmd("EXPIRE")
                .arg(&feed)
                .arg(REBUILD_SECONDS)
                .ignore();
            let mut connection = self.connection.clone();
            async move { Ok::<_, Error>(commands.query_async::<()>(&mut connection).await?) }
        });
        try_join_all(holds).await.map(|_| ())
    }

    /// Starts to rebuild a feed.
    pub async fn begin_rebuild(&self, user: &UserId) -> Result<Rebuild, Error> {
        self.begin(&[feed_key(user), following_key(user)]).await
    }

    /// Puts the rebuilt feed in its place. Returns whether it is there; it is not if the user's follows changed
    /// meanwhile, or the cache lost the placeholder.
    pub async fn finish_rebuild(
        &self,
        user: &UserId,
        lease: &Lease,
        feed: &PostsAndMerged,
        following: &[UserId],
    ) -> Result<bool, Error> {
        // Beside its place, so that a rebuild that was overtaken leaves nothing there.
        let fresh = format!("{}:{}", following_key(user), lease.token());
        let mut members = vec![user.as_str()];
        members.extend(following.iter().map(UserId::as_str));
        count_trip();
        let mut commands = redis::pipe();
        for members in members.chunks(FOLLOWS_PER_COMMAND) {
            commands.cmd("SADD").arg(&fresh).arg(members).ignore();
        }
        commands
            .cmd("EXPIRE")
            .arg(&fresh)
            .arg(REBUILD_SECONDS)
            .ignore();
        let mut connection = self.connection.clone();
        commands.query_async::<()>(&mut connection).await?;
        let keys = [feed_key(user), following_key(user), fresh];
        self.commit(&keys, lease, feed, TTL_SECONDS).await
    }

    /// Starts to rebuild an author's timeline.
    pub async fn begin_author_timeline(&self, author: &UserId) -> Result<Rebuild, Error> {
        self.begin(&[timeline_key(author)]).await
    }

    /// Puts an author's rebuilt timeline in its place.
    pub async fn finish_author_timeline(
        &self,
        author: &UserId,
        lease: &Lease,
        posts: &PostWindow,
    ) -> Result<bool, Error> {
        let list = PostsAndMerged {
            posts: posts.clone(),
            merged: Vec::new(),
        };
        let seconds = rand::random_range(TIMELINE_TTL_SECONDS / 2..=TIMELINE_TTL_SECONDS);
        self.commit(&[timeline_key(author)], lease, &list, seconds)
            .await
    }
}
