//! Feeds: pushed onto by fan-out, read by their owners, rebuilt when they are gone.

use std::collections::HashSet;
use std::sync::LazyLock;

use futures::StreamExt;
use futures::future::try_join_all;
use redis::{Script, cmd};

use super::{Cache, Error, Lease};
use crate::domain::{FEED_CAP, FeedWindow, Id, PostId, UserId};

/// How long a feed stays, read or not: a day. So whatever went wrong with it (a cache that lost some writes
/// at a failover, a change whose consumer could not reach it) is right again within that time.
const TTL_SECONDS: u64 = 24 * 60 * 60;
/// How many follows go out in one command: ElastiCache Serverless takes no more than 3,999 arguments.
const FOLLOWS_PER_COMMAND: usize = 1000;
/// How long a rebuild may take before another may start.
const REBUILD_SECONDS: u64 = 15;
/// A list is cut back to the cap only when it is this long, so that most pushes cost one command.
const TRIM_AT: usize = FEED_CAP + 40;
/// How many feeds are pushed onto at a time.
const PUSHES_AT_ONCE: usize = 256;

/// A list's last element tells what it is: an id (8 bytes), a dot where the feed has no posts (Redis has
/// no empty lists), or the placeholder of a rebuild (longer than 8 bytes).
///
/// Settles a list: keeps the newest `cap` distinct ids of it. Ids are compared as two 32-bit numbers,
/// because a double holds 53 bits, and Lua's comparison of strings follows the server's locale.
const SETTLE: &str = "\
local function settle(key, cap, ttl, placeholder) \
  local seen, ids = {}, {} \
  for _, raw in ipairs(redis.call('LRANGE', key, 0, -1)) do \
    if #raw == 8 and not seen[raw] then \
      seen[raw] = true \
      local hi, lo = struct.unpack('>I4I4', raw) \
      ids[#ids + 1] = {hi, lo, raw} \
    end \
  end \
  table.sort(ids, function(a, b) if a[1] ~= b[1] then return a[1] > b[1] end return a[2] > b[2] end) \
  redis.call('DEL', key) \
  for i = 1, math.min(#ids, cap) do redis.call('RPUSH', key, ids[i][3]) end \
  if placeholder then redis.call('RPUSH', key, placeholder) \
  elseif #ids == 0 then redis.call('RPUSH', key, '.') end \
  redis.call('EXPIRE', key, ttl) \
  return math.min(#ids, cap) \
end ";

/// Cuts a list back. A placeholder stays one.
static TRIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{SETTLE} \
         local ttl = redis.call('TTL', KEYS[1]) \
         if ttl < 0 then return 0 end \
         local last = redis.call('LINDEX', KEYS[1], -1) \
         if #last <= 8 then last = nil end \
         return settle(KEYS[1], tonumber(ARGV[1]), math.max(ttl, 1), last)"
    ))
});
/// Starts a rebuild, unless the feed is there (0) or somebody is at it (-1).
static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local last = redis.call('LINDEX', KEYS[1], -1) \
         if last then \
           if #last > 8 then return -1 end \
           if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end \
         end \
         redis.call('DEL', KEYS[1], KEYS[2]) \
         redis.call('RPUSH', KEYS[1], ARGV[1]) \
         redis.call('EXPIRE', KEYS[1], ARGV[2]) \
         return 1",
    )
});
/// Ends a rebuild: what was pushed meanwhile is kept, and the follows take their place. Nothing, if the
/// placeholder is gone.
static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{SETTLE} \
         if redis.call('LINDEX', KEYS[1], -1) ~= ARGV[1] then return 0 end \
         for i = 5, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[i]) end \
         redis.call('RENAME', KEYS[3], KEYS[2]) \
         redis.call('SADD', KEYS[2], ARGV[4]) \
         redis.call('EXPIRE', KEYS[2], ARGV[3]) \
         settle(KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), nil) \
         return 1"
    ))
});

/// What the cache has of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// The feed.
    Here(FeedWindow),
    /// Nothing, or not all that is needed.
    Gone,
}

/// An attempt at rebuilding a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuild {
    /// It is ours: read the store, then [`Cache::finish_rebuild`].
    Ours(Lease),
    /// Somebody else is at it: the feed will be here soon.
    Others,
    /// The feed is here.
    Done,
}

fn feed_key(user: &UserId) -> String {
    format!("feed:{{{user}}}")
}

fn following_key(user: &UserId) -> String {
    format!("following:{{{user}}}")
}

impl Cache {
    /// Pushes a post onto the feeds of these users, as far as they exist; twice is once.
    pub async fn push(&self, post: PostId, feeds: &[UserId]) -> Result<(), Error> {
        self.count_trip();
        let outcomes: Vec<Result<(), Error>> = futures::stream::iter(feeds.iter().cloned())
            .map(|user| async move { self.push_onto(post, feed_key(&user)).await })
            .buffer_unordered(PUSHES_AT_ONCE)
            .collect()
            .await;
        outcomes.into_iter().collect()
    }

