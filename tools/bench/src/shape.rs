//! The shapes of data sets.

use clap::ValueEnum;

use crate::numbers::{float, whole};

/// What a data set is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// 100,000 users, 3,000,000 follows, at most 59 a user, 100,000 posts
    Watmew,
    /// Readers whose followed authors wrote 20,000 posts among 2,000,000 (--scale 100: 200,000,000)
    Prostargram,
    /// 100 authors with up to 1,000,000 followers, the n-th with an n-th of them, 200 posts each
    Powerlaw,
}

/// Who follows whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Graph {
    /// Everybody follows so many on average, from one up to one less than twice as many, at random.
    Even(u32),
    /// The last users follow so many authors each, at random.
    Readers { readers: u32, authors: u32 },
    /// The n-th author is followed by an n-th of all users.
    Powerlaw,
}

/// How much of what a data set has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    /// What its folder starts with.
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    /// All but the probes.
    pub(crate) users: u32,
    /// The first users: those who wrote posts, all of them alike many.
    pub(crate) authors: u32,
    pub(crate) posts: u64,
    pub(crate) graph: Graph,
    /// Further users: for each number, one who follows so many authors.
    pub(crate) probe_readers: Vec<u32>,
    /// Further users: for each number, one whom so many users follow.
    pub(crate) probe_authors: Vec<u32>,
}

/// How many readers there are where readers are no authors: as many as read and post by the clock.
const READERS: u32 = 100;
/// How many authors the feed that is rebuilt follows.
pub(crate) const REBUILT: u32 = 1000;
/// How many followers the author has whose posts are paired with those of an author with none.
pub(crate) const PAIRED: u32 = 60;

impl Shape {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Watmew => "watmew",
            Self::Prostargram => "prostargram",
            Self::Powerlaw => "powerlaw",
        }
    }

    /// The data set, so many times as large as it says.
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
            probe_readers: vec![REBUILT.min(authors)],
            probe_authors: vec![PAIRED.min(users)],
        }
    }
}
