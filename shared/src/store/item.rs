//! Items: reading and writing attributes, keys, and batches of reads.

use std::collections::HashMap;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{Config, http::HttpResponse};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::future::try_join_all;

use super::retry::Retry;
use super::{Error, Store};
use crate::domain::PostId;

pub(super) type Item = HashMap<String, AttributeValue>;

/// The maximum number of keys in one `BatchGetItem`.
const BATCH_GET: usize = 100;
const BATCH_GET_ATTEMPTS: u32 = 6;
/// The reason for giving up a batch when the store keeps leaving some of its keys unprocessed.
const THROTTLED: &str = "throttled: keys left unprocessed";

#[expect(
    clippy::needless_pass_by_value,
    reason = "ids and numbers: calls read better"
)]
pub(super) fn s(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "ids and numbers: calls read better"
)]
pub(super) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> AttributeValue {
    AttributeValue::L(values.into_iter().map(s).collect())
}

/// Returns the partition, of this many, that a post belongs to: its id's last digits are random.
pub(super) fn shard(post: PostId, of: u8) -> u8 {
    let [.., last] = post.0.to_bytes();
    last.checked_rem(of).unwrap_or_default()
}

/// Builds an item, or a key, of these attributes.
pub(super) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Reads attributes out of an item.
pub(super) trait Read {
    fn text(&self, name: &str) -> Result<&str, Error>;
    fn maybe_text(&self, name: &str) -> Option<&str>;
    fn maybe_number(&self, name: &str) -> Result<Option<i64>, Error>;
    fn flag(&self, name: &str) -> bool;
    fn texts(&self, name: &str) -> Result<Vec<&str>, Error>;

    fn number(&self, name: &str) -> Result<i64, Error> {
        self.maybe_number(name)?
            .ok_or_else(|| Error::broken(format_args!("no {name}")))
    }

    /// Returns the value of a counter: 0 if it was never moved.
    fn count(&self, name: &str) -> Result<u64, Error> {
        u64::try_from(self.maybe_number(name)?.unwrap_or(0))
            .map_err(|_| Error::broken(format_args!("{name} below 0")))
    }
}

impl Read for Item {
    fn text(&self, name: &str) -> Result<&str, Error> {
        self.maybe_text(name)
            .ok_or_else(|| Error::broken(format_args!("no {name}")))
    }

    fn maybe_text(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| value.as_s().ok())
            .map(String::as_str)
    }

    fn maybe_number(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_n().ok().and_then(|text| text.parse().ok());
        number
            .map(Some)
            .ok_or_else(|| Error::broken(format_args!("{name} is not a number")))
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name)
            .and_then(|value| value.as_bool().ok())
            .copied()
            .unwrap_or(false)
    }

    fn texts(&self, name: &str) -> Result<Vec<&str>, Error> {
        let Some(value) = self.get(name) else {
            return Ok(Vec::new());
        };
        let values = value
            .as_l()
            .map_err(|_| Error::broken(format_args!("{name} is not a list")))?;
        values
            .iter()
            .map(|value| {
                value
                    .as_s()
                    .map(String::as_str)
                    .map_err(|_| Error::broken(format_args!("{name} holds no text")))
            })
            .collect()
    }
}

/// Returns the items that a query finds, at most `most`, and fewer only if there are no more. This may take several
/// calls, since one call reads a megabyte at most.
pub(super) async fn rows(query: QueryFluentBuilder, most: usize) -> Result<Vec<Item>, Error> {
    let mut found = Vec::new();
    let mut from = query.get_exclusive_start_key().clone();
    while found.len() < most {
        let output = query
            .clone()
            .set_exclusive_start_key(from)
            .limit(i32::try_from(most - found.len()).unwrap_or(i32::MAX))
            .send()
            .await?;
        found.extend(output.items.unwrap_or_default());
        from = output.last_evaluated_key;
        if from.is_none() {
            break;
        }
    }
    Ok(found)
}

impl Store {
    /// Returns the newest items of a list that is sorted by ids: those older than a position, at most `most`.
    pub(super) async fn newest(
        &self,
        table: &str,
        list: &str,
        id: &str,
        before: Option<impl ToString>,
        most: usize,
    ) -> Result<Vec<Item>, Error> {
        let bound = if before.is_some() {
            " AND #id < :before"
        } else {
            ""
        };
        let mut query = self
            .client
            .query()
            .table_name(table)
            .key_condition_expression(format!("#list = :list{bound}"))
            .expression_attribute_names("#list", "list")
            .expression_attribute_values(":list", s(list))
            .scan_index_forward(false)
            .consistent_read(true);
        if let Some(before) = before {
            query = query
                .expression_attribute_names("#id", id)
                .expression_attribute_values(":before", s(before));
        }
        rows(query, most).await
    }

