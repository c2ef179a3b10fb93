//! Likes and follows, and lists of them.

use super::super::Status;
use super::Group;
use super::operation::{Operation, delete, get, put};
use super::posts::POST;
use super::users::USER;
use crate::domain::UserView;

pub(super) const GROUP: Group = Group {
    name: "Likes and follows",
    description: "Likes and follows are queued and take effect within seconds; a caller's last request wins.",
    operations: &[
        LIKE_POST,
        UNLIKE_POST,
        LIST_LIKES,
        FOLLOW_USER,
        UNFOLLOW_USER,
        LIST_FOLLOWERS,
        LIST_FOLLOWING,
    ],
};

const NO_ID: (u16, &str) = (404, "The id is malformed, or nobody has the handle.");
const ONESELF: (u16, &str) = (422, "Nobody follows themselves.");
const TOO_MANY: (u16, &str) = (
    409,
    "The caller already follows the maximum number of users. Before the endpoint knows, such a follow is accepted without effect.",
);

const fn queued(operation: Operation) -> Operation {
    operation
        .description("Takes effect within seconds. It has no effect if the object does not exist or the caller may not see it.")
        .answers_status(202, "The queue has it.", Status::Queued)
}

/// `PUT /v1/posts/{id}/like`
pub const LIKE_POST: Operation = queued(put("/v1/posts/{id}/like", "likePost", "Like a post"))
    .parameters(&[POST])
    .problems(&[NO_ID]);

/// `DELETE /v1/posts/{id}/like`
pub const UNLIKE_POST: Operation =
    queued(delete("/v1/posts/{id}/like", "unlikePost", "Unlike a post"))
        .parameters(&[POST])
        .problems(&[NO_ID]);

/// `GET /v1/posts/{id}/likes`
pub const LIST_LIKES: Operation = get(
    "/v1/posts/{id}/likes",
    "listLikes",
    "List the users who like a post, latest first",
)
.parameters(&[POST])
.lists::<UserView>();

/// `PUT /v1/users/{id}/follow`
pub const FOLLOW_USER: Operation =
    queued(put("/v1/users/{id}/follow", "followUser", "Follow a user"))
        .parameters(&[USER])
        .problems(&[NO_ID, TOO_MANY, ONESELF]);

/// `DELETE /v1/users/{id}/follow`
pub const UNFOLLOW_USER: Operation = queued(delete(
    "/v1/users/{id}/follow",
    "unfollowUser",
    "Unfollow a user",
))
.parameters(&[USER])
.problems(&[NO_ID, ONESELF]);

/// `GET /v1/users/{id}/followers`
pub const LIST_FOLLOWERS: Operation = get(
    "/v1/users/{id}/followers",
    "listFollowers",
    "List a user's followers, latest first",
)
.parameters(&[USER])
.lists::<UserView>();

/// `GET /v1/users/{id}/following`
pub const LIST_FOLLOWING: Operation = get(
    "/v1/users/{id}/following",
    "listFollowing",
    "List the users whom a user follows, latest first",
)
.parameters(&[USER])
.lists::<UserView>();
