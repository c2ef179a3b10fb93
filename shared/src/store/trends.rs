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

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use futures::{StreamExt, TryStreamExt};

use super::item::{Item, Read, item, list, n, s};
use super::retry::Retry;
use super::transactions::{Token, failed_condition, met_another_write};
use super::{Error, OutboxMark, Store};
use crate::domain::{
    AuthorHours, AuthorMark, FEW_AUTHORS, TREND_HOURS, Tag, Timestamp, Trend, TrendHour, TrendMove,
    UserId, may_see_trend, most_used,
};

/// Over how many partitions an hour is spread.
const SHARDS: u8 = 16;
/// How many tags of each shard are read, and how many the answer has.
const TOP: u8 = 100;
/// The most users hidden from a caller who are looked for among a trend's authors.
const MOST_HIDDEN: usize = 1000;
/// The most users who have left who are looked for among a trend's authors.
const MOST_LEAVERS: i32 = 1000;
/// How many shards are read at a time.
const AT_ONCE: usize = 32;
/// Tags that one transaction counts: each is a write of the author's row and of up to two counters, beside the
/// post's own.
const TAGS_AT_ONCE: usize = 30;
/// The weight of an author in a rank, where a post has one: more posts with one tag than any hour has.
const AUTHOR: i64 = 1_000_000_000;
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

