//! Posts, counts, authors, and viewers' states of posts: filled in under leases, changed under holds.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use futures::future::try_join_all;
use redis::{Script, cmd};

use super::hydration::{Missing, viewer_field};
use super::keys::{
    author_key, counts_key, field, full_key, held_key, post_key, stamp_key, timeline_key,
    viewer_key,
};
use super::lease::Lease;
use super::{Cache, Error, count_trip};
use crate::domain::{HydratedPosts, Invalidation, Like, PostCounts, PostId, UserId};
use crate::planted::planted;

/// The lifetime of an object: a day. A lease lasts as long as a request may.
const TTL_SECONDS: u64 = 24 * 60 * 60;
const LEASE_SECONDS: u64 = 15;
/// The lifetime of a hold that nobody releases: all work under it must be over by then.
pub const HOLD_TIME: Duration = Duration::from_secs(LEASE_SECONDS);
/// The lifetime of what is known of a user's likes and saves.
const VIEWER_TTL_SECONDS: u64 = 60 * 60;

/// Takes a lease where nothing stands: answers whether it was taken. Writers whose time was up before are done with, one
/// way or the other: whoever has the lease reads what became of what they wrote.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{HELD} \
         local taken = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) \
         if taken and KEYS[2] then \
           local now = now() \
           for token, deadline in pairs(writers(KEYS[2])) do \
             if deadline <= now then redis.call('HDEL', KEYS[2], token) end \
           end \
         end \
         return taken and 1 or 0"
    ))
});
/// Replaces a lease by the value, if it still stands, for as long as every writer at work may still be.
static FILL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{HELD} \
         if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
         return keep(KEYS[1], KEYS[2], ARGV[2], ARGV[3])"
    ))
});
/// Takes leases on the fields of a hash where no value stands; fields have no TTL of their own, so a
/// lease that was left behind gives way.
static TAKE_FIELDS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "for i = 3, #ARGV do \
           local known = redis.call('HGET', KEYS[1], ARGV[i]) \
           if not known or not string.find('nlsb', known, 1, true) then \
             redis.call('HSET', KEYS[1], ARGV[i], ARGV[1]) \
           end \
         end \
         redis.call('EXPIRE', KEYS[1], ARGV[2], 'NX') return 1",
    )
});
/// Replaces leases on the fields of a hash by values, where they still stand.
static FILL_FIELDS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "for i = 2, #ARGV, 2 do \
           if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[1] then \
             redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) \
           end \
         end return 1",
    )
});

/// Of a key's writers: `held:` and the key is a hash of their tokens, each with its deadline in milliseconds by the
/// server's clock. `keep` sets a value that may be trusted until the first of them, and none while there is a writer
/// who wants it hidden, whose token begins with `!`.
///
/// A writer that dies neither puts nor forgets a value, which therefore goes by itself at the writer's deadline; one
/// whose deadline has passed meanwhile leaves nothing to be trusted.
const HELD: &str = "\
local function now() \
  local time = redis.call('TIME') \
  return 1000 * tonumber(time[1]) + math.floor(tonumber(time[2]) / 1000) \
end \
local function writers(held) \
  local found, entries = {}, redis.call('HGETALL', held) \
  for i = 1, #entries, 2 do found[entries[i]] = tonumber(entries[i + 1]) end \
  return found \
end \
local function keep(key, held, value, seconds) \
  local millis = 1000 * tonumber(seconds) \
  if held then \
    local now = now() \
    for token, deadline in pairs(writers(held)) do \
      if string.sub(token, 1, 1) == '!' then millis = 0 end \
      millis = math.min(millis, deadline - now) \
    end \
  end \
  if millis <= 0 then redis.call('DEL', key) return 0 end \
  redis.call('SET', key, value, 'PX', millis) \
  return 1 \
end ";

