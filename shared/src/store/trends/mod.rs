//! Trending tags.
//!
//! Posts are counted as they come in, by the fan-out, which sees every creation, edit and deletion at least
//! once (see [`super::outbox`]). A post's row says in `trended` for which tags it is counted. One
//! transaction sets that to the tags that the post has now, on condition that it and the revision are as
//! they were read, and moves the counters of the difference. So each counter equals what is
//! counted in it, whatever is delivered twice or killed between, and a post that is edited or deleted takes
//! its tags out of the hour that it was written in.
//!
//! Trends are ordered by the number of authors who used a tag, so each author is counted once, in the hour of their latest
//! post with it: see [`AuthorHours`], of which each author has a row for each tag they used of late. It is written in the
//! same transaction, on condition that it is as it was read.
//!
//! A counter stands under the hour and one of 16 shards of the authors, so that a tag that everybody
//! writes is no hot item. `rank` is authors and posts in one number, by which the index has them. Counting a post costs two
//! units of writing for its row and about eight a tag (a transaction's two for the author's row, and for the counter, with
//! the index, from which the old count goes and into which the new one comes, six), on one partition of the 16 of that
//! hour: room for some 900 posts with three tags a second.
//!
//! While a counter's authors are few, it knows their marks, so that the answer does, and a trend that nobody but users
//! hidden from a caller made is left out for that caller. Who is hidden is one read of the caller's blocks. One that
//! nobody but users who have left made is left out for everybody, when the answer is computed.
//!
//! A read merges the 100 top counters of each shard of the 24 hours, 384 queries of which 32 run at a time,
//! into one answer that is kept for some seconds: so often, and no more often, is it computed anew, by one
//! reader while the others are served the last one.
//!
//! Where this is approximate: the hours are whole ones, so what is shown is of the last 23 to 24 hours. A tag
//! that is below the first hundred of some shard of some hour misses those posts and authors, at most as many for each
//! as the hundredth has. The answer is some seconds old, and a post takes a second to be counted. In a trend that the
//! caller sees, posts of users whom the caller doesn't see count too; what more than eight authors wrote is everybody's;
//! and beside those of others, posts of a user who has left count until they are erased, half an hour later. Of more than
//! a thousand users who are being erased, those longest due are known.

mod answer;
mod counting;

use super::Error;
use super::item::{Item, Read, item, s};
use crate::domain::{AuthorMark, Tag, Trend, TrendHour};

/// The number of partitions that an hour is spread over.
const SHARDS: u8 = 16;
/// The weight of an author in a rank, where a post has one: more posts with one tag than any hour has.
const AUTHOR: i64 = 1_000_000_000;

fn window(hour: &TrendHour, shard: u8) -> String {
    format!("{}#{shard}", hour.as_str())
}

fn key(window: &str, tag: &str) -> Item {
    item([("window", s(window)), ("tag", s(tag))])
}

/// The counts of a tag in a counter's row.
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
