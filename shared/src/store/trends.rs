//! Trending tags.
//!
//! Posts are counted as they come in, by the fan-out, which sees every creation, edit and deletion at least
//! once (see [`super::outbox`]). A post's row says in `trended` for which tags it is counted. One
//! transaction sets that to the tags that the post has now, on condition that it and the revision are as
//! they were read, and moves the counters of the difference. So each counter equals the posts that are
//! counted in it, whatever is delivered twice or killed between, and a post that is edited or deleted takes
//! its tags out of the hour that it was written in.
//!
//! A counter stands under the hour and one of 16 shards of the post's id, so that a tag that everybody
//! writes is no hot item. Counting a post costs two units of writing for its row and about six a tag (a
//! transaction's two, and the index, from which the old count goes and into which the new one comes), on one
//! partition of the 16 of that hour: room for some 900 posts with three tags a second.
//!
//! A read merges the 100 top counters of each shard of the 24 hours, 384 queries of which 32 run at a time,
//! into one answer that is kept for some seconds: so often, and no more often, is it computed anew, by one
//! reader while the others are served the last one.
//!
//! Where this is approximate: the hours are whole ones, so what is shown is of the last 23 to 24 hours. A tag
//! that is below the first hundred of some shard of some hour misses those posts, at most as many for each
//! as the hundredth has. The answer is some seconds old, and a post takes a second to be counted. Posts of
//! users whom the caller doesn't see count too.

use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use futures::{StreamExt, TryStreamExt};

use super::item::{Item, Read, item, list, n, s, shard};
use super::{Error, OutboxMark, Store};
use crate::domain::{PostId, TREND_HOURS, Tag, TagView, Timestamp, TrendHour, most_used};

/// Over how many partitions an hour is spread.
const SHARDS: u8 = 16;
/// How many tags of each shard are read, and how many the answer has.
const TOP: u8 = 100;
/// How many shards are read at a time.
const AT_ONCE: usize = 32;
/// How long a counter stays: longer than any answer needs it.
const KEPT_SECONDS: i64 = 48 * 60 * 60;
/// How long a reader may take to compute the answer, before another one tries.
const CLAIM_SECONDS: i64 = 5;
/// How often a reader looks whether another one has computed it, where there is no older one, and how long
/// it waits between: longer than computing may take.
const WAITS: u32 = 25;
const WAIT: Duration = Duration::from_millis(200);
/// How old an answer may be that is served while another reader computes a new one.
const STALE_SECONDS: i64 = 60;

fn window(hour: &TrendHour, shard: u8) -> String {
    format!("{}#{shard}", hour.as_str())
}

fn key(window: &str, tag: &str) -> Item {
    item([("window", s(window)), ("tag", s(tag))])
}

/// Where the answer is kept: no hour is called so.
fn answer_key() -> Item {
    key("answer", "#")
}

/// Where it is noted that somebody computes a new one: a row of its own, since the answer is large, and a
/// write that is refused costs as much as one that is not.
fn claim_key() -> Item {
    key("answer", "#claim")
}

/// An answer as it is kept.
struct Answer {
    trends: Vec<TagView>,
    at: Timestamp,
}

impl Answer {
    fn read(row: &Item) -> Result<Option<Self>, Error> {
        let Some(trends) = row.maybe_text("trends") else {
            return Ok(None);
        };
        Ok(Some(Self {
            trends: serde_json::from_str(trends).map_err(Error::broken)?,
            at: Timestamp::from_millis(row.number("at")?),
        }))
    }

    fn is_younger(&self, seconds: i64, now: Timestamp) -> bool {
        self.at.plus_seconds(seconds) > now
    }
}

impl Store {
    /// Counts a post for the tags that it has now, and no longer for those that it had. False if the post
    /// has gone on since the mark was read: read it again.
    pub async fn count_trends(&self, mark: &OutboxMark) -> Result<bool, Error> {
        let written = mark.post.created_at();
        let (gone, new): (Vec<&Tag>, Vec<&Tag>) = (
            mark.trended
                .iter()
                .filter(|tag| !mark.tags.contains(tag))
                .collect(),
            mark.tags
                .iter()
                .filter(|tag| !mark.trended.contains(tag))
                .collect(),
        );
        let counts_until = written.plus_seconds(i64::from(TREND_HOURS) * 60 * 60);
        if (gone.is_empty() && new.is_empty()) || counts_until < Timestamp::now() {
            return Ok(true);
        }
        let mut writes = vec![self.note_trended(mark)?];
        let moves = gone.into_iter().map(|tag| (tag, -1));
        for (tag, by) in moves.chain(new.into_iter().map(|tag| (tag, 1))) {
            writes.push(self.move_trend(mark.post, tag, by)?);
        }
        self.write_if(writes).await
    }

