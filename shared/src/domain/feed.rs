//! Known parts of lists of posts, and their merging.
//!
//! A list that is kept short (a feed or an author's posts in the cache, the recent posts of an author in the store)
//! knows its newest posts and its floor: every post of the list that is newer than the floor is known. Posts may be
//! delivered in any order and repeatedly; trimming the list raises the floor to the newest dropped post. A post that
//! arrives late, below the floor, is ignored, since there may be gaps around it.

use super::PostId;

/// The default number of posts that the cache keeps of a list.
pub const FEED_LENGTH: usize = 200;

/// A list of posts, newest first, each once: all that are newer than its floor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostWindow {
    ids: Vec<PostId>,
    floor: Option<PostId>,
}

impl PostWindow {
    /// Creates a list of posts, which may come in any order and repeatedly. Without a floor the list is complete.
    pub fn new(mut ids: Vec<PostId>, floor: Option<PostId>) -> Self {
        ids.retain(|id| Some(*id) > floor);
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        Self { ids, floor }
    }

    /// Returns the posts, newest first.
    pub fn ids(&self) -> &[PostId] {
        &self.ids
    }

    /// Returns the newest post that may be missing; `None` if the list is complete.
    pub const fn floor(&self) -> Option<PostId> {
        self.floor
    }

    /// Returns the posts after a position (older than it), newest first.
    pub fn after(&self, position: Option<PostId>) -> &[PostId] {
        let start = position.map_or(0, |position| self.ids.partition_point(|&id| id >= position));
        self.ids.get(start..).unwrap_or_default()
    }

    /// Returns whether a post is known to be on the list.
    pub fn contains(&self, post: PostId) -> bool {
        self.ids.binary_search_by(|id| post.cmp(id)).is_ok()
    }

    /// Trims the list to its newest `most` posts.
    #[must_use]
    pub fn trimmed(mut self, most: usize) -> Self {
        if let Some(dropped) = self.ids.get(most) {
            self.floor = Some(*dropped);
            self.ids.truncate(most);
        }
        self
    }

    /// Merges lists into one, which has the highest of their floors.
    pub fn merged(lists: impl IntoIterator<Item = Self>) -> Self {
        let mut ids = Vec::new();
        let mut floor = None;
        for mut list in lists {
            ids.append(&mut list.ids);
            floor = floor.max(list.floor);
        }
        Self::new(ids, floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Id;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(n: u64) -> PostId {
        PostId(Id::from_u64(n).unwrap())
    }

    /// Returns a list that got these posts in this order and was trimmed to `most` after each.
    fn kept(posts: &[u64], most: usize) -> PostWindow {
        posts.iter().fold(PostWindow::default(), |list, &post| {
            let mut ids = list.ids.clone();
            ids.push(id(post));
            PostWindow::new(ids, list.floor).trimmed(most)
        })
    }

    proptest! {
        /// Pages of any size walk the list once each, newest first, whatever was added.
        #[test]
        fn pages_contain_each_id_once(pushed in prop::collection::vec(0..500_u64, 0..400), size in 1..30_usize) {
            let window = PostWindow::new(pushed.iter().copied().map(id).collect(), None);
            let mut walked = Vec::new();
            while let page @ [_, ..] = window.after(walked.last().copied()) {
                walked.extend(page.iter().copied().take(size));
            }
            let expected: BTreeSet<u64> = pushed.into_iter().collect();
            prop_assert_eq!(walked, expected.into_iter().rev().map(id).collect::<Vec<_>>());
        }

        /// Checks that merged lists show every post above their floor and no other, whatever length they were trimmed
        /// to.
        #[test]
        fn merged_lists_have_no_gaps(
            lists in prop::collection::vec((prop::collection::vec(0..200_u64, 0..40), 1..20_usize), 0..6),
        ) {
            let merged = PostWindow::merged(lists.iter().map(|(posts, most)| kept(posts, *most)));
            let all: BTreeSet<PostId> = lists.iter().flat_map(|(posts, _)| posts).copied().map(id).collect();
            let expected: Vec<PostId> = all.into_iter().rev().filter(|id| Some(*id) > merged.floor).collect();
            prop_assert_eq!(&merged.ids, &expected);
            // A list that was never trimmed hides nothing.
            let short = lists.iter().all(|(posts, most)| posts.iter().collect::<BTreeSet<_>>().len() <= *most);
            prop_assert!(!short || merged.floor.is_none());
        }
    }
}
