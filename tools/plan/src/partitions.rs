//! The hottest partitions of the tables. A partition takes 1,000 write units and 3,000 read units a second, however much
//! the table takes.

use serde::Serialize;

use crate::Error;
use crate::template::Template;
use crate::traffic::{Traffic, batch_size};
use crate::usage::Usage;

/// Write units a second of one partition.
pub(crate) const WRITES: f64 = 1_000.0;
/// Read units a second of one partition.
pub(crate) const READS: f64 = 3_000.0;
/// Partitions of a post's likes.
pub(crate) const LIKE_SHARDS: f64 = 16.0;
/// Partitions of a tag's list and of an hour's trends (shared/src/store/trends/mod.rs, `SHARDS`).
const TAG_SHARDS: f64 = 16.0;
/// Partitions of the outbox's index (shared/src/store/outbox.rs, `SHARDS`).
const OUTBOX_SHARDS: f64 = 8.0;
/// Likes in one transaction with their counter.
pub(crate) const LIKES_PER_TRANSACTION: f64 = 99.0;
/// The share of posts that have the most popular tag.
const HOT_TAG: f64 = 0.2;

/// A partition that may be hot.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Partition {
    pub what: String,
    /// Units a second that the load needs.
    pub units: f64,
    /// Units a second that the partition takes.
    pub limit: f64,
}

impl Partition {
    /// Returns the used share.
    pub(crate) fn used(&self) -> f64 {
        self.units / self.limit
    }
}

/// Returns the number of partitions that an author's followers are spread over.
pub(crate) fn follower_shards(followers: f64) -> f64 {
    match followers {
        _ if followers < 10_000.0 => 1.0,
        _ if followers < 100_000_000.0 => 16.0,
        _ => 64.0,
    }
}

/// Returns the write units a second of a post's counter: two for each transaction with likes of the post.
pub(crate) fn counter_writes(likes: f64, all_likes: f64, window: f64, batch: f64) -> f64 {
    let size = batch_size(all_likes, window, batch);
    let batches = all_likes / size;
    let of_post = size * likes / all_likes.max(1e-9);
    2.0 * likes.min(batches * (of_post / LIKES_PER_TRANSACTION).ceil())
}

/// Returns the partitions that may be hot in the busiest minute, the hottest first.
pub(crate) fn hottest(
    usage: &Usage,
    traffic: &Traffic,
    template: &Template,
) -> Result<Vec<Partition>, Error> {
    let busiest = usage.habits.burst;
    let rate = |name| {
        let daily = traffic.operations.get(name).copied().unwrap_or(0.0);
        Traffic::at_peak(usage, daily) * busiest
    };
    let (likes, posts, follows) = (rate("like"), rate("write_post"), rate("follow"));
    let most = usage.most_followers();
    let to_most = (most / (usage.users * usage.follows_held).max(1.0)).min(1.0);
    let hot_likes = likes * usage.habits.hot_post;
    let mapping = template.queue("Likes")?;
    let partition = |what: &str, units: f64, limit: f64| Partition {
        what: what.to_owned(),
        units,
        limit,
    };
    // A post by an author just below the threshold: all followers are read at once, from one partition.
    let pushed = usage.threshold.min(most);
    let mut found = vec![
        partition(
            "Likes: the most liked post's likes, one of its 16 partitions",
            hot_likes * 4.0 / LIKE_SHARDS,
            WRITES,
        ),
        partition(
            "Likes: the most liked post's counter",
            counter_writes(hot_likes, likes, mapping.window, mapping.batch),
            WRITES,
        ),
        partition(
            "Users: the most followed user's counter",
            follows * to_most * 2.0,
            WRITES,
        ),
        partition(
            "Follows: the most followed user's followers, one partition",
            follows * to_most * 4.0 / follower_shards(most),
            WRITES,
        ),
        partition(
            "Follows: a fan-out reads all followers of one author",
            if posts > 0.0 { pushed * 0.03 } else { 0.0 },
            READS,
        ),
        partition(
            "PostLists: the most popular tag, one of its 16 partitions",
            posts * HOT_TAG * 2.0 / TAG_SHARDS,
            WRITES,
        ),
        partition(
            "Trends: an hour, one of its 16 partitions",
            posts * usage.habits.tags * 6.0 / TAG_SHARDS,
            WRITES,
        ),
        partition(
            "Posts: the outbox's index, one of its 8 partitions",
            posts * 2.0 / OUTBOX_SHARDS,
            WRITES,
        ),
    ];
    found.sort_by(|one, other| other.used().total_cmp(&one.used()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_is_written_once_for_many_likes() {
        // 1,000 a second of one post: two batches of 500 a second, six transactions each.
        let units = counter_writes(1_000.0, 1_000.0, 1.0, 500.0);
        assert!((units - 24.0).abs() < 1e-9, "{units}");
        // One like now and then: one transaction each.
        let units = counter_writes(0.001, 0.001, 1.0, 500.0);
        assert!((units - 0.002).abs() < 1e-4, "{units}");
    }
}
