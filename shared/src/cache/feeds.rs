//! Feeds, and the authors' timelines that are merged into them.

use std::collections::{HashMap, HashSet};

use futures::future::try_join_all;
use redis::cmd;

use super::keys::{feed_key, following_key, timeline_key};
use super::lease::Lease;
use super::lists::{PostsAndMerged, REBUILD_SECONDS, Rebuild, TTL_SECONDS};
use super::nodes::read;
use super::{Cache, Error, count_round_trip};
use crate::domain::{PostWindow, UserId};

/// The maximum number of follows that one command adds: ElastiCache Serverless accepts no more than 3,999 arguments.
const FOLLOWS_PER_COMMAND: usize = 1000;

/// The maximum lifetime of an author's timeline. It is short because all followers share the timeline: a cache that
/// lost a write at a failover would hide a post from all of them.
const TIMELINE_TTL_SECONDS: u64 = 5 * 60;

/// A feed, if the cache has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// The feed.
    Cached(PostsAndMerged),
    /// The feed or the user's follows are missing, or the feed is being rebuilt.
    Missing,
}

impl Cache {
    /// Returns the user's feed, in one round trip.
    pub async fn feed(&self, user: &UserId) -> Result<Feed, Error> {
        count_round_trip();
        let mut commands = redis::pipe();
        commands.cmd("LRANGE").arg(feed_key(user)).arg(0).arg(-1);
        commands.cmd("EXISTS").arg(following_key(user));
        let mut connection = self.connection.clone();
        let (list, following): (Vec<Vec<u8>>, bool) = commands.query_async(&mut connection).await?;
        Ok(match PostsAndMerged::read(&list) {
            Some(feed) if following => Feed::Cached(feed),
            _ => Feed::Missing,
        })
    }

    /// Returns the timelines of these authors that are in the cache, in one round trip.
    pub async fn author_timelines(
        &self,
        authors: &[UserId],
    ) -> Result<HashMap<UserId, PostWindow>, Error> {
        if authors.is_empty() {
            return Ok(HashMap::new());
        }
        count_round_trip();
        let range = |author: &UserId| {
            let mut range = cmd("LRANGE");
            range.arg(timeline_key(author)).arg(0).arg(-1);
            range
        };
        let lists: Vec<Vec<Vec<u8>>> = read(
            self.send_each(|| authors.iter().map(range).collect())
                .await?,
        )?;
        let lists = authors.iter().zip(lists);
        let known = lists.filter_map(|(author, list)| {
            Some((author.clone(), PostsAndMerged::read(&list)?.posts))
        });
        Ok(known.collect())
    }

    /// Forgets the feeds and follows of these users, after they were changed in the store.
    pub async fn forget_feeds(&self, users: &HashSet<UserId>) -> Result<(), Error> {
        count_round_trip();
        let dels = users.iter().map(|user| {
            let mut del = cmd("DEL");
            del.arg(feed_key(user)).arg(following_key(user));
            self.send::<i64>(del)
        });
        try_join_all(dels).await.map(|_| ())
    }

    /// Forgets the feeds and follows of these users, which are about to be changed in the store, and prevents rebuilds
    /// until they are forgotten again, or for as long as a request may last.
    pub async fn hold_feeds(&self, users: &HashSet<UserId>) -> Result<(), Error> {
        count_round_trip();
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

    /// Puts the rebuilt feed in place. Returns false, and changes nothing, if the user's follows changed meanwhile or
    /// the cache lost the placeholder.
    pub async fn finish_rebuild(
        &self,
        user: &UserId,
        lease: &Lease,
        feed: &PostsAndMerged,
        following: &[UserId],
    ) -> Result<bool, Error> {
        // A key of its own, so that an overtaken rebuild changes nothing.
        let fresh = format!("{}:{}", following_key(user), lease.token());
        let mut members = vec![user.as_str()];
        members.extend(following.iter().map(UserId::as_str));
        count_round_trip();
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

    /// Puts an author's rebuilt timeline in place, unless the cache lost the placeholder. Returns whether it did.
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