    /// Returns the items of these keys that exist, read consistently, in any order, restricted to `fields` if given.
    pub(super) async fn batch_get(
        &self,
        table: &str,
        keys: Vec<Item>,
        fields: Option<&str>,
    ) -> Result<Vec<Item>, Error> {
        let batches = keys.chunks(BATCH_GET).map(|keys| async move {
            let batch = self.batch_get_once(table, keys, fields, true).await?;
            match batch.refused {
                Some(why) => Err(why),
                None => Ok(batch.items),
            }
        });
        Ok(try_join_all(batches).await?.into_iter().flatten().collect())
    }

    /// Returns the items of these keys that exist and can be read, and the keys of those that can't be. Fails if none
    /// can be read; a single key that can't be read is no error.
    pub(super) async fn batch_get_readable(
        &self,
        table: &str,
        keys: Vec<Item>,
    ) -> Result<Batch, Error> {
        let batches = keys
            .chunks(BATCH_GET)
            .map(|keys| self.batch_get_each(table, keys));
        let mut all = Batch::default();
        for batch in try_join_all(batches).await? {
            all.items.extend(batch.items);
            all.unread.extend(batch.unread);
            all.refused = batch.refused.or(all.refused);
        }
        match all.refused {
            Some(why) if keys.len() > 1 && all.unread.len() == keys.len() => Err(why),
            _ => Ok(all),
        }
    }

    /// Reads a batch. If the store refuses all of it, which may be due to one item, reads each item by itself.
    async fn batch_get_each(&self, table: &str, keys: &[Item]) -> Result<Batch, Error> {
        let batch = self.batch_get_once(table, keys, None, true).await?;
        if keys.len() < 2 || batch.unread.len() < keys.len() {
            return Ok(batch);
        }
        let each = keys.chunks(1);
        let each = each.map(|key| self.batch_get_once(table, key, None, false));
        let mut all = Batch::default();
        for one in try_join_all(each).await? {
            all.items.extend(one.items);
            all.unread.extend(one.unread);
            all.refused = one.refused.or(all.refused);
        }
        Ok(all)
    }

    /// Reads at most [`BATCH_GET`] items. Keys that the store leaves unprocessed are read again if `retry_throttled`.
    async fn batch_get_once(
        &self,
        table: &str,
        keys: &[Item],
        fields: Option<&str>,
        retry_throttled: bool,
    ) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        let mut keys = keys.to_vec();
        let mut retry = Retry::at_most(BATCH_GET_ATTEMPTS, THROTTLED);
        loop {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(keys.clone()))
                .consistent_read(true)
                .set_projection_expression(fields.map(str::to_owned))
                .build()
                .map_err(Error::broken)?;
            let mut get = self
                .client
                .batch_get_item()
                .request_items(table, wanted)
                .customize();
            if !retry_throttled {
                let once = Config::builder().retry_config(RetryConfig::disabled());
                get = get.config_override(once);
            }
            let output = match get.send().await {
                Ok(output) => output,
                Err(error) if is_overloaded(&error) => {
                    batch.refused = Some(error.into());
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            let items = output.responses.unwrap_or_default().into_values();
            batch.items.extend(items.flatten());
            let unprocessed = output.unprocessed_keys.unwrap_or_default();
            keys = unprocessed
                .into_values()
                .flat_map(|rest| rest.keys)
                .collect();
            if keys.is_empty() {
                return Ok(batch);
            }
            batch.refused = if retry_throttled {
                retry.back_off().await.err()
            } else {
                Some(Error::Unavailable(THROTTLED.to_owned()))
            };
            if batch.refused.is_some() {
                break;
            }
        }
        batch.unread = keys;
        Ok(batch)
    }
}

/// Items that were read, and the keys of those that could not be, with the reason.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    pub(super) unread: Vec<Item>,
    refused: Option<Error>,
}

/// Returns whether the store answered that it is too busy for this, or that it failed. Returns false if the store is
/// out of reach.
fn is_overloaded(error: &SdkError<BatchGetItemError, HttpResponse>) -> bool {
    const BUSY: [&str; 4] = [
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "Throttling",
    ];
    let SdkError::ServiceError(service) = error else {
        return false;
    };
    let code = service.err().meta().code().unwrap_or_default();
    service.raw().status().is_server_error() || BUSY.contains(&code)
}
