//! How much is measured: enough to tell, or as little as shows that the benchmark still works.

use std::time::Duration;

/// How often and how long.
#[derive(Debug, Clone)]
pub(crate) struct Effort {
    /// How often everything is measured each way, in turns.
    pub(crate) rounds: u32,
    /// How long clients call in one round.
    pub(crate) round: Duration,
    /// How many clients call at a time.
    pub(crate) clients: Vec<u32>,
    /// How many users read.
    pub(crate) readers: u32,
    /// How many people read and post by the clock, and for how long.
    pub(crate) people: u32,
    pub(crate) people_for: Duration,
    /// Pairs of posts.
    pub(crate) pairs: u32,
    /// Posts that are watched until the last feed has them, to many followers and to few.
    pub(crate) fan_outs: u32,
    pub(crate) short_fan_outs: u32,
    /// Feeds that are pushed onto, and raw pushes of a round.
    pub(crate) feeds: u32,
    /// Likes of one post.
    pub(crate) likes: u32,
    /// Calls of which the mean cost is told.
    pub(crate) calls: u32,
    /// Rebuilds, and who waits for one.
    pub(crate) rebuilds: u32,
    pub(crate) waiting: u32,
}

impl Effort {
    /// Enough to tell, of a data set that is so many times as large as it may be.
    pub(crate) fn full(scale: f64) -> Self {
        let scaled = |full: u32, least: u32| {
            let many = crate::numbers::whole(f64::from(full) * scale.min(1.0));
            u32::try_from(many).unwrap_or(full).max(least)
        };
        Self {
            rounds: 3,
            round: Duration::from_secs(3),
            clients: vec![1, 2, 4, 8, 16, 32, 64],
            readers: 500,
            people: 100,
            people_for: Duration::from_secs(30),
            pairs: 100,
            fan_outs: 5,
            short_fan_outs: 300,
            feeds: scaled(100_000, 1_000),
            likes: scaled(100_000, 1_000),
            calls: 100,
            rebuilds: 20,
            waiting: 50,
        }
    }

    /// As little as shows that it works.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 2,
            round: Duration::from_millis(200),
            clients: vec![1, 4],
            readers: 20,
            people: 10,
            people_for: Duration::from_secs(3),
            pairs: 3,
            fan_outs: 2,
            short_fan_outs: 3,
            feeds: 200,
            likes: 100,
            calls: 5,
            rebuilds: 2,
            waiting: 10,
        }
    }
}
