//! The rows of a block: one in each user's list.

use super::item::{Item, item, s};

/// The attribute of A's row about B that holds the time since which A blocks B; the index `latest` has only such rows.
pub(super) const SINCE: &str = "since";
/// The attribute of A's row about B that says that B blocks A.
pub(super) const BLOCKED: &str = "blocked";
/// The attribute that replaces [`SINCE`] where B has left, so that the index `latest` has no such row.
pub(super) const KEPT: &str = "kept_since";

pub(super) fn key(of: impl ToString, other: impl ToString) -> Item {
    item([("user", s(of)), ("other", s(other))])
}
