//! Edges with exact counters: the one mechanism behind likes and follows.
//!
//! A batch of changes is collapsed to the latest change of each edge, and written in transactions of as many edges as
//! fit: the edges, each on condition that it is still as it was read, and each counter once, with the sum of what the
//! edges add. So a counter equals its edges at any moment, even if a message is delivered twice or a function is killed
//! in between, and ten thousand likes of one post write its counter about a hundred times. The transactions of a batch
//! follow each other, because they may share counters.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::Hash;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};

use super::counters::{Counter, Row, Tallies};
use super::item::{Item, Read, n};
use super::retry::Retry;
use super::transactions::TRANSACTION;
use super::{Error, Store, Tables};
use crate::domain::{Change, Edge, Outcome, Timestamp, UserId, Version, latest_changes};

/// The lifetime of the tombstone of an undone edge: longer than any message can rest in a queue and
/// then in its dead-letter queue (14 days each at most).
const TOMBSTONE_DAYS: i64 = 30;

/// The reason for giving up a write of edges.
const CONTENDED: &str = "others kept writing the same edges";

/// The condition under which an edge is written.
#[derive(Debug, Clone, Copy)]
enum Guard {
    /// The edge is still as it was read, or still absent.
    AsRead(Option<Edge>),
    /// No condition: another row of the same edge is guarded.
    None,
}

type Condition = (
    Option<String>,
    Option<HashMap<String, String>>,
    Option<HashMap<String, AttributeValue>>,
);

impl Guard {
    /// Returns an expression, and the names and values in it.
    fn condition(self) -> Condition {
        let names = || {
            Some(HashMap::from([(
                "#version".to_owned(),
                "version".to_owned(),
            )]))
        };
        match self {
            Self::None => (None, None, None),
            Self::AsRead(None) => (
                Some("attribute_not_exists(#version)".to_owned()),
                names(),
                None,
            ),
            Self::AsRead(Some(known)) => (
                Some("#version = :known".to_owned()),
                names(),
                Some(HashMap::from([(
                    ":known".to_owned(),
                    n(known.version.micros()),
                )])),
            ),
        }
    }
}

/// A kind of edge.
pub(super) trait EdgeKey: Clone + Eq + Hash + Send + Sync {
    /// The end that many edges have in common: written together, they move its counter once.
    type Hub: Ord;

    fn hub(&self) -> Self::Hub;
    /// Returns the edge's rows, all alike; the first decides. The others may be spread over shards: an attribute of the
    /// first row names their shard.
    fn rows<'a>(&self, tables: &'a Tables, shard: Shard) -> Vec<Row<'a>>;
    /// Returns the counters that count the edge.
    fn counters<'a>(&self, store: &'a Store) -> Vec<Counter<'a>>;
    /// Returns the edge of a row read from the table.
    fn of(row: &Item) -> Result<Self, Error>;
    /// Returns the changes that are void, given the stored edges. It is called after the edges were read, so that a write
    /// that voids a change, and writes its edge in the same transaction, is either seen here or makes ours fail. Deleting a
    /// post writes no edge: a like applied at that very moment may stay, and nothing shows it.
    fn refused(
        store: &Store,
        changes: &[(Self, Change)],
        stored: &HashMap<Self, Stored>,
    ) -> impl Future<Output = Result<Refused<Self>, Error>> + Send;
    /// Returns the shards for new edges; those that are absent belong in the first.
    fn shards(
        store: &Store,
        edges: &[&Self],
    ) -> impl Future<Output = Result<HashMap<Self, Shard>, Error>> + Send;
}

/// Changes that are void.
#[derive(Debug)]
pub(super) struct Refused<K> {
    pub(super) edges: HashSet<K>,
    /// Users who have the maximum number of edges once the other changes are applied.
    pub(super) at_limit: HashSet<UserId>,
}

/// The outcome of applying some changes.
#[derive(Debug)]
pub struct Applied<K> {
    /// The edges that could not be written, with the reasons; all others are as their latest change says.
    pub failures: HashMap<K, Error>,
    /// Users who have the maximum number of edges.
    pub at_limit: HashSet<UserId>,
}

/// One of the partitions that a list is spread over.
pub(super) type Shard = u16;

/// The attribute of an edge's first row that names its shard; absent for the first shard.
pub(super) const SHARD: &str = "shard";

/// An edge as stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    edge: Edge,
    shard: Shard,
}

impl Stored {
    /// Returns the version of the latest change of the edge.
    pub(super) const fn version(&self) -> Version {
        self.edge.version
    }

