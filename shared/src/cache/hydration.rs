//! Hydration: everything the cache knows of posts and authors, in one round trip.

use std::collections::HashSet;
use std::sync::Arc;

use redis::{Cmd, RedisError, Value, cmd};
use serde::de::DeserializeOwned;

use super::keys::{author_key, counts_key, field, following_key, post_key, viewer_key};
use super::nodes::read;
use super::{Cache, Error, count_round_trip};
use crate::domain::{Author, HydratedPosts, Post, PostCounts, PostId, UserId, ViewerState};

/// The usual length of a command with one or two keys.
const COMMAND_BYTES: usize = 64;

/// The requested authors whom the viewer follows, and the viewer, if requested; `None` if the follows are not in the
/// cache.
pub type Followed = Option<HashSet<UserId>>;

/// The parts of a page of posts that the cache does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Posts that are not known to exist or to be gone.
    pub posts: Vec<PostId>,
    /// Posts whose counts are not known.
    pub counts: Vec<PostId>,
    /// Posts for which the viewer's state is not known.
    pub viewer: Vec<PostId>,
    /// Authors that are not known.
    pub authors: Vec<UserId>,
}

impl Missing {
    /// Returns true if nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
            && self.counts.is_empty()
            && self.viewer.is_empty()
            && self.authors.is_empty()
    }
}

impl Cache {
    /// Reads these posts as the viewer sees them, these authors, and which of them the viewer follows, in one round trip.
    pub async fn hydrate(
        &self,
        viewer: &UserId,
        posts: &[PostId],
        authors: &[UserId],
    ) -> Result<(HydratedPosts, Followed), Error> {
        if posts.is_empty() && authors.is_empty() {
            return Ok((HydratedPosts::default(), Some(HashSet::new())));
        }
        count_round_trip();
        let ask = || {
            let posts = ask_posts(viewer, posts).into_iter();
            posts.chain(ask_authors(viewer, authors)).collect()
        };
        let mut answers = self.send_each(ask).await?;
        let of_authors = answers.split_off(answers.len().saturating_sub(asked(authors)));
        let mut known = HydratedPosts::default();
        self.read_posts(posts, answers, &mut known)?;
        let followed = self.read_authors(authors, of_authors, &mut known)?;
        Ok((known, followed))
    }

    /// Reads the answers to [`ask_posts`].
    fn read_posts(
        &self,
        posts: &[PostId],
        answers: Vec<Value>,
        known: &mut HydratedPosts,
    ) -> Result<(), Error> {
        let mut answers: Vec<Vec<Option<Vec<u8>>>> = read(answers)?;
        let states = answers.pop().unwrap_or_default();
        for (&id, answer) in posts.iter().zip(answers) {
            let mut answer = answer.into_iter();
            let (post, counts) = (answer.next().flatten(), answer.next().flatten());
            match post.and_then(|post| self.parse_post(id, post)) {
                Some(Some(post)) => {
                    known.posts.insert(id, post);
                }
                Some(None) => {
                    known.gone.insert(id);
                }
                None => {}
            }
            if let Some(counts) = counts.as_deref().and_then(object::<PostCounts>) {
                known.counts.insert(id, counts.unwrap_or_default());
            }
        }
        for (&id, state) in posts.iter().zip(states) {
            if let Some(state) = state.as_deref().and_then(viewer_state) {
                known.viewer.insert(id, state);
            }
        }
        Ok(())
    }

    /// Reads the answers to [`ask_authors`].
    fn read_authors(
        &self,
        authors: &[UserId],
        mut answers: Vec<Value>,
        known: &mut HydratedPosts,
    ) -> Result<Followed, Error> {
        let Some(followed) = answers.pop() else {
            return Ok(Some(HashSet::new()));
        };
        let followed: Vec<bool> = redis::from_redis_value(followed).map_err(RedisError::from)?;
        let cards: Vec<Option<Vec<u8>>> = read(answers)?;
        for (id, card) in authors.iter().zip(cards) {
            if let Some(author) = card.and_then(|card| self.parse_author(id, card)) {
                known.authors.insert(id.clone(), author);
            }
        }
        let Some((true, followed)) = followed.split_first() else {
            return Ok(None);
        };
        let followed = authors.iter().zip(followed).filter(|(_, is)| **is);
        Ok(Some(followed.map(|(author, _)| author.clone()).collect()))
    }

