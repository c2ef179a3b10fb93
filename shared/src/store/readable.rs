//! Batches of reads in which some items can't be read. An overloaded partition refuses reads, but a page that also
//! shows other items must not fail because of that.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use crate::domain::{PostCounts, PostId};

/// The answers to a batch of reads, some of which may have failed.
#[derive(Debug, Clone)]
pub struct Readable<T, K> {
    /// The answers.
    pub found: T,
    /// The keys of which nothing could be read.
    pub unread: HashSet<K>,
}

/// The number of posts whose last known counts are remembered: under 1 MB.
const POSTS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The counts of the posts that this process has shown last.
#[derive(Debug, Clone)]
pub(super) struct LastCounts(Arc<Mutex<LruCache<PostId, PostCounts>>>);

impl LastCounts {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(POSTS))))
    }

    pub(super) fn remember(&self, counts: &HashMap<PostId, PostCounts>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (&post, &counts) in counts {
            last.put(post, counts);
        }
    }

    /// Returns the remembered counts of these posts.
    pub(super) fn of(&self, posts: &HashSet<PostId>) -> HashMap<PostId, PostCounts> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = posts.iter();
        known
            .filter_map(|post| Some((*post, *last.get(post)?)))
            .collect()
    }
}
