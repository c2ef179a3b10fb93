//! Comments.

use serde::Serialize;

use super::{Author, AuthorView, CommentId, CommentText, ImageHost, PostId, Timestamp, UserId};

/// A comment as stored. Its time of creation follows from its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// Which post it is about.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// What was written.
    pub text: CommentText,
}

impl Comment {
    /// In JSON, with its author as shown.
    pub fn view(self, author: Author, images: &ImageHost) -> CommentView {
        CommentView {
            id: self.id,
            post_id: self.post,
            author: author.view(images),
            text: self.text,
            created_at: self.id.created_at(),
        }
    }
}

/// A comment in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Comment"))]
pub struct CommentView {
    /// Its id.
    pub id: CommentId,
    /// Which post it is about.
    pub post_id: PostId,
    /// Who wrote it.
    pub author: AuthorView,
    /// The text as written.
    pub text: CommentText,
    /// When it was written.
    pub created_at: Timestamp,
}
