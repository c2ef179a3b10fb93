//! The shapes of data sets.

use clap::ValueEnum;

use crate::numbers::{float, whole};

/// The shape of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// 100,000 users, 3,000,000 follows, at most 59 a user, 100,000 posts
    Watmew,
    /// Readers whose followed authors wrote 20,000 posts among 2,000,000 (--scale 100: 200,000,000)
    Prostargram,
    /// 100 authors with up to 1,000,000 followers, the n-th with an n-th of them, 200 posts each
    Powerlaw,
}

/// The graph of follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Graph {
    /// Everybody follows this many on average, from one up to less than twice as many, at random.
    Even(u32),
    /// The last users follow this many authors each, at random.
    Readers { readers: u32, authors: u32 },
    /// The n-th author is followed by an n-th of all users.
    Powerlaw,
}

/// The numbers of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    /// The prefix of its folder.
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    /// All users but the probes.
    pub(crate) users: u32,
    /// The first users, who wrote posts, the same number each.
    pub(crate) authors: u32,
    pub(crate) posts: u64,
    pub(crate) graph: Graph,
    /// Additional users, each of whom follows one of these numbers of authors.
    pub(crate) probe_readers: Vec<u32>,
    /// Additional users, each of whom is followed by one of these numbers of users.
    pub(crate) probe_authors: Vec<u32>,
}

/// Readers where readers are not authors: as many as read and post on a schedule.
const READERS: u32 = 100;
/// Authors that the owner of the rebuilt feed follows.
pub(crate) const REBUILT_FEED_AUTHORS: u32 = 1000;
/// Followers of the author whose posts are paired with those of an author without followers.
pub(crate) const PAIRED_AUTHOR_FOLLOWERS: u32 = 60;

impl Shape {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Watmew => "watmew",
            Self::Prostargram => "prostargram",
            Self::Powerlaw => "powerlaw",
        }
    }

    /// Returns the numbers of the data set at a scale.
    pub(crate) fn size(self, scale: f64, seed: u64) -> Size {
        let scaled = |full: u64, least: u64| whole(float(full) * scale).max(least);
        let users = |full: u64, least: u64| u32::try_from(scaled(full, least)).unwrap_or(u32::MAX);
        let (users, authors, posts, graph) = match self {
            Self::Watmew => {
                // Even, because they come in pairs.
                let users = users(100_000, 100).next_multiple_of(2);
                (users, users, users.into(), Graph::Even(30))
            }
            Self::Prostargram => {
                let posts = scaled(2_000_000, 2_000);
                let authors = u32::try_from(posts / 100).unwrap_or(u32::MAX);
                let graph = Graph::Readers {
                    readers: READERS,
                    authors: authors.min(200),
                };
                let users = authors.saturating_add(READERS);
                (users, authors, u64::from(authors) * 100, graph)
            }
            Self::Powerlaw => {
                let users = users(1_000_000, 200);
                (users, 100, 20_000, Graph::Powerlaw)
            }
        };
        Size {
            name: self.name(),
            seed,
            users,
            authors,
            posts,
            graph,
            probe_readers: vec![REBUILT_FEED_AUTHORS.min(authors)],
            probe_authors: vec![PAIRED_AUTHOR_FOLLOWERS.min(users)],
        }
    }
}
