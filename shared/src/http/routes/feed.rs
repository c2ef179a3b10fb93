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
    .description("Returns posts of the users whom the caller follows, and the caller's own, newest first. A page is full as long as there are more posts, unless nearly all of the rest are hidden from the caller.")
    .lists::<PostView>();
