//! Invalidations of the cache.

use std::collections::HashSet;

use super::{Like, UserId};

/// A part of the cache to forget after a change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalidation {
    /// The feeds and follows of these users.
    Feeds(HashSet<UserId>),
    /// These likes, and the counts of their posts.
    Likes(HashSet<Like>),
}
