//! Counting posts as they come in.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};

use super::{AUTHOR, SHARDS, counted, key, window};
use crate::domain::{
    AuthorHours, AuthorMark, FEW_AUTHORS, TREND_HOURS, Tag, Timestamp, TrendDelta, TrendHour,
};
use crate::store::item::{Item, Read, list, n, s};
use crate::store::retry::Retry;
use crate::store::transactions::{Token, failed_condition, is_write_conflict};
use crate::store::{Error, OutboxMark, Store};

/// The number of tags that one transaction counts: each takes a write of the author's row and of up to two counters,
/// beside the write of the post's row.
const TAGS_AT_ONCE: usize = 30;
/// The lifetime of a counter: longer than any answer needs it.
const KEPT_SECONDS: i64 = 48 * 60 * 60;

/// Returns the partition of an author's rows: no hour has this name.
fn author_window(author: &AuthorMark) -> String {
    format!("author#{}", author.as_str())
}

/// Reads an author's recent use of a tag.
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

/// A tag that a post is counted for from now on, or no longer.
#[derive(Debug, Clone)]
struct TagChange {
    tag: Tag,
    added: bool,
}

/// An author's row about a tag, as it was read, its new content, and the counts that the change moves.
struct AuthorChange {
    tag: Tag,
    row: Item,
    hours: AuthorHours,
    deltas: BTreeMap<TrendHour, TrendDelta>,
}

impl Store {
    /// Counts a post for the tags that it has now, and no longer for those that it had. Returns false if the post has
    /// changed since the mark was read: read the mark again.
    pub async fn count_trends(&self, mark: &OutboxMark) -> Result<bool, Error> {
        let written = mark.post.created_at();
        let gone = mark.trended.iter().filter(|tag| !mark.tags.contains(tag));
        let new = mark.tags.iter().filter(|tag| !mark.trended.contains(tag));
        let change = |added| {
            move |tag: &Tag| TagChange {
                tag: tag.clone(),
                added,
            }
        };
        let all: Vec<TagChange> = gone
            .map(change(false))
            .chain(new.map(change(true)))
            .collect();
        let counts_until = written.plus_seconds(i64::from(TREND_HOURS) * 60 * 60);
        if counts_until < Timestamp::now() {
            return Ok(true);
        }
        let mut trended = mark.trended.clone();
        for chunk in all.chunks(TAGS_AT_ONCE) {
            let before = trended.clone();
            trended.retain(|tag| !chunk.iter().any(|it| it.tag == *tag));
            trended.extend(chunk.iter().filter(|it| it.added).map(|it| it.tag.clone()));
            if !self.count_chunk(mark, &before, &trended, chunk).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Counts the post for these tags, or no longer, if it is counted for the tags `before`.
    async fn count_chunk(
        &self,
        mark: &OutboxMark,
        before: &[Tag],
        after: &[Tag],
        chunk: &[TagChange],
    ) -> Result<bool, Error> {
        let author = AuthorMark::of(&mark.author);
        let mut retry = Retry::new("others kept counting the same tags");
        loop {
            let moved = self.author_changes(mark, &author, chunk).await?;
            let full = self.full_counters(&author, &moved).await?;
            let mut writes = vec![self.note_trended(mark, before, after)?];
            for tag in &moved {
                writes.push(self.write_author(&author, tag)?);
                for (hour, delta) in &tag.deltas {
                    let key = key(&window(hour, author.shard(SHARDS)), tag.tag.as_str());
                    writes.push(self.add_to_counter(key, *delta, &author, &full)?);
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
                // Another post of the author has one of the tags, or posts of others move the same counters.
                Err(error) if is_write_conflict(&error) => retry.back_off().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the author's rows about these tags, and computes what they become.
    async fn author_changes(
        &self,
        mark: &OutboxMark,
        author: &AuthorMark,
        chunk: &[TagChange],
    ) -> Result<Vec<AuthorChange>, Error> {
        let window = author_window(author);
        let keys = chunk.iter().map(|it| key(&window, it.tag.as_str()));
        let rows = self
            .batch_get(&self.tables.trends, keys.collect(), None)
            .await?;
        let mut rows: HashMap<String, Item> = rows
            .into_iter()
            .map(|row| Ok((row.text("tag")?.to_owned(), row)))
            .collect::<Result<_, Error>>()?;
        let hour = TrendHour::of(mark.post.created_at());
        let now = Timestamp::now();
        let moved = |it: &TagChange| {
            let row = rows.remove(it.tag.as_str()).unwrap_or_default();
            let mut hours = author_hours(&row)?;
            hours.forget_before(now);
            let deltas = hours.count(&hour, it.added);
            Ok(AuthorChange {
                tag: it.tag.clone(),
                row,
                hours,
                deltas,
            })
        };
        chunk.iter().map(moved).collect()
    }

    /// Returns the counters that gain the author but have too many authors to hold all their marks.
    async fn full_counters(
        &self,
        author: &AuthorMark,
        moved: &[AuthorChange],
    ) -> Result<HashSet<(String, String)>, Error> {
        let shard = author.shard(SHARDS);
        let gaining = moved.iter().flat_map(|moved| {
            let hours = moved.deltas.iter().filter(|(_, delta)| delta.authors > 0);
            hours.map(move |(hour, _)| (window(hour, shard), moved.tag.clone()))
        });
        let gaining: Vec<(String, Tag)> = gaining.collect();
        let keys = gaining
            .iter()
            .map(|(window, tag)| key(window, tag.as_str()));
        let rows = self
            .batch_get(&self.tables.trends, keys.collect(), None)
            .await?;
        let mut full = HashSet::new();
        for row in &rows {
            let tag = Tag::stored(row.text("tag")?);
            let counter = counted(row, tag)?;
            let few = counter.few.len();
            if few >= FEW_AUTHORS || u64::try_from(few).is_ok_and(|few| few < counter.authors) {
                full.insert((row.text("window")?.to_owned(), counter.tag.to_string()));
            }
        }
        Ok(full)
    }

    fn note_trended(
        &self,
        mark: &OutboxMark,
        before: &[Tag],
        after: &[Tag],
    ) -> Result<TransactWriteItem, Error> {
        // A post without counted tags was never counted, or lost its tags in an edit.
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

    /// Builds the write of an author's row about a tag, on condition that the row is as it was read.
    fn write_author(
        &self,
        author: &AuthorMark,
        moved: &AuthorChange,
    ) -> Result<TransactWriteItem, Error> {
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

    /// Builds the write that moves a counter. A counter in `full` gains no marks.
    fn add_to_counter(
        &self,
        key: Item,
        delta: TrendDelta,
        author: &AuthorMark,
        full: &HashSet<(String, String)>,
    ) -> Result<TransactWriteItem, Error> {
        let of = (key.text("window")?.to_owned(), key.text("tag")?.to_owned());
        let few = match delta.authors {
            0 => None,
            1.. if full.contains(&of) => None,
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
            .expression_attribute_values(":by", n(delta.authors * AUTHOR + delta.posts));
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
}
