//! Differences between the store's invariants and its content.

use std::fmt;

use super::Recount;
use crate::domain::{CatId, Follow, Handle, PostId, UserId};

/// A fact that two rows state, which are written together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pair {
    /// A follow, in the lists of both users.
    Follow(Follow),
    /// A block, in the lists of both users: the blocker, and the blocked one.
    Block(UserId, UserId),
    /// A block of a user who has left, in both lists: the blocker, and the name for the one who left.
    KeptBlock(UserId, String),
    /// A cat, in a row of its own and in its owner's list.
    Cat(CatId, UserId),
    /// A handle, in a row of its own and in its owner's profile.
    Handle(Handle, UserId),
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Follow(follow) => {
                let Follow { follower, followee } = follow;
                write!(f, "user {follower} follows user {followee}")
            }
            Self::Block(user, other) => write!(f, "user {user} blocks user {other}"),
            Self::KeptBlock(user, left) => write!(f, "user {user} blocks {left}"),
            Self::Cat(cat, owner) => write!(f, "cat {cat} is user {owner}'s"),
            Self::Handle(handle, owner) => write!(f, "handle {handle} is user {owner}'s"),
        }
    }
}

/// A violated invariant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Difference {
    /// A counter differs from the true number.
    Counter(Recount),
    /// Only one of two rows states the fact.
    Half(Pair),
    /// A post is missing from one of its lists, by the list's key.
    Unlisted(PostId, String),
    /// A list has a post that does not exist, or does not belong in it.
    Stray(PostId, String),
    /// A post's fan-out has been overdue for ten minutes, or was sent again six times.
    Overdue(PostId),
    /// A row of a table can't be read: the table, the row's key, and why.
    Unreadable(String, String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter(recount) => recount.fmt(f),
            Self::Half(pair) => write!(f, "{pair} by one of two rows only"),
            Self::Unlisted(post, list) => write!(f, "post {post} is missing from {list}"),
            Self::Stray(post, list) => write!(f, "post {post} does not belong in {list}"),
            Self::Overdue(post) => write!(f, "post {post} is not fanned out"),
            Self::Unreadable(table, row, why) => {
                write!(f, "the row {row} of {table} can't be read: {why}")
            }
        }
    }
}
