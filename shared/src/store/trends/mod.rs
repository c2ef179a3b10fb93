//! Trending tags.
//!
//! Posts are counted as they come in, by the fan-out, which sees every creation, edit and deletion at least once (see
//! [`super::outbox`]). A post's row lists in `trended` the tags for which the post is counted. One transaction sets
//! that to the tags that the post has now, on condition that it and the revision are as they were read, and moves the
//! counters of the difference. So each counter equals the posts counted in it, even if a message is delivered twice or
//! the function is killed in between, and a post that is edited or deleted takes its tags out of the hour in which it
//! was written.
//!
//! Trends are ordered by the number of authors who used a tag, so each author is counted once, in the hour of their
//! latest post with it: see [`AuthorHours`](crate::domain::AuthorHours). An author has a row of them for each tag that
//! they used lately. It is written in the same transaction, on condition that it is as it was read.
//!
//! A counter is stored under the hour and one of 16 shards of the authors, so that a tag that everybody uses is no hot
//! item. `rank` combines authors and posts in one number, by which the index orders the counters. Counting a post costs
//! two write units for its row and about eight for each tag (two for the author's row, as in any transaction, and six
//! for the counter and the index, which loses the old count and gains the new one), in one of the 16 partitions of that
//! hour: enough for some 900 posts with three tags a second.
//!
//! While a counter has few authors, it knows their marks, and so does the answer: a trend that only users hidden from a
//! caller made is left out for that caller. One read of the caller's blocks tells who is hidden. A trend that only
//! users who have left made is left out for everybody, when the answer is computed.
//!
//! A read merges the top 100 counters of each shard of the 24 hours, by 384 queries of which 32 run at a time, into one
//! answer that is kept for some seconds: one reader computes it, no more often than that, while the others get the last
//! one.
//!
//! Trends are approximate in these ways. The hours are whole ones, so trends are of the last 23 to 24 hours. A tag
//! below the top hundred of a shard in some hour lacks the posts and authors counted there: at most as many as the
//! hundredth tag has. The answer is some seconds old, and a post takes a second to be counted. In a trend that the
//! caller sees, posts of users hidden from the caller count too; a tag of more than eight authors is shown to
//! everybody; and beside posts of others, those of a user who has left count until they are erased, half an hour later.
//! If more than a thousand users are being erased, only the thousand longest due are known.

mod answer;
mod counting;

use super::Error;
use super::item::{Item, Read, item, s};
use crate::domain::{AuthorMark, Tag, Trend, TrendHour};

/// The number of partitions that an hour is spread over.
const SHARDS: u8 = 16;
/// The weight of an author in a rank, where a post weighs one: more than the posts with one tag in any hour.
const AUTHOR: i64 = 1_000_000_000;

fn window(hour: &TrendHour, shard: u8) -> String {
    format!("{}#{shard}", hour.as_str())
}

fn key(window: &str, tag: &str) -> Item {
    item([("window", s(window)), ("tag", s(tag))])
}

/// Returns the counts of a tag from its counter's row.
fn counted(row: &Item, tag: Tag) -> Result<Trend, Error> {
    let rank = row.maybe_number("rank")?.unwrap_or_default();
    let (authors, posts) = (rank.div_euclid(AUTHOR), rank.rem_euclid(AUTHOR));
    let few = row.get("few").and_then(|few| few.as_ss().ok());
    let few = few
        .into_iter()
        .flatten()
        .map(|mark| AuthorMark::stored(mark));
    Ok(Trend {
        tag,
        authors: u64::try_from(authors).map_err(|_| Error::broken("rank below 0"))?,
        posts: u64::try_from(posts).map_err(Error::broken)?,
        few: few.collect(),
    })
}