    /// Parses a post as [`object`] does, unless this process did so before.
    #[expect(
        clippy::option_option,
        reason = "nothing known, known to be gone, or a post"
    )]
    fn parse_post(&self, id: PostId, bytes: Vec<u8>) -> Option<Option<Arc<Post>>> {
        let memo = &self.parsed.posts;
        if let Some(post) = memo.get(&id, |known| *known == bytes) {
            return Some(Some(post));
        }
        let Some(post) = object::<Post>(&bytes)?.map(Arc::new) else {
            return Some(None);
        };
        // The parsed post takes about as much as its bytes.
        let weight = bytes.len().saturating_mul(2);
        memo.put(id, bytes, Arc::clone(&post), weight);
        Some(Some(post))
    }

    /// Parses an author likewise.
    #[expect(
        clippy::option_option,
        reason = "nothing known, known to have left, or an author"
    )]
    fn parse_author(&self, id: &UserId, bytes: Vec<u8>) -> Option<Option<Arc<Author>>> {
        let memo = &self.parsed.authors;
        if let Some(author) = memo.get(id, |known| *known == bytes) {
            return Some(author);
        }
        let author = object::<Author>(&bytes)?.map(Arc::new);
        let weight = bytes.len().saturating_mul(2);
        memo.put(id.clone(), bytes, author.clone(), weight);
        Some(author)
    }
}

/// Returns the commands that ask for posts, their counts, and the viewer's state of them.
fn ask_posts(viewer: &UserId, posts: &[PostId]) -> Vec<Cmd> {
    if posts.is_empty() {
        return Vec::new();
    }
    let object = |&post: &PostId| {
        let mut get = Cmd::with_capacity(3, COMMAND_BYTES);
        get.arg("MGET").arg(post_key(post)).arg(counts_key(post));
        get
    };
    let mut states = cmd("HMGET");
    states
        .arg(viewer_key(viewer))
        .arg(posts.iter().map(|&post| field(post)).collect::<Vec<_>>());
    posts.iter().map(object).chain([states]).collect()
}

/// Returns the commands that ask for authors, and which of them the viewer follows.
fn ask_authors(viewer: &UserId, authors: &[UserId]) -> Vec<Cmd> {
    if authors.is_empty() {
        return Vec::new();
    }
    let card = |author: &UserId| {
        let mut get = Cmd::with_capacity(2, COMMAND_BYTES);
        get.arg("GET").arg(author_key(author));
        get
    };
    let followed = ask_followed(viewer, authors);
    authors.iter().map(card).chain([followed]).collect()
}

/// Returns the number of commands that ask for these things.
fn asked<T>(things: &[T]) -> usize {
    match things.len() {
        0 => 0,
        several => several.saturating_add(1),
    }
}

/// Returns the command that asks which of these authors a viewer follows.
fn ask_followed(viewer: &UserId, authors: &[UserId]) -> Cmd {
    let mut ask = cmd("SMISMEMBER");
    // The viewer is a member of their own set, so an answer without the viewer means that there is no set.
    ask.arg(following_key(viewer))
        .arg(viewer.as_str())
        .arg(authors.iter().map(UserId::as_str).collect::<Vec<_>>());
    ask
}

/// Parses an object: a value in JSON, or `null` for one that does not exist. Returns `None` if nothing is known, for
/// example while there is a lease in its place.
#[expect(
    clippy::option_option,
    reason = "nothing known, known to be none, or a value"
)]
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Option<Option<T>> {
    serde_json::from_slice(bytes).ok()
}

/// Returns a viewer's state of a post as a field's value: nothing, liked, saved, or both.
pub(super) const fn viewer_field(state: ViewerState) -> &'static str {
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
