//! The cached part of a feed.
//!
//! Fan-out pushes ids onto a list in whatever order and however often they are delivered; the window
//! is what the list means. It holds every post of the feed above its floor: the newest
//! [`FEED_CAP`] of all that was ever pushed are always there, because trimming drops the smallest.
//! So a list of fewer distinct ids has never been trimmed and is the whole feed, and in a longer
//! one only the newest `FEED_CAP` count: below them there may be gaps.

use super::PostId;

/// How many of a feed's posts are kept in the cache.
pub const FEED_CAP: usize = 200;

/// The cached part of a feed, newest first, each id once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedWindow {
    ids: Vec<PostId>,
    whole: bool,
}

impl FeedWindow {
    /// What a list of pushed ids means, in any order and with repetitions.
    pub fn new(mut pushed: Vec<PostId>) -> Self {
        pushed.sort_unstable_by(|a, b| b.cmp(a));
        pushed.dedup();
        let whole = pushed.len() < FEED_CAP;
        pushed.truncate(FEED_CAP);
        Self { ids: pushed, whole }
    }

    /// Whether the feed has nothing older than what is here.
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// The ids, newest first.
    pub fn ids(&self) -> &[PostId] {
        &self.ids
    }

    /// The ids after a position (older than it), newest first.
    pub fn after(&self, position: Option<PostId>) -> &[PostId] {
        let start = position.map_or(0, |position| self.ids.partition_point(|&id| id >= position));
        self.ids.get(start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Id;
    use proptest::prelude::*;

    fn id(n: u64) -> PostId {
        PostId(Id::from_u64(n).unwrap())
    }

    proptest! {
        /// Pages of any size walk the window once each, newest first, whatever the pushes were.
        #[test]
        fn pages_walk_each_id_once(pushed in prop::collection::vec(0..500_u64, 0..400), size in 1..30_usize) {
            let window = FeedWindow::new(pushed.iter().copied().map(id).collect());
            let mut walked = Vec::new();
            while let page @ [_, ..] = window.after(walked.last().copied()) {
                walked.extend(page.iter().copied().take(size));
            }
            let mut expected: Vec<PostId> = pushed.into_iter().map(id).collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            expected.dedup();
            prop_assert_eq!(window.is_whole(), expected.len() < FEED_CAP);
            expected.truncate(FEED_CAP);
            prop_assert_eq!(walked, expected);
        }
    }
}