    /// Returns the amount by which a change moves the counters of an edge, stored or not.
    pub(super) fn delta(stored: Option<&Self>, change: Change) -> i64 {
        match Edge::after(stored.map(|stored| stored.edge), change) {
            Outcome::Stale => 0,
            Outcome::Becomes { delta, .. } => delta,
        }
    }
}

impl Store {
    /// Applies the latest change of each edge and keeps every counter equal to its edges.
    pub(super) async fn apply<K: EdgeKey>(
        &self,
        changes: impl IntoIterator<Item = (K, Change)>,
    ) -> Applied<K> {
        let mut edges: Vec<(K, Change)> = latest_changes(changes).into_iter().collect();
        edges.sort_by_key(|(key, _)| key.hub());
        let (mut failures, mut at_limit) = (HashMap::new(), HashSet::new());
        for chunk in self.fit_transactions(edges) {
            match self.apply_chunk(&chunk).await {
                Ok(users) => at_limit.extend(users),
                // One broken edge must not hold up the others.
                Err(Error::Broken(_)) if chunk.len() > 1 => {
                    for edge in chunk {
                        match self.apply_chunk(std::slice::from_ref(&edge)).await {
                            Ok(users) => at_limit.extend(users),
                            Err(error) => drop(failures.insert(edge.0, error)),
                        }
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    failures.extend(
                        chunk
                            .into_iter()
                            .map(|(key, _)| (key, Error::Unavailable(why.clone()))),
                    );
                }
            }
        }
        Applied { failures, at_limit }
    }

    /// Splits edges into runs that fit a transaction each, with their rows and the rows of their counters.
    fn fit_transactions<K: EdgeKey>(&self, edges: Vec<(K, Change)>) -> Vec<Vec<(K, Change)>> {
        let mut chunks = Vec::new();
        let (mut chunk, mut rows, mut counted) = (Vec::new(), 0, HashSet::new());
        for (key, change) in edges {
            let more_rows = key.rows(&self.tables, 0).len();
            let ids: Vec<String> = key
                .counters(self)
                .into_iter()
                .map(|counter| counter.id)
                .collect();
            let more_counted = ids.iter().filter(|id| !counted.contains(*id)).count();
            if rows + more_rows + counted.len() + more_counted > TRANSACTION {
                chunks.push(std::mem::take(&mut chunk));
                (rows, counted) = (0, HashSet::new());
            }
            rows += more_rows;
            counted.extend(ids);
            chunk.push((key, change));
        }
        chunks.push(chunk);
        chunks
    }

    /// Applies changes in one transaction. Returns the users who have the maximum number of edges.
    async fn apply_chunk<K: EdgeKey>(
        &self,
        edges: &[(K, Change)],
    ) -> Result<HashSet<UserId>, Error> {
        let mut retry = Retry::new(CONTENDED);
        loop {
            let stored = self.stored_edges(edges.iter().map(|(key, _)| key)).await?;
            let refused = K::refused(self, edges, &stored).await?;
            let allowed = |(key, _): &&(K, Change)| !refused.edges.contains(key);
            let edges: Vec<(K, Change)> = edges.iter().filter(allowed).cloned().collect();
            let fresh = edges.iter().map(|(key, _)| key);
            let fresh: Vec<&K> = fresh.filter(|key| !stored.contains_key(*key)).collect();
            let shards = match fresh.as_slice() {
                [] => HashMap::new(),
                fresh => K::shards(self, fresh).await?,
            };
            let writes = self.writes(&edges, &stored, &shards)?;
            if writes.is_empty() || self.write_transaction(writes).await? {
                return Ok(refused.at_limit);
            }
            retry.back_off().await?;
        }
    }

    pub(super) async fn stored_edges<'k, K: EdgeKey + 'k>(
        &self,
        keys: impl Iterator<Item = &'k K>,
    ) -> Result<HashMap<K, Stored>, Error> {
        let rows: Vec<Row> = keys
            .filter_map(|key| key.rows(&self.tables, 0).into_iter().next())
            .collect();
        let Some(table) = rows.first().map(|row| row.table) else {
            return Ok(HashMap::new());
        };
        let items = self
            .batch_get(table, rows.into_iter().map(|row| row.key).collect(), None)
            .await?;
        items
            .iter()
            .map(|row| {
                let shard = Shard::try_from(row.count(SHARD)?).map_err(Error::broken)?;
                let edge = read_edge(row)?;
                Ok((K::of(row)?, Stored { edge, shard }))
            })
            .collect()
    }

    pub(super) fn writes<K: EdgeKey>(
        &self,
        edges: &[(K, Change)],
        stored: &HashMap<K, Stored>,
        shards: &HashMap<K, Shard>,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let mut writes = Vec::new();
        let mut tallies = Tallies::default();
        for (key, change) in edges {
            let known = stored.get(key).map(|stored| stored.edge);
            let shard = stored.get(key).map(|stored| stored.shard);
            let shard = shard.or_else(|| shards.get(key).copied());
            let Outcome::Becomes { edge, delta } = Edge::after(known, *change) else {
                continue;
            };
            let guards =
                std::iter::once(Guard::AsRead(known)).chain(std::iter::repeat(Guard::None));
            let rows = key.rows(&self.tables, shard.unwrap_or_default());
            for (row, guard) in rows.into_iter().zip(guards) {
                writes.push(put_edge(row, edge, guard)?);
            }
            tallies.add(key.counters(self), delta, &edge);
        }
        writes.extend(tallies.writes()?);
        Ok(writes)
    }
}

impl Store {
    /// Deletes these edges without leaving tombstones, and keeps every counter equal to its edges. Returns those that
    /// were stored.
    pub(super) async fn erase<K: EdgeKey>(&self, edges: Vec<K>) -> Result<Vec<K>, Error> {
        let change = Change {
            active: false,
            version: Version::now(),
        };
        let changes = edges.into_iter().map(|key| (key, change)).collect();
        let mut erased = Vec::new();
        for chunk in self.fit_transactions::<K>(changes) {
            let keys: Vec<K> = chunk.into_iter().map(|(key, _)| key).collect();
            erased.extend(self.erase_chunk(&keys).await?);
        }
        Ok(erased)
    }

