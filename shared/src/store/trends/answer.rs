//! The list of trending tags: computed by one reader at a time, and kept for the others.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::{SHARDS, counted, key, window};
use crate::domain::{
    AuthorMark, Tag, Timestamp, Trend, TrendHour, UserId, may_see_trend, most_used,
};
use crate::store::conditional::condition_held;
use crate::store::item::{Item, Read, n, s};
use crate::store::{Error, Store};

/// The maximum number of tags that are read from each shard of an hour, and of tags in the answer.
const TOP: u8 = 100;
/// The maximum number of users hidden from a caller who are looked for among a trend's authors.
const MAX_HIDDEN: usize = 1000;
/// The maximum number of departed users who are looked for among a trend's authors.
const MAX_LEAVERS: i32 = 1000;
/// The number of shards that are read at a time.
const AT_ONCE: usize = 32;
/// The time that a reader has to compute the answer, before another one tries.
const CLAIM_SECONDS: i64 = 5;
/// The number of times that a reader looks for another reader's answer, if there is no older one, and the wait in
/// between: together longer than the computation may take.
const WAITS: u32 = 25;
const WAIT: Duration = Duration::from_millis(200);
/// The age up to which an answer is served while another reader computes a new one.
const STALE_SECONDS: i64 = 60;

/// Returns the key of the stored answer: no hour has this name.
fn answer_key() -> Item {
    key("answer", "#")
}

/// Returns the key of the claim to compute a new answer: a row of its own, since the answer is large, and a refused
/// write costs as much as a successful one.
fn claim_key() -> Item {
    key("answer", "#claim")
}

/// An answer as stored.
struct Answer {
    trends: Vec<Trend>,
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
    /// Returns the authors hidden from a caller, by the marks that trends have: those whom the caller blocks, or who
    /// block the caller, even if the caller has left and continues to read with a token that is still valid.
    pub async fn hidden_authors(&self, caller: &UserId) -> Result<HashSet<AuthorMark>, Error> {
        let (mut hidden, profile) = futures::try_join!(
            self.blocked_either_way(caller, MAX_HIDDEN),
            self.profile(caller)
        )?;
        if profile.is_none_or(|caller| caller.withdrawn) {
            // An erasure may have moved the blocks to the name for those who left, and the caller's return may have
            // moved them back.
            hidden.extend(self.kept_against(caller, MAX_HIDDEN).await?);
            hidden.extend(self.blocked_either_way(caller, MAX_HIDDEN).await?);
        }
        Ok(hidden.iter().map(AuthorMark::of).collect())
    }

    /// Returns the tags that the most authors of the last 24 hours used, at most a hundred. An answer that was computed
    /// no longer ago than `kept_for` is used again.
    pub async fn trending(&self, kept_for: Duration) -> Result<Vec<Trend>, Error> {
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
                // Another reader is computing it: an older answer is better than none, and available at once.
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
        // An answer that another version stored is computed anew.
        Ok(read.unwrap_or_else(|error| {
            tracing::warn!(%error, "the trends that are kept can't be read");
            None
        }))
    }

    /// Claims the computation of the answer. Returns false if another reader has claimed it.
    async fn claim_trends(&self, now: Timestamp) -> Result<bool, Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.trends)
            .set_key(Some(claim_key()))
            .update_expression("SET claimed_until = :until")
            .condition_expression("attribute_not_exists(claimed_until) OR claimed_until < :now")
            .expression_attribute_values(":until", n(now.plus_seconds(CLAIM_SECONDS).millis()))
            .expression_attribute_values(":now", n(now.millis()));
        condition_held(update).await
    }

    async fn keep_trends(&self, trends: &[Trend], at: Timestamp) -> Result<(), Error> {
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

    async fn compute_trends(&self, now: Timestamp) -> Result<Vec<Trend>, Error> {
        let windows =
            TrendHour::all(now).flat_map(|hour| (0..SHARDS).map(move |shard| window(&hour, shard)));
        let tops = futures::stream::iter(windows.collect::<Vec<_>>())
            .map(|window| self.top_of(window))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<Vec<Trend>>>();
        let (tops, left) = futures::try_join!(
            tops,
            self.leavers(Timestamp::from_millis(i64::MAX), MAX_LEAVERS)
        )?;
        let left: HashSet<AuthorMark> = left.iter().map(AuthorMark::of).collect();
        let mut trends = most_used(tops.into_iter().flatten(), usize::MAX);
        trends.retain(|trend| may_see_trend(trend, |author| left.contains(author)));
        trends.truncate(TOP.into());
        Ok(trends)
    }

    async fn top_of(&self, window: String) -> Result<Vec<Trend>, Error> {
        let output = self
            .client
            .query()
            .table_name(&self.tables.trends)
            .index_name("top")
            .key_condition_expression("#window = :window AND #rank > :none")
            .expression_attribute_names("#window", "window")
            .expression_attribute_names("#rank", "rank")
            .expression_attribute_values(":window", s(window))
            .expression_attribute_values(":none", n(0))
            .scan_index_forward(false)
            .limit(TOP.into())
            .send()
            .await?;
        let count = |row: &Item| counted(row, Tag::stored(row.text("tag")?));
        output.items().iter().map(count).collect()
    }
}
