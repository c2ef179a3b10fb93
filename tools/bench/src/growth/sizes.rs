//! The measured sizes, and the amount of measuring.

use crate::error::Result;
use crate::numbers::whole;
use crate::options::Options;
use crate::shape::{Graph, Size};

/// Authors that everybody follows, on average.
const FOLLOWS: u32 = 10;

/// The sizes and repetitions.
pub(super) struct Sizes {
    pub(super) rounds: u32,
    pub(super) calls: u32,
    pub(super) posts: u32,
    pub(super) users: Vec<u32>,
    pub(super) all_posts: Vec<u64>,
    pub(super) follows: Vec<u32>,
    pub(super) followers: Vec<u32>,
}

impl Sizes {
    pub(super) fn new(options: &Options) -> Result<Self> {
        if options.quick {
            return Ok(Self {
                rounds: 1,
                calls: 3,
                posts: 2,
                users: vec![100, 200],
                all_posts: vec![200, 400],
                follows: vec![5, 50],
                followers: vec![1, 100],
            });
        }
        let scale = options.scale()?;
        let scaled = |full: u32| {
            let many = u32::try_from(whole(f64::from(full) * scale)).unwrap_or(full);
            many.max(100).next_multiple_of(2)
        };
        Ok(Self {
            rounds: 5,
            calls: 40,
            posts: 8,
            users: vec![scaled(1_000), scaled(10_000), scaled(100_000)],
            all_posts: [10_000, 100_000, 1_000_000]
                .map(|posts| scaled(posts).into())
                .into(),
            follows: vec![10, 30, 100, 300, 1_000],
            followers: vec![10, 100, scaled(1_000), scaled(10_000), scaled(100_000)],
        })
    }

    /// Returns a data set of this many users and posts.
    pub(super) fn size(&self, users: u32, posts: u64, seed: u64) -> Size {
        Size {
            name: "growth",
            seed,
            users,
            authors: users,
            posts,
            graph: Graph::Even(FOLLOWS),
            probe_readers: self.follows.iter().map(|many| *many.min(&users)).collect(),
            probe_authors: self
                .followers
                .iter()
                .map(|many| *many.min(&users))
                .collect(),
        }
    }
}
