//! Posts, counts, authors, and what viewers did to posts: what a page of posts is made of.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future::try_join_all;
use redis::{Cmd, RedisError, Value, cmd};

use super::buckets::{full_key, stamp_key};
use super::feeds::{asks_shown, shown_of, wrote_key};
use super::push::read;
use super::{Cache, Error, count_trip, scripts};
use crate::domain::{Author, Invalidation, Like, Post, PostCounts, PostId, UserId, ViewerState};
use crate::planted::planted;

/// How long an object stays: a day. A lease lasts as long as a request may.
const TTL_SECONDS: u64 = 24 * 60 * 60;
const LEASE_SECONDS: u64 = 15;
/// The lifetime of a hold that nobody releases: all work under it must be over by then.
pub const HOLD_TIME: Duration = Duration::from_secs(LEASE_SECONDS);
/// The lifetime of what is known of a user's likes and saves.
const VIEWER_TTL_SECONDS: u64 = 60 * 60;

/// Objects that are about to be changed in the store. What the cache has of counts is shown until they are released, but
/// no longer than a request may last; authors, who may be leaving, are read from the store meanwhile. So they are right
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

/// What an object's key holds: a value, in JSON; that there is none; or nothing known (a lease
/// begins with `?`).
enum Cached<T> {
    Known(Option<T>),
    Nothing,
}

fn cached<T: serde::de::DeserializeOwned>(bytes: Option<Vec<u8>>) -> Cached<T> {
    match bytes {
        Some(bytes) => serde_json::from_slice(&bytes).map_or(Cached::Nothing, Cached::Known),
        None => Cached::Nothing,
    }
}

/// A token that a placeholder is known by. It is no JSON, nor anything that [`viewer_field`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease(String);

impl Lease {
    pub(super) fn new() -> Self {
        Self(format!("?{:016x}", rand::random::<u64>()))
    }

    pub(super) fn token(&self) -> &str {
        &self.0
    }
}

/// What a page of posts needs and the cache did not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Posts of which it is not known whether they exist.
    pub posts: Vec<PostId>,
    /// Posts whose counts are not known.
    pub counts: Vec<PostId>,
    /// Posts of which it is not known what the viewer did to them.
    pub viewer: Vec<PostId>,
    /// Authors that are not known.
    pub authors: Vec<UserId>,
}

impl Missing {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
            && self.counts.is_empty()
            && self.viewer.is_empty()
            && self.authors.is_empty()
    }
}

/// What is known of some posts; those known to be gone are in `gone`.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The posts.
    pub posts: HashMap<PostId, Post>,
    /// Those that do not exist, or no longer.
    pub gone: HashSet<PostId>,
    /// Their counts.
    pub counts: HashMap<PostId, PostCounts>,
    /// The viewer's state of each.
    pub viewer: HashMap<PostId, ViewerState>,
}

impl Known {
    /// Adds what is known of other posts.
    pub fn add(&mut self, other: &Self) {
        self.posts.extend(other.posts.clone());
        self.gone.extend(&other.gone);
        self.counts.extend(&other.counts);
        self.viewer.extend(&other.viewer);
    }
}

impl Known {
    /// As the cache answers what [`asks_posts`] asks.
    fn read(posts: &[PostId], answers: Vec<Value>) -> Result<Self, Error> {
        let mut known = Self::default();
        let mut answers: Vec<Vec<Option<Vec<u8>>>> = read(answers)?;
        let viewer = answers.pop().unwrap_or_default();
        for (&id, object) in posts.iter().zip(answers) {
            let mut object = object.into_iter();
            let (post, counts) = (object.next().flatten(), object.next().flatten());
            match cached::<Post>(post) {
                Cached::Known(Some(post)) => {
                    known.posts.insert(id, post);
                }
                Cached::Known(None) => {
                    known.gone.insert(id);
                }
                Cached::Nothing => {}
            }
            if let Cached::Known(counts) = cached::<PostCounts>(counts) {
                known.counts.insert(id, counts.unwrap_or_default());
            }
        }
        for (&id, field) in posts.iter().zip(viewer) {
            if let Some(state) = field.as_deref().and_then(viewer_state) {
                known.viewer.insert(id, state);
            }
        }
        Ok(known)
    }
}

/// What is known of some authors.
#[derive(Debug, Clone)]
pub struct KnownAuthors {
    /// Those that are known; of one who has left, that there is nothing to show.
    pub cards: HashMap<UserId, Option<Author>>,
    /// Those of them that the caller's feed shows (whom the caller follows, and the caller); `None` where that is
    /// not known.
    pub shown: Option<HashSet<UserId>>,
}

impl KnownAuthors {
    fn nobody() -> Self {
        Self {
            cards: HashMap::new(),
            shown: Some(HashSet::new()),
        }
    }

    /// As the cache answers what [`asks_authors`] asks.
    fn read(authors: &[UserId], mut answers: Vec<Value>) -> Result<Self, Error> {
        let Some(shown) = answers.pop() else {
            return Ok(Self::nobody());
        };
        let shown: Vec<bool> = redis::from_redis_value(shown).map_err(RedisError::from)?;
        let held_cards: Vec<Option<Vec<u8>>> = read(answers)?;
        let mut cards = HashMap::new();
        for (id, card) in authors.iter().zip(held_cards) {
            if let Cached::Known(author) = cached::<Author>(card) {
                cards.insert(id.clone(), author);
            }
        }
        Ok(Self {
            cards,
            shown: shown_of(authors, &shown),
        })
    }
}