    async fn erase_chunk<K: EdgeKey>(&self, keys: &[K]) -> Result<Vec<K>, Error> {
        let mut retry = Retry::new(CONTENDED);
        loop {
            let stored = self.stored_edges(keys.iter()).await?;
            let mut writes = Vec::new();
            let mut tallies = Tallies::default();
            for (key, Stored { edge, shard }) in &stored {
                let guards = std::iter::once(Guard::AsRead(Some(*edge)))
                    .chain(std::iter::repeat(Guard::None));
                for (row, guard) in key.rows(&self.tables, *shard).into_iter().zip(guards) {
                    writes.push(delete_edge(row, guard)?);
                }
                tallies.add(key.counters(self), -i64::from(edge.active), edge);
            }
            writes.extend(tallies.writes()?);
            if writes.is_empty() || self.write_transaction(writes).await? {
                return Ok(stored.into_keys().collect());
            }
            retry.back_off().await?;
        }
    }
}

pub(super) fn read_edge(row: &Item) -> Result<Edge, Error> {
    let version = row.number("version")?;
    Ok(Edge {
        active: row.flag("active"),
        version: Version::from_micros(version),
        since: Version::from_micros(row.maybe_number("since")?.unwrap_or(version)),
    })
}

/// Builds the write of an edge. A tombstone has no `since`, so that it is in no list.
fn put_edge(row: Row, edge: Edge, guard: Guard) -> Result<TransactWriteItem, Error> {
    let mut attributes = row.key;
    attributes.extend(row.attributes);
    attributes.insert("active".to_owned(), AttributeValue::Bool(edge.active));
    attributes.insert("version".to_owned(), n(edge.version.micros()));
    if edge.active {
        attributes.insert("since".to_owned(), n(edge.since.micros()));
    } else {
        let expires = Timestamp::now().plus_seconds(TOMBSTONE_DAYS * 24 * 60 * 60);
        attributes.insert("expires_at".to_owned(), n(expires.seconds()));
    }
    let put = Put::builder()
        .table_name(row.table)
        .set_item(Some(attributes));
    let (condition, names, values) = guard.condition();
    let put = put
        .set_condition_expression(condition)
        .set_expression_attribute_names(names)
        .set_expression_attribute_values(values)
        .build()
        .map_err(Error::broken)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn delete_edge(row: Row, guard: Guard) -> Result<TransactWriteItem, Error> {
    let (condition, names, values) = guard.condition();
    let delete = Delete::builder()
        .table_name(row.table)
        .set_key(Some(row.key))
        .set_condition_expression(condition)
        .set_expression_attribute_names(names)
        .set_expression_attribute_values(values)
        .build()
        .map_err(Error::broken)?;
    Ok(TransactWriteItem::builder().delete(delete).build())
}