    fn note_trended(&self, mark: &OutboxMark) -> Result<TransactWriteItem, Error> {
        // Without tags so far: never counted, or counted and then edited.
        let never = if mark.trended.is_empty() {
            "attribute_not_exists(trended) OR "
        } else {
            ""
        };
        let update = Update::builder()
            .table_name(&self.tables.posts)
            .key("id", s(mark.post))
            .update_expression("SET trended = :now")
            .expression_attribute_values(":now", list(&mark.tags))
            .expression_attribute_values(":known", list(&mark.trended))
            .expression_attribute_values(":rev", n(mark.rev))
            .condition_expression(format!("rev = :rev AND ({never}trended = :known)"))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn move_trend(&self, post: PostId, tag: &Tag, by: i64) -> Result<TransactWriteItem, Error> {
        let written = post.created_at();
        let window = window(&TrendHour::of(written), shard(post, SHARDS));
        let update = Update::builder()
            .table_name(&self.tables.trends)
            .set_key(Some(key(&window, tag.as_str())))
            .update_expression("SET expires_at = :expires ADD posts :by")
            .expression_attribute_values(
                ":expires",
                n(written.plus_seconds(KEPT_SECONDS).seconds()),
            )
            .expression_attribute_values(":by", n(by))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The tags that the most posts of the last 24 hours have, at most a hundred; an answer computed no
    /// longer ago than that is used again.
    pub async fn trending(&self, kept_for: Duration) -> Result<Vec<TagView>, Error> {
        let seconds = i64::try_from(kept_for.as_secs()).unwrap_or(i64::MAX);
        for _ in 0..WAITS {
            let now = Timestamp::now();
            let kept = self.kept_trends().await?;
            if let Some(answer) = &kept
                && answer.is_younger(seconds, now)
            {
                return Ok(answer.trends.clone());
            }
            let old = seconds.saturating_add(STALE_SECONDS);
            match (self.claim_trends(now).await, kept) {
                (Ok(true), _) => break,
                // Somebody else is at it: what is old is better than nothing, and is there at once.
                (_, Some(answer)) if answer.is_younger(old, now) => return Ok(answer.trends),
                (Err(error), _) => return Err(error),
                (Ok(false), _) => tokio::time::sleep(WAIT).await,
            }
        }
        let now = Timestamp::now();
        let trends = self.compute_trends(now).await?;
        self.keep_trends(&trends, now).await?;
        Ok(trends)
    }

    async fn kept_trends(&self) -> Result<Option<Answer>, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&self.tables.trends)
            .set_key(Some(answer_key()))
            .consistent_read(true)
            .send()
            .await?;
        let read = output.item.as_ref().map_or(Ok(None), Answer::read);
        // One that another version kept is computed anew.
        Ok(read.unwrap_or_else(|error| {
            tracing::warn!(%error, "the trends that are kept can't be read");
            None
        }))
    }

    /// Whether it is the caller's turn to compute the answer.
    async fn claim_trends(&self, now: Timestamp) -> Result<bool, Error> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.tables.trends)
            .set_key(Some(claim_key()))
            .update_expression("SET claimed_until = :until")
            .condition_expression("attribute_not_exists(claimed_until) OR claimed_until < :now")
            .expression_attribute_values(":until", n(now.plus_seconds(CLAIM_SECONDS).millis()))
            .expression_attribute_values(":now", n(now.millis()))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    async fn keep_trends(&self, trends: &[TagView], at: Timestamp) -> Result<(), Error> {
        let json = serde_json::to_string(trends).map_err(Error::broken)?;
        let keep = self
            .client
            .update_item()
            .table_name(&self.tables.trends)
            .set_key(Some(answer_key()))
            .update_expression("SET trends = :trends, #at = :at")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":trends", s(json))
            .expression_attribute_values(":at", n(at.millis()));
        keep.send().await?;
        let release = self
            .client
            .update_item()
            .table_name(&self.tables.trends)
            .set_key(Some(claim_key()))
            .update_expression("REMOVE claimed_until");
        release.send().await?;
        Ok(())
    }

    async fn compute_trends(&self, now: Timestamp) -> Result<Vec<TagView>, Error> {
        let windows =
            TrendHour::all(now).flat_map(|hour| (0..SHARDS).map(move |shard| window(&hour, shard)));
        let tops: Vec<Vec<(Tag, u64)>> = futures::stream::iter(windows.collect::<Vec<_>>())
            .map(|window| self.top_of(window))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(most_used(tops.into_iter().flatten(), TOP.into()))
    }

    async fn top_of(&self, window: String) -> Result<Vec<(Tag, u64)>, Error> {
        let output = self
            .client
            .query()
            .table_name(&self.tables.trends)
            .index_name("top")
            .key_condition_expression("#window = :window AND posts > :none")
            .expression_attribute_names("#window", "window")
            .expression_attribute_values(":window", s(window))
            .expression_attribute_values(":none", n(0))
            .scan_index_forward(false)
            .limit(TOP.into())
            .send()
            .await?;
        let count = |row: &Item| {
            let tag = Tag::parse(row.text("tag")?).map_err(Error::broken)?;
            Ok((tag, row.count("posts")?))
        };
        output.items().iter().map(count).collect()
    }
}