/// Adds a writer. What stands in the key stays, since nobody was answered yet, but no longer than the writer may take;
/// unless it is to be hidden.
static HOLD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{HELD} \
         local millis = 1000 * tonumber(ARGV[2]) \
         redis.call('HSET', KEYS[2], ARGV[1], now() + millis) \
         redis.call('PEXPIRE', KEYS[2], 2 * millis) \
         if string.sub(ARGV[1], 1, 1) == '!' then redis.call('DEL', KEYS[1]) \
         elseif redis.call('PTTL', KEYS[1]) > millis then redis.call('PEXPIRE', KEYS[1], millis) end \
         return 1"
    ))
});
/// Forgets a key, and that there is this writer. A `!` is a hold of the release before, which lets go by itself.
static FORGET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if KEYS[2] then redis.call('HDEL', KEYS[2], ARGV[1]) end \
         local kept = redis.call('GET', KEYS[1]) \
         if kept and string.sub(kept, 1, 1) == '!' then return 0 end \
         return redis.call('DEL', KEYS[1])",
    )
});
/// Replaces a post's counts by later ones, and forgets that there is this writer. Where nothing stands nothing is put:
/// later ones may have stood there. Where a lease stands, whoever has it may have read before: it goes.
static PUT_COUNTS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{HELD} \
         redis.call('HDEL', KEYS[2], ARGV[1]) \
         local kept = redis.call('GET', KEYS[1]) \
         if not kept then return 0 end \
         local first = string.sub(kept, 1, 1) \
         if first == '!' then return 0 end \
         if first ~= '{{' then return redis.call('DEL', KEYS[1]) end \
         local rev = tonumber(string.match(kept, '\"rev\":(%d+)')) or -1 \
         if rev < tonumber(ARGV[3]) then kept = ARGV[2] end \
         return keep(KEYS[1], KEYS[2], kept, ARGV[4])"
    ))
});

/// Objects that are about to be changed in the store. What the cache has of counts and authors is shown until they are
/// released, but no longer than a request may last; authors who are leaving are read from the store meanwhile. So they are right
/// also if whoever changes them dies in between, and however many change them at once, the cache is read again as soon as
/// the last has released them.
#[derive(Debug)]
#[must_use = "what is changed is to be released"]
pub struct Hold {
    token: String,
    keys: Vec<String>,
}

/// Prefixes of writers' tokens: those that leave the old value readable, and those that hide it.
const SHOWN: &str = "";
const HIDDEN: &str = "!";
/// The token of a writer that doesn't hold anything.
const NOBODY: &str = "";

