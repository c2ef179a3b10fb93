//! Idempotency records: the answer that was given to an `Idempotency-Key`.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::Put;

use super::item::{Item, Read, item, n, s};
use super::{Error, Store};
use crate::domain::{Fingerprint, IdempotencyKey, Timestamp, UserId};

/// The lifetime of a record.
const HOURS: i64 = 24;

/// A request that is to be done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// The user who sends the request.
    pub caller: UserId,
    /// The key under which the request is sent.
    pub key: IdempotencyKey,
    /// The request's method, path and body.
    pub fingerprint: Fingerprint,
}

/// An answer, to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

/// The record of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyRecord {
    /// The same request was given this answer.
    Answered(Answer),
    /// The key was used for another request.
    OtherRequest,
}

impl IdempotentRequest {
    fn item_key(&self) -> Item {
        item([("user", s(&self.caller)), ("key", s(self.key.as_str()))])
    }

    fn record(&self, answer: &Answer) -> Item {
        let mut record = self.item_key();
        record.extend(item([
            ("fingerprint", s(&self.fingerprint)),
            ("status", n(answer.status)),
            ("body", s(&answer.body)),
            (
                "expires_at",
                n(Timestamp::now().plus_seconds(HOURS * 60 * 60).seconds()),
            ),
        ]));
        if let Some(location) = &answer.location {
            record.insert("location".to_owned(), s(location));
        }
        record
    }

    /// Builds the write that remembers the answer, unless another request was faster: part of the transaction that does
    /// what was asked for.
    pub(super) fn put(&self, table: &str, answer: &Answer) -> Result<Put, Error> {
        // DynamoDB deletes expired rows up to days later: until then they count as gone.
        Put::builder()
            .table_name(table)
            .set_item(Some(self.record(answer)))
            .condition_expression("attribute_not_exists(#key) OR expires_at < :now")
            .expression_attribute_names("#key", "key")
            .expression_attribute_values(":now", n(Timestamp::now().seconds()))
            .build()
            .map_err(Error::broken)
    }
}

impl Store {
    /// Returns the record of the request's key; nothing, if the key is new.
    pub async fn idempotency_record(
        &self,
        request: &IdempotentRequest,
    ) -> Result<Option<IdempotencyRecord>, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&self.tables.idempotency)
            .set_key(Some(request.item_key()))
            .consistent_read(true)
            .send()
            .await?;
        let Some(record) = output.item else {
            return Ok(None);
        };
        if record.number("expires_at")? < Timestamp::now().seconds() {
            return Ok(None);
        }
        if record.text("fingerprint")? != request.fingerprint.as_str() {
            return Ok(Some(IdempotencyRecord::OtherRequest));
        }
        Ok(Some(IdempotencyRecord::Answered(Answer {
            status: u16::try_from(record.number("status")?).map_err(Error::broken)?,
            location: record.maybe_text("location").map(str::to_owned),
            body: record.text("body")?.to_owned(),
        })))
    }

    /// Remembers the answer to a request that changes nothing else here. Returns the record that exists instead, if
    /// another request was faster.
    pub async fn remember(
        &self,
        request: &IdempotentRequest,
        answer: &Answer,
    ) -> Result<Option<IdempotencyRecord>, Error> {
        let put = request.put(&self.tables.idempotency, answer)?;
        let sent = self
            .client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_names(put.expression_attribute_names)
            .set_expression_attribute_values(put.expression_attribute_values)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => {
                    self.idempotency_record(request).await
                }
                _ => Err(error.into()),
            },
        }
    }

    /// Replaces the remembered answer, where it has gone stale (a presigned URL that expired).
    pub async fn replace(&self, request: &IdempotentRequest, answer: &Answer) -> Result<(), Error> {
        self.client
            .put_item()
            .table_name(&self.tables.idempotency)
            .set_item(Some(request.record(answer)))
            .send()
            .await?;
        Ok(())
    }
}