/// A viewer's state of a post as a field's value: nothing, liked, saved, or both.
const fn viewer_field(state: ViewerState) -> &'static str {
    match (state.liked, state.saved) {
        (false, false) => "n",
        (true, false) => "l",
        (false, true) => "s",
        (true, true) => "b",
    }
}

/// Parses a field's value; `None` for a lease.
const fn viewer_state(field: &[u8]) -> Option<ViewerState> {
    let (liked, saved) = match field {
        b"n" => (false, false),
        b"l" => (true, false),
        b"s" => (false, true),
        b"b" => (true, true),
        _ => return None,
    };
    Some(ViewerState { liked, saved })
}

/// Asks what is known of posts: of each, and what the caller did to them.
fn asks_posts(caller: &UserId, posts: &[PostId]) -> Vec<Cmd> {
    if posts.is_empty() {
        return Vec::new();
    }
    let object = |&post: &PostId| {
        let mut get = cmd("MGET");
        get.arg(post_key(post)).arg(counts_key(post));
        get
    };
    let mut viewer = cmd("HMGET");
    viewer
        .arg(viewer_key(caller))
        .arg(posts.iter().map(|&post| field(post)).collect::<Vec<_>>());
    posts.iter().map(object).chain([viewer]).collect()
}

/// Asks what is known of authors: of each, and which of them the caller's feed shows.
fn asks_authors(caller: &UserId, authors: &[UserId]) -> Vec<Cmd> {
    if authors.is_empty() {
        return Vec::new();
    }
    let card = |author: &UserId| {
        let mut get = cmd("GET");
        get.arg(author_key(author));
        get
    };
    let shown = asks_shown(caller, authors);
    authors.iter().map(card).chain([shown]).collect()
}

/// How many commands ask for so many things of a kind.
fn asked<T>(things: &[T]) -> usize {
    match things.len() {
        0 => 0,
        several => several.saturating_add(1),
    }
}

pub(super) fn post_key(post: PostId) -> String {
    format!("post:{{{post}}}")
}

pub(super) fn counts_key(post: PostId) -> String {
    format!("counts:{{{post}}}")
}

pub(super) fn viewer_key(user: &UserId) -> String {
    format!("liked:{{{user}}}")
}

pub(super) fn author_key(user: &UserId) -> String {
    format!("author:{{{user}}}")
}

/// Returns the key of the writers that are about to change a key.
fn writers_key(key: &str) -> String {
    format!("held:{key}")
}

fn field(post: PostId) -> Vec<u8> {
    post.0.to_bytes().to_vec()
}

impl Cache {
    /// What is known of these posts to this caller, and of these authors: one round trip.
    pub async fn known(
        &self,
        caller: &UserId,
        posts: &[PostId],
        authors: &[UserId],
    ) -> Result<(Known, KnownAuthors), Error> {
        if posts.is_empty() && authors.is_empty() {
            return Ok((Known::default(), KnownAuthors::nobody()));
        }
        count_trip();
        let asks = || {
            let posts = asks_posts(caller, posts).into_iter();
            posts.chain(asks_authors(caller, authors)).collect()
        };
        let mut answers = self.each(asks).await?;
        let of_authors = answers.split_off(answers.len().saturating_sub(asked(authors)));
        Ok((
            Known::read(posts, answers)?,
            KnownAuthors::read(authors, of_authors)?,
        ))
    }

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

    /// Fills in what was missing, where the leases still stand: one round trip. What is missing in
    /// the answers of the store does not exist.
    pub async fn fill(
        &self,
        caller: &UserId,
        lease: &Lease,
        missing: &Missing,
        found: &Known,
        authors: &HashMap<UserId, Option<Author>>,
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
                json(&authors.get(author).and_then(Option::as_ref)),
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
        let forget = scripts::FORGET.key(key);
        forget.invoke_async::<i64>(&mut connection).await?;
        Ok(())
    }

    /// Forgets all that is kept for a user, who has been erased in the store.
    pub async fn forget_user(&self, user: &UserId) -> Result<(), Error> {
        count_trip();
        let mut del = cmd("DEL");
        del.arg(viewer_key(user));
        del.arg(stamp_key(user)).arg(full_key(user));
        let mut del_wrote = cmd("DEL");
        del_wrote.arg(wrote_key(user));
        let users = HashSet::from([user.clone()]);
        futures::try_join!(
            self.send::<i64>(del),
            self.send::<i64>(del_wrote),
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
        let mut put = scripts::PUT_COUNTS.key(&key);
        put.key(writers_key(&key)).arg(token).arg(json(&counts));
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
            let mut hold = scripts::HOLD.key(key);
            hold.key(writers_key(key)).arg(&token).arg(LEASE_SECONDS);
            async move { hold.invoke_async::<i64>(&mut connection).await }
        });
        try_join_all(holds).await?;
        Ok(Hold { token, keys })
    }

    /// Lets go, once the store has it: whoever needs it reads the store.
    pub async fn release(&self, hold: &Hold) -> Result<(), Error> {
        count_trip();
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