impl Cache {
    /// Takes leases on what is missing, before the store is read for it: one round trip.
    pub async fn lease(&self, caller: &UserId, missing: &Missing) -> Result<Lease, Error> {
        count_trip();
        let lease = Lease::new();
        // Writers of posts hold nothing: what they leave undone, sweep does.
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
                let mut take = TAKE.arg(lease.token());
                take.arg(LEASE_SECONDS).key(&key);
                if has_writers {
                    take.key(held_key(&key));
                }
                take.invoke_async::<i64>(&mut connection).await
            }
        }));
        let take_viewer = async {
            if missing.viewer.is_empty() {
                return Ok(0);
            }
            let mut connection = self.connection.clone();
            let mut take = TAKE_FIELDS.key(viewer_key(caller));
            take.arg(lease.token()).arg(VIEWER_TTL_SECONDS);
            for &post in &missing.viewer {
                take.arg(field(post));
            }
            take.invoke_async::<i64>(&mut connection).await
        };
        futures::try_join!(takes, take_viewer)?;
        Ok(lease)
    }

    /// Fills in what was missing, where the leases still stand: one round trip. What is missing in
    /// the answers of the store does not exist.
    pub async fn fill(
        &self,
        caller: &UserId,
        lease: &Lease,
        missing: &Missing,
        found: &HydratedPosts,
    ) -> Result<(), Error> {
        count_trip();
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
                let mut fill = FILL.arg(lease.token());
                fill.arg(value).arg(TTL_SECONDS).key(&key);
                if has_writers {
                    fill.key(held_key(&key));
                }
                fill.invoke_async::<i64>(&mut connection).await
            },
        ));
        let fill_viewer = async {
            if missing.viewer.is_empty() {
                return Ok(0);
            }
            let mut connection = self.connection.clone();
            let mut fill = FILL_FIELDS.key(viewer_key(caller));
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
        count_trip();
        self.forget(post_key(post)).await
    }

    /// Forgets an author, after the profile was changed in the store.
    async fn forget_author(&self, author: &UserId) -> Result<(), Error> {
        self.forget(author_key(author)).await
    }

    /// Forgets what a key holds, a lease on it, too.
    async fn forget(&self, key: String) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let forget = FORGET.key(key);
        forget.invoke_async::<i64>(&mut connection).await?;
        Ok(())
    }

    /// Forgets all that is kept for a user, who has been erased in the store.
    pub async fn forget_user(&self, user: &UserId) -> Result<(), Error> {
        count_trip();
        let mut del = cmd("DEL");
        del.arg(viewer_key(user));
        del.arg(stamp_key(user)).arg(full_key(user));
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

    /// Forgets the counts of these posts and what is known of these likes, after they were changed in
    /// the store.
    pub async fn forget_likes(&self, likes: &HashSet<Like>) -> Result<(), Error> {
        count_trip();
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

    /// Forgets what is known of these likes, after they were changed in the store, and puts the counts of their posts,
    /// as the store has them since.
    pub async fn put_likes(
        &self,
        likes: &HashSet<Like>,
        counts: &HashMap<PostId, PostCounts>,
    ) -> Result<(), Error> {
        if planted("likes-uncounted") {
            return self.forget_liked(likes).await;
        }
        count_trip();
        let posts: HashSet<PostId> = likes.iter().map(|like| like.post).collect();
        let puts = posts.into_iter().map(|post| {
            let counts = counts.get(&post).copied().unwrap_or_default();
            self.put(post, counts, NOBODY)
        });
        futures::try_join!(try_join_all(puts), self.forget_liked(likes))?;
        Ok(())
    }

    /// Lets go of a post's counts, once the store has changed them, and puts them as they are since. Without a hold it
    /// does the same for somebody who may have died in between.
    pub async fn put_counts(
        &self,
        hold: Option<&Hold>,
        post: PostId,
        counts: PostCounts,
    ) -> Result<(), Error> {
        count_trip();
        let token = hold.map_or(NOBODY, |hold| hold.token.as_str());
        self.put(post, counts, token).await
    }

    async fn put(&self, post: PostId, counts: PostCounts, token: &str) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let key = counts_key(post);
        let mut put = PUT_COUNTS.key(&key);
        put.key(held_key(&key)).arg(token).arg(json(&counts));
        put.arg(counts.rev).arg(TTL_SECONDS);
        put.invoke_async::<i64>(&mut connection).await?;
        Ok(())
    }

    /// Forgets what is known of a user's hand on a post, after they saved it, or no longer, in the store.
    pub async fn forget_save(&self, user: &UserId, post: PostId) -> Result<(), Error> {
        count_trip();
        let mut del = cmd("HDEL");
        del.arg(viewer_key(user)).arg(field(post));
        self.send::<i64>(del).await.map(|_| ())
    }

    /// Holds an author whose profile is about to be changed in the store.
    pub async fn hold_author(&self, author: &UserId) -> Result<Hold, Error> {
        self.hold(SHOWN, vec![author_key(author)]).await
    }

    /// Holds an author who is about to leave: what the cache has of them is shown to nobody from now on.
    pub async fn hide_author(&self, author: &UserId) -> Result<Hold, Error> {
        self.hold(HIDDEN, vec![author_key(author)]).await
    }

    /// Holds the counts of these posts, which are about to be changed in the store.
    pub async fn hold_counts(&self, posts: &HashSet<PostId>) -> Result<Hold, Error> {
        let keys = posts.iter().map(|&post| counts_key(post));
        self.hold(SHOWN, keys.collect()).await
    }

    async fn hold(&self, kind: &str, keys: Vec<String>) -> Result<Hold, Error> {
        count_trip();
        let token = format!("{kind}{:016x}", rand::random::<u64>());
        let holds = keys.iter().map(|key| {
            let mut connection = self.connection.clone();
            let mut hold = HOLD.key(key);
            hold.key(held_key(key)).arg(&token).arg(LEASE_SECONDS);
            async move { hold.invoke_async::<i64>(&mut connection).await }
        });
        try_join_all(holds).await?;
        Ok(Hold { token, keys })
    }

    /// Releases the hold after the write; readers refill the keys.
    pub async fn release(&self, hold: &Hold) -> Result<(), Error> {
        count_trip();
        let releases = hold.keys.iter().map(|key| {
            let mut connection = self.connection.clone();
            let mut forget = FORGET.key(key);
            forget.key(held_key(key)).arg(&hold.token);
            async move { forget.invoke_async::<i64>(&mut connection).await }
        });
        try_join_all(releases).await?;
        Ok(())
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
