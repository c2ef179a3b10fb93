//! Reads of feeds during a history, and the conditions that hold of them at any moment.

use std::collections::BTreeSet;

use serde_json::Value;

use super::case::{Case, KnownPost};
use super::operations::Queue;
use super::reference::PostId;
use crate::support::backstage::id_of;

/// A walk through a feed that has not reached its end.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) cursor: String,
    pub(super) seen: Vec<PostId>,
    /// Items that existed throughout the walk.
    pub(super) expected: BTreeSet<PostId>,
}

impl Case {
    /// Returns whether a consumer died on a matching message that has not been handled since.
    pub(super) fn half_done(&self, queue: Queue, matches: impl Fn(&Value) -> bool) -> bool {
        self.queues[queue.position()]
            .iter()
            .any(|message| message.half_done && matches(&message.content))
    }

    pub(super) fn follow_half_done(&self, by: usize, whom: usize) -> bool {
        let (by, whom) = (&self.users[by].id, &self.users[whom].id);
        self.half_done(Queue::Follows, |content| {
            content["follower"] == **by && content["followee"] == **whom
        })
    }

    pub(super) async fn read(&mut self, by: usize, size: usize) {
        if !self.walking[by] {
            self.walking[by] = true;
            let followed = |known: &KnownPost| {
                self.applied.follows(by, known.author) && !self.follow_half_done(by, known.author)
            };
            // A user's own posts once they are answered, others' posts once they are fanned out.
            let shown = |id: &PostId, known: &KnownPost| {
                known.author == by || (self.fanned_out.contains(id) && followed(known))
            };
            let there = self
                .posts
                .iter()
                .filter(|(id, known)| known.deletion.is_none() && shown(id, known));
            let expected = there.map(|(id, _)| id.clone()).collect();
            self.walks[by] = Walk {
                expected,
                ..Walk::default()
            };
        }
        let path = format!("/v1/feed?limit={size}{}", self.walks[by].cursor);
        let (page, next) = self.users[by].page(&path).await;
        assert!(
            page.len() <= size,
            "{} posts by a limit of {size}",
            page.len()
        );
        assert!(
            next.is_none() || page.len() == size,
            "a page that isn't full, and more to come"
        );
        for post in &page {
            self.check(by, post);
            let id = id_of(post);
            let last = self.walks[by].seen.last();
            assert!(last.is_none_or(|last| *last > id), "{id} after {last:?}");
            self.walks[by].seen.push(id);
        }
        if let Some(next) = next {
            self.walks[by].cursor = format!("&cursor={next}");
            return;
        }
        self.walking[by] = false;
        let Walk { seen, expected, .. } = std::mem::take(&mut self.walks[by]);
        let missed: Vec<_> = expected.iter().filter(|id| !seen.contains(id)).collect();
        assert!(
            missed.is_empty(),
            "a whole walk missed {missed:?}, which were there all along: {seen:?}"
        );
    }

    /// Checks the rules that hold for a post in a feed at any moment.
    pub(super) fn check(&self, by: usize, post: &Value) {
        let id = id_of(post);
        let author = self.user(&post["author"]["id"]);
        let followed = self.applied.shows(by, author) || self.follow_half_done(by, author);
        assert!(
            followed,
            "{by} is shown {id} of {author}, and does not follow them"
        );
        let text = post["text"].as_str().unwrap();
        match self.posts.get(&id) {
            None => assert!(
                self.unanswered.contains(&(author, text.to_owned())),
                "nobody posted {post}"
            ),
            Some(known) => {
                assert_eq!(known.author, author, "{post}");
                assert_ne!(known.deletion, Some(true), "deleted: {post}");
                assert!(
                    known.texts.iter().any(|known| known == text),
                    "{post} shows none of {:?}",
                    known.texts
                );
            }
        }
        // A post whose deletion was tried without an answer may be gone from the store, which then counts no likes.
        let doubtful = (self.posts.get(&id)).is_some_and(|known| known.deletion.is_some());
        if !doubtful && !self.half_done(Queue::Likes, |content| content["post"] == *id) {
            assert_eq!(post["likes"], self.applied.like_count(&id), "{post}");
            assert_eq!(
                post["liked"],
                self.applied.likes(by, &id),
                "{by} and {post}"
            );
        }
    }
}