    async fn push_onto(&self, post: PostId, feed: String) -> Result<(), Error> {
        let mut push = cmd("LPUSHX");
        push.arg(&feed).arg(&post.0.to_bytes()[..]);
        let length: usize = self.send(push).await?;
        if length >= TRIM_AT {
            let mut connection = self.connection.clone();
            TRIM.key(feed)
                .arg(FEED_CAP)
                .invoke_async::<i64>(&mut connection)
                .await?;
        }
        Ok(())
    }

    /// The user's feed: one round trip.
    pub async fn feed(&self, user: &UserId) -> Result<Feed, Error> {
        self.count_trip();
        let mut commands = redis::pipe();
        commands.cmd("LRANGE").arg(feed_key(user)).arg(0).arg(-1);
        commands.cmd("EXISTS").arg(following_key(user));
        let mut connection = self.connection.clone();
        let (list, following): (Vec<Vec<u8>>, bool) = commands.query_async(&mut connection).await?;
        let rebuilding = list.last().is_none_or(|last| last.len() > 8);
        if rebuilding || !following {
            return Ok(Feed::Gone);
        }
        let id = |raw: &Vec<u8>| {
            raw.as_slice()
                .try_into()
                .ok()
                .and_then(Id::from_bytes)
                .map(PostId)
        };
        Ok(Feed::Here(FeedWindow::new(
            list.iter().filter_map(id).collect(),
        )))
    }

    /// Which of these authors the user's feed shows: whom the user follows, and the user. `None`
    /// where that is not known. No round trip counted: it goes out with others.
    pub(super) async fn shows(
        &self,
        user: &UserId,
        authors: &[UserId],
    ) -> Result<Option<HashSet<UserId>>, Error> {
        let mut ask = cmd("SMISMEMBER");
        // The user is a member of every set, so that none is empty and an absent one is known.
        ask.arg(following_key(user))
            .arg(user.as_str())
            .arg(authors.iter().map(UserId::as_str).collect::<Vec<_>>());
        let answers: Vec<bool> = self.send(ask).await?;
        let Some((true, answers)) = answers.split_first() else {
            return Ok(None);
        };
        let shown = authors.iter().zip(answers).filter(|(_, shown)| **shown);
        Ok(Some(shown.map(|(author, _)| author.clone()).collect()))
    }

    /// Forgets the feed and the follows of these users, after they were changed in the store.
    pub async fn forget_feeds(&self, users: &HashSet<UserId>) -> Result<(), Error> {
        self.count_trip();
        let dels = users.iter().map(|user| {
            let mut del = cmd("DEL");
            del.arg(feed_key(user)).arg(following_key(user));
            self.send::<i64>(del)
        });
        try_join_all(dels).await.map(|_| ())
    }

    /// Forgets the feeds and the follows of these users, which are about to be changed in the store, and keeps
    /// others from rebuilding them, until they are forgotten again or for as long as a request may last.
    pub async fn hold_feeds(&self, users: &HashSet<UserId>) -> Result<(), Error> {
        self.count_trip();
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
        self.count_trip();
        let lease = Lease::new();
        let mut connection = self.connection.clone();
        let begun: i64 = BEGIN
            .key(feed_key(user))
            .key(following_key(user))
            .arg(lease.token())
            .arg(REBUILD_SECONDS)
            .invoke_async(&mut connection)
            .await?;
        Ok(match begun {
            1 => Rebuild::Ours(lease),
            0 => Rebuild::Done,
            _ => Rebuild::Others,
        })
    }

    /// Puts the rebuilt feed in its place. Answers whether it is there; it is not, if the user's
    /// follows changed meanwhile, or the cache lost the placeholder.
    pub async fn finish_rebuild(
        &self,
        user: &UserId,
        lease: &Lease,
        posts: &[PostId],
        following: &[UserId],
    ) -> Result<bool, Error> {
        // Beside its place, so that a rebuild that was overtaken leaves nothing there.
        let fresh = format!("{}:{}", following_key(user), lease.token());
        let mut members = vec![user.as_str()];
        members.extend(following.iter().map(UserId::as_str));
        for members in members.chunks(FOLLOWS_PER_COMMAND) {
            self.count_trip();
            let mut commands = redis::pipe();
            commands.cmd("SADD").arg(&fresh).arg(members).ignore();
            commands
                .cmd("EXPIRE")
                .arg(&fresh)
                .arg(REBUILD_SECONDS)
                .ignore();
            let mut connection = self.connection.clone();
            commands.query_async::<()>(&mut connection).await?;
        }
        self.count_trip();
        let mut connection = self.connection.clone();
        let mut commit = COMMIT.key(feed_key(user));
        commit
            .key(following_key(user))
            .key(fresh)
            .arg(lease.token())
            .arg(FEED_CAP)
            .arg(TTL_SECONDS)
            .arg(user.as_str());
        for post in posts {
            commit.arg(&post.0.to_bytes()[..]);
        }
        Ok(commit.invoke_async::<i64>(&mut connection).await? == 1)
    }
}