/// The partition of an author's rows: no hour is called so.
fn author_window(author: &AuthorMark) -> String {
    format!("author#{}", author.as_str())
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

/// An author's recent use of a tag, as stored.
fn author_hours(row: &Item) -> Result<AuthorHours, Error> {
    let Some(hours) = row.get("hours") else {
        return Ok(AuthorHours::default());
    };
    let hours = hours.as_m().map_err(|_| Error::broken("hours is no map"))?;
    let hour = |name: &String| Ok((TrendHour::stored(name), hours.count(name)?));
    let hours = hours.keys().map(hour).collect::<Result<Vec<_>, Error>>()?;
    Ok(AuthorHours::stored(hours))
}

fn stored_hours(hours: &AuthorHours) -> AttributeValue {
    let hours = hours
        .iter()
        .map(|(hour, posts)| (hour.as_str().to_owned(), n(posts)));
    AttributeValue::M(hours.collect())
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

/// A tag that a post is counted for from now on, or no longer.
#[derive(Debug, Clone)]
struct Counting {
    tag: Tag,
    added: bool,
}

/// The new row of an author about a tag, and the counts it moves.
struct Moved {
    tag: Tag,
    row: Item,
    hours: AuthorHours,
    moves: BTreeMap<TrendHour, TrendMove>,
}

/// An answer as it is kept.
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
    /// Counts a post for the tags that it has now, and no longer for those that it had. False if the post
    /// has gone on since the mark was read: read it again.
    pub async fn count_trends(&self, mark: &OutboxMark) -> Result<bool, Error> {
        let written = mark.post.created_at();
        let gone = mark.trended.iter().filter(|tag| !mark.tags.contains(tag));
        let new = mark.tags.iter().filter(|tag| !mark.trended.contains(tag));
        let counting = |added| {
            move |tag: &Tag| Counting {
                tag: tag.clone(),
                added,
            }
        };
        let all: Vec<Counting> = gone
            .map(counting(false))
            .chain(new.map(counting(true)))
            .collect();
        let counts_until = written.plus_seconds(i64::from(TREND_HOURS) * 60 * 60);
        if counts_until < Timestamp::now() {
            return Ok(true);
        }
        let mut trended = mark.trended.clone();
        for some in all.chunks(TAGS_AT_ONCE) {
            let before = trended.clone();
            trended.retain(|tag| !some.iter().any(|it| it.tag == *tag));
            trended.extend(some.iter().filter(|it| it.added).map(|it| it.tag.clone()));
            if !self.count_some(mark, &before, &trended, some).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Counts the post for these tags, or no longer, if it is counted for the tags `before`.
    async fn count_some(
        &self,
        mark: &OutboxMark,
        before: &[Tag],
        after: &[Tag],
        some: &[Counting],
    ) -> Result<bool, Error> {
        let author = AuthorMark::of(&mark.author);
        let mut retry = Retry::new("others kept counting the same tags");
        loop {
            let moved = self.moved(mark, &author, some).await?;
            let many = self.full_counters(&author, &moved).await?;
            let mut writes = vec![self.note_trended(mark, before, after)?];
            for tag in &moved {
                writes.push(self.write_author(&author, tag)?);
                for (hour, by) in &tag.moves {
                    let key = key(&window(hour, author.shard(SHARDS)), tag.tag.as_str());
                    writes.push(self.move_counter(key, *by, &author, &many)?);
                }
            }
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes))
                .client_request_token(Token::new().as_str())
                .send()
                .await;
            match sent {
                Ok(_) => return Ok(true),
                Err(error) if failed_condition(&error, 0) => return Ok(false),
                // Another post of the same author with one of the tags, or others with the same counters.
                Err(error) if met_another_write(&error) => retry.back_off().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the author's rows about these tags, and what they are to become.
    async fn moved(
        &self,
        mark: &OutboxMark,
        author: &AuthorMark,
        some: &[Counting],
    ) -> Result<Vec<Moved>, Error> {
        let window = author_window(author);
        let keys = some.iter().map(|it| key(&window, it.tag.as_str()));
        let rows = self
            .batch_get(&self.tables.trends, keys.collect(), None)
            .await?;
        let mut rows: HashMap<String, Item> = rows
            .into_iter()
            .map(|row| Ok((row.text("tag")?.to_owned(), row)))
            .collect::<Result<_, Error>>()?;
        let hour = TrendHour::of(mark.post.created_at());
        let now = Timestamp::now();
        let moved = |it: &Counting| {
            let row = rows.remove(it.tag.as_str()).unwrap_or_default();
            let mut hours = author_hours(&row)?;
            hours.forget_before(now);
            let moves = hours.count(&hour, it.added);
            Ok(Moved {
                tag: it.tag.clone(),
                row,
                hours,
                moves,
            })
        };
        some.iter().map(moved).collect()
    }

    /// Reads which of the counters that the author comes to have too many authors to know them all.
    async fn full_counters(
        &self,
        author: &AuthorMark,
        moved: &[Moved],
    ) -> Result<HashSet<(String, String)>, Error> {
        let shard = author.shard(SHARDS);
        let gaining = moved.iter().flat_map(|moved| {
            let hours = moved.moves.iter().filter(|(_, by)| by.authors > 0);
            hours.map(move |(hour, _)| (window(hour, shard), moved.tag.clone()))
        });
        let gaining: Vec<(String, Tag)> = gaining.collect();
        let keys = gaining
            .iter()
            .map(|(window, tag)| key(window, tag.as_str()));
        let rows = self
            .batch_get(&self.tables.trends, keys.collect(), None)
            .await?;
        let mut many = HashSet::new();
        for row in &rows {
            let tag = Tag::stored(row.text("tag")?);
            let counter = counted(row, tag)?;
            let few = counter.few.len();
            if few >= FEW_AUTHORS || u64::try_from(few).is_ok_and(|few| few < counter.authors) {
                many.insert((row.text("window")?.to_owned(), counter.tag.to_string()));
            }
        }
        Ok(many)
    }

    fn note_trended(
        &self,
        mark: &OutboxMark,
        before: &[Tag],
        after: &[Tag],
    ) -> Result<TransactWriteItem, Error> {
        // Without tags so far: never counted, or counted and then edited.
        let never = if before.is_empty() {
            "attribute_not_exists(trended) OR "
        } else {
            ""
        };
        let update = Update::builder()
            .table_name(&self.tables.posts)
            .key("id", s(mark.post))
            .update_expression("SET trended = :now")
            .expression_attribute_values(":now", list(after))
            .expression_attribute_values(":known", list(before))
            .expression_attribute_values(":rev", n(mark.rev))
            .condition_expression(format!("rev = :rev AND ({never}trended = :known)"))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The write of an author's row about a tag, if it is as it was read.
    fn write_author(&self, author: &AuthorMark, moved: &Moved) -> Result<TransactWriteItem, Error> {
        let until = Timestamp::now().plus_seconds(KEPT_SECONDS);
        let update = Update::builder()
            .table_name(&self.tables.trends)
            .set_key(Some(key(&author_window(author), moved.tag.as_str())))
            .update_expression("SET #hours = :hours, expires_at = :until")
            .expression_attribute_names("#hours", "hours")
            .expression_attribute_values(":hours", stored_hours(&moved.hours))
            .expression_attribute_values(":until", n(until.seconds()));
        let update = match moved.row.get("hours") {
            Some(known) => update
                .condition_expression("#hours = :known")
                .expression_attribute_values(":known", known.clone()),
            None => update.condition_expression("attribute_not_exists(#hours)"),
        };
        let update = update.build().map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The write that moves a counter. One of those with `many` authors learns of no more.
    fn move_counter(
        &self,
        key: Item,
        by: TrendMove,
        author: &AuthorMark,
        many: &HashSet<(String, String)>,
    ) -> Result<TransactWriteItem, Error> {
        let of = (key.text("window")?.to_owned(), key.text("tag")?.to_owned());
        let few = match by.authors {
            0 => None,
            1.. if many.contains(&of) => None,
            1.. => Some(", #few :author"),
            _ => Some(" DELETE #few :author"),
        };
        let until = Timestamp::now().plus_seconds(KEPT_SECONDS);
        let update = Update::builder()
            .table_name(&self.tables.trends)
            .set_key(Some(key))
            .update_expression(format!(
                "SET expires_at = if_not_exists(expires_at, :until) ADD #rank :by{}",
                few.unwrap_or_default()
            ))
            .expression_attribute_names("#rank", "rank")
            .expression_attribute_values(":until", n(until.seconds()))
            .expression_attribute_values(":by", n(by.authors * AUTHOR + by.posts));
        let update = match few {
            Some(_) => update
                .expression_attribute_names("#few", "few")
                .expression_attribute_values(
                    ":author",
                    AttributeValue::Ss(vec![author.as_str().to_owned()]),
                ),
            None => update,
        };
        let update = update.build().map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The authors who are hidden from a caller, as far as trends tell authors apart: those whom the caller blocks,
    /// or who block the caller, also if the caller has left and reads on with a token that is still good.
    pub async fn hidden_authors(&self, caller: &UserId) -> Result<HashSet<AuthorMark>, Error> {
        let (mut hidden, profile) = futures::try_join!(
            self.blocked_either_way(caller, MOST_HIDDEN),
            self.profile(caller)
        )?;
        if profile.is_none_or(|caller| caller.withdrawn) {
            // An erasure may have moved them there; and back meanwhile, where the caller returns.
            hidden.extend(self.kept_against(caller, MOST_HIDDEN).await?);
            hidden.extend(self.blocked_either_way(caller, MOST_HIDDEN).await?);
        }
        Ok(hidden.iter().map(AuthorMark::of).collect())
    }

    /// The tags that the most authors of the last 24 hours used, at most a hundred; an answer computed no
    /// longer ago than that is used again.
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
            self.leavers(Timestamp::from_millis(i64::MAX), MOST_LEAVERS)
        )?;
        let left: HashSet<AuthorMark> = left.iter().map(AuthorMark::of).collect();
        let mut trends = most_used(tops.into_iter().flatten(), usize::MAX);
        trends.retain(|trend| may_see_trend(trend, &left));
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
