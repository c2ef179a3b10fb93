//! The names of the keys. The module `cache` lists them.

use crate::domain::{PostId, UserId};

pub(super) fn feed_key(user: &UserId) -> String {
    format!("feed:{{{user}}}")
}

pub(super) fn timeline_key(author: &UserId) -> String {
    format!("timeline:{{{author}}}")
}

pub(super) fn following_key(user: &UserId) -> String {
    format!("following:{{{user}}}")
}

pub(super) fn viewer_key(user: &UserId) -> String {
    format!("liked:{{{user}}}")
}

/// Returns the field of a post in the hash of [`viewer_key`].
pub(super) fn field(post: PostId) -> Vec<u8> {
    post.0.to_bytes().to_vec()
}

pub(super) fn post_key(post: PostId) -> String {
    format!("post:{{{post}}}")
}

pub(super) fn counts_key(post: PostId) -> String {
    format!("counts:{{{post}}}")
}

pub(super) fn author_key(user: &UserId) -> String {
    format!("author:{{{user}}}")
}

/// Returns the key of the writers that hold a key.
pub(super) fn writers_key(key: &str) -> String {
    format!("held:{key}")
}

pub(super) fn calls_key(caller: &UserId, route: &str) -> String {
    format!("calls:{{{caller}}}:{route}")
}

pub(super) fn stamp_key(user: &UserId) -> String {
    format!("stamp:{{{user}}}")
}

pub(super) fn follow_limit_key(user: &UserId) -> String {
    format!("full:{{{user}}}")
}
