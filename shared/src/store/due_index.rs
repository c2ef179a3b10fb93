//! Sparse indexes of rows that are due for work, spread over a few partitions, since each takes 1,000 writes a second.

use aws_sdk_dynamodb::operation::query::QueryOutput;
use futures::future::try_join_all;

use super::item::{Item, n, s};
use super::{Error, Store};
use crate::domain::Timestamp;

/// The number of partitions of each such index.
pub(super) const SHARDS: u8 = 8;

/// An index whose sort key is `due_at`.
#[derive(Debug, Clone, Copy)]
pub(super) struct DueIndex<'t> {
    pub(super) table: &'t str,
    pub(super) name: &'t str,
    /// The attribute that is the index's partition key.
    pub(super) shard: &'t str,
}

impl Store {
    /// Returns rows that were due at the time `by`, the longest due first, at most `most` of each shard.
    pub(super) async fn due_rows(
        &self,
        index: DueIndex<'_>,
        by: Timestamp,
        most: i32,
    ) -> Result<Vec<Item>, Error> {
        let shards = (0..SHARDS).map(|shard| async move {
            self.client
                .query()
                .table_name(index.table)
                .index_name(index.name)
                .key_condition_expression("#shard = :shard AND due_at <= :by")
                .expression_attribute_names("#shard", index.shard)
                .expression_attribute_values(":shard", s(shard))
                .expression_attribute_values(":by", n(by.millis()))
                .limit(most)
                .send()
                .await
        });
        let outputs = try_join_all(shards).await?.into_iter();
        let items = |output: QueryOutput| output.items.unwrap_or_default();
        Ok(outputs.flat_map(items).collect())
    }
}
