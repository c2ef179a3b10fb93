//! Who wrote which post, as far as this process has seen it: a post's author never changes.
//!
//! So authors can be asked for together with their posts, and not only once these are known.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::domain::{Post, PostId, UserId};

/// How many posts are remembered, those that were shown last: under 2 MB.
const POSTS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The authors of the posts that were shown last.
#[derive(Debug)]
pub(super) struct Writers(Mutex<LruCache<PostId, UserId>>);

impl Writers {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(POSTS)))
    }

    fn known(&self) -> MutexGuard<'_, LruCache<PostId, UserId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The authors of those of these posts that are remembered.
    pub(super) fn of(&self, posts: &[PostId]) -> Vec<UserId> {
        let mut known = self.known();
        let authors = posts.iter().filter_map(|post| known.get(post).cloned());
        authors.collect()
    }

    /// Forgets posts that are gone.
    pub(super) fn forget<'a>(&self, posts: impl IntoIterator<Item = &'a PostId>) {
        let mut known = self.known();
        for post in posts {
            known.pop(post);
        }
    }

    /// Remembers who wrote these posts.
    pub(super) fn remember<'a>(&self, posts: impl Iterator<Item = &'a Post>) {
        let mut known = self.known();
        for post in posts {
            known.put(post.id, post.author.clone());
        }
    }
}
