//! The feed.

use super::Group;
use super::operation::{Operation, get};
use crate::domain::PostView;

pub(super) const GROUP: Group = Group {
    name: "Feed",
    description: "Posts by the users whom the caller follows.",
    operations: &[GET_FEED],
};

/// `GET /v1/feed`
pub const GET_FEED: Operation = get("/v1/feed", "getFeed", "Read the feed")
    .description("Posts by those whom the caller follows, and the caller's own, newest first. A page is full while there is more, unless nearly all that is left is hidden from the caller.")
    .lists::<PostView>();
