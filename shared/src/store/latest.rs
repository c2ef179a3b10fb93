//! Lists in the order in which their entries were added, latest first: the local indexes `latest`.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use futures::{StreamExt, TryStreamExt};

use super::item::{Item, Read, n, rows, s};
use super::{Error, Store};
use crate::domain::{Reason, TimedPosition, Version};

/// The number of partitions of a list that are read at a time.
const PARTITIONS_AT_ONCE: usize = 32;

/// A list of a table that has the index `latest`.
#[derive(Debug, Clone)]
pub(super) struct Latest<'a> {
    pub(super) table: &'a str,
    /// The name of the partition key, and its value for the list.
    pub(super) list: (&'static str, String),
    /// The name of the sort key, which identifies the entry.
    pub(super) entry: &'static str,
}

impl Latest<'_> {
    fn key<T: fmt::Display>(&self, position: &TimedPosition<T>) -> Item {
        let (name, list) = &self.list;
        Item::from([
            ((*name).to_owned(), s(list)),
            (self.entry.to_owned(), s(&position.entry)),
            ("since".to_owned(), n(position.since.micros())),
        ])
    }

    fn read<T: FromStr<Err = Reason>>(&self, row: &Item) -> Result<TimedPosition<T>, Error> {
        Ok(TimedPosition {
            since: Version::from_micros(row.number("since")?),
            entry: row.text(self.entry)?.parse().map_err(Error::broken)?,
        })
    }
}

impl Store {
    /// Returns the entries of a list in several partitions after a position, at most `most`, and fewer only at its end.
    pub(super) async fn latest_of_all<T>(
        &self,
        lists: Vec<Latest<'_>>,
        after: Option<TimedPosition<T>>,
        most: usize,
    ) -> Result<Vec<TimedPosition<T>>, Error>
    where
        T: fmt::Display + FromStr<Err = Reason> + Clone + Ord,
    {
        let reads = lists
            .into_iter()
            .map(|list| self.latest(list, after.clone(), most));
        let reads = futures::stream::iter(reads.collect::<Vec<_>>());
        let reads = reads.buffer_unordered(PARTITIONS_AT_ONCE);
        let mut entries = reads.try_collect::<Vec<_>>().await?.concat();
        // In the order that entries have within a partition.
        entries.sort_by_cached_key(|entry| Reverse((entry.since, entry.entry.clone())));
        entries.truncate(most);
        Ok(entries)
    }

    /// Returns the entries of a list after a position, at most `most`, and fewer only at its end.
    pub(super) async fn latest<T>(
        &self,
        list: Latest<'_>,
        after: Option<TimedPosition<T>>,
        most: usize,
    ) -> Result<Vec<TimedPosition<T>>, Error>
    where
        T: fmt::Display + FromStr<Err = Reason>,
    {
        let query = self
            .client
            .query()
            .table_name(list.table)
            .index_name("latest")
            .key_condition_expression("#list = :list")
            .expression_attribute_names("#list", list.list.0)
            .expression_attribute_values(":list", s(&list.list.1))
            .scan_index_forward(false)
            .consistent_read(true)
            .set_exclusive_start_key(after.map(|position| list.key(&position)));
        let rows = rows(query, most).await?;
        rows.iter().map(|row| list.read(row)).collect()
    }
}
