//! The amount of measuring: enough for reliable figures, or just enough to show that the benchmark works.

use std::time::Duration;

/// Numbers of repetitions, and durations.
#[derive(Debug, Clone)]
pub(crate) struct Effort {
    /// Rounds of every measurement, with alternatives in turns.
    pub(crate) rounds: u32,
    /// The duration of a round with clients.
    pub(crate) round: Duration,
    /// Numbers of concurrent clients.
    pub(crate) clients: Vec<u32>,
    /// Users who read.
    pub(crate) readers: u32,
    /// People who read and post on a schedule, and for how long.
    pub(crate) people: u32,
    pub(crate) people_for: Duration,
    /// Pairs of posts.
    pub(crate) pairs: u32,
    /// Posts that are watched until the last feed has them, by authors with many followers and with few.
    pub(crate) fan_outs: u32,
    pub(crate) short_fan_outs: u32,
    /// Feeds that are pushed to, and raw pushes of a round.
    pub(crate) feeds: u32,
    /// Likes of one post.
    pub(crate) likes: u32,
    /// Calls whose mean cost is reported.
    pub(crate) calls: u32,
    /// Rebuilds, and concurrent readers of each.
    pub(crate) rebuilds: u32,
    pub(crate) waiting: u32,
}

impl Effort {
    /// Returns enough for reliable figures, for a data set at a scale.
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

    /// Returns just enough to show that the benchmark works.
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
