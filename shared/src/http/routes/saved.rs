//! Saved posts.

use super::Group;
use super::operation::{Operation, delete, get, put};
use super::posts::POST;
use super::users::WITHDRAWN;
use crate::domain::PostView;

pub(super) const GROUP: Group = Group {
    name: "Saved",
    description: "Posts that the caller keeps for later.",
    operations: &[SAVE_POST, UNSAVE_POST, LIST_SAVED],
};

/// `PUT /v1/posts/{id}/save`
pub const SAVE_POST: Operation = put("/v1/posts/{id}/save", "savePost", "Save a post")
    .parameters(&[POST])
    .empty("The post is saved.")
    .problems(&[(403, WITHDRAWN)]);

/// `DELETE /v1/posts/{id}/save`
pub const UNSAVE_POST: Operation = delete("/v1/posts/{id}/save", "unsavePost", "Unsave a post")
    .parameters(&[POST])
    .empty("The post is not saved.");

/// `GET /v1/me/saved`
pub const LIST_SAVED: Operation = get(
    "/v1/me/saved",
    "listSaved",
    "List the caller's saved posts, latest saved first",
)
.lists::<PostView>();
