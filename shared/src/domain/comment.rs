//! Comments.

use serde::Serialize;

use super::{AuthorView, CommentId, CommentText, PostId, Timestamp, UserId};

/// A comment as stored. Its time of creation follows from its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// The post that it comments on.
    pub post: PostId,
    /// The author.
    pub author: UserId,
    /// The text.
    pub text: CommentText,
}

/// A comment in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Comment"))]
pub struct CommentView {
    /// Its id.
    pub id: CommentId,
    /// The post that it comments on.
    pub post_id: PostId,
    /// The author.
    pub author: AuthorView,
    /// The text as written.
    pub text: CommentText,
    /// The time of writing.
    pub created_at: Timestamp,
}
