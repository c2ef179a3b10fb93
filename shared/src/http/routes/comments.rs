//! Comments.

use super::super::body::body;
use super::Group;
use super::operation::{Operation, Parameter, delete, get, post};
use super::posts::POST;
use super::users::WITHDRAWN;
use crate::domain::{CommentId, CommentText, CommentView};

pub(super) const GROUP: Group = Group {
    name: "Comments",
    description: "Comments on posts.",
    operations: &[CREATE_COMMENT, LIST_COMMENTS, DELETE_COMMENT],
};

const COMMENT: Parameter =
    Parameter::path::<CommentId>("comment_id", "The comment's id.", "0apy9hm8v5e1q");

body! {
    /// A comment to write.
    #[cfg_attr(feature = "openapi", schemars(example = serde_json::json!({ "text": "귀여워!" })))]
    pub struct NewComment {
        /// The text.
        pub text: CommentText,
    }
}

/// `POST /v1/posts/{id}/comments`
pub const CREATE_COMMENT: Operation = post(
    "/v1/posts/{id}/comments",
    "createComment",
    "Comment on a post",
)
.parameters(&[POST])
.takes::<NewComment>()
.creates::<CommentView>("The comment.")
.problems(&[
    (403, WITHDRAWN),
    (422, "The `Idempotency-Key` was used for another request."),
]);

/// `GET /v1/posts/{id}/comments`
pub const LIST_COMMENTS: Operation = get(
    "/v1/posts/{id}/comments",
    "listComments",
    "List a post's comments, newest first",
)
.parameters(&[POST])
.lists::<CommentView>();

/// `DELETE /v1/posts/{id}/comments/{comment_id}`
pub const DELETE_COMMENT: Operation = delete(
    "/v1/posts/{id}/comments/{comment_id}",
    "deleteComment",
    "Delete a comment",
)
.description("The comment's author and the post's author may delete it, even if one of them blocks the other.")
.parameters(&[POST, COMMENT])
.empty("The comment is deleted.")
.problems(&[(
    403,
    "Only the comment's author and the post's author may delete it, and no withdrawn account may.",
)]);
