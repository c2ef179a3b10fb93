//! Creation: a new item is written in one transaction with the answer to its idempotency key.

use std::ops::Range;

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::idempotency::{Answer, IdempotencyRecord, IdempotentRequest};
use super::retry::Retry;
use super::transactions::{Token, failed_condition, is_write_conflict};
use super::{Error, Store};

/// The outcome of creating something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The item is stored.
    Now,
    /// Another item has that id: mint a new id.
    IdTaken,
    /// The request was sent before.
    Before(IdempotencyRecord),
    /// A picture that the item is to show was removed meanwhile.
    PictureGone,
    /// Something else that the item depends on is no longer as it must be.
    Outdated,
}

impl Store {
    /// Writes something new, all of it or nothing, and remembers the answer to its idempotency key. The first write has
    /// the condition that the id is new; `is_ours` tells whether the item that already has the id is this very item,
    /// written by an earlier attempt whose answer was lost. The conditions of the other writes are about what the item
    /// depends on: those at the places `pictures`, that a picture is there.
    pub(super) async fn create(
        &self,
        mut writes: Vec<TransactWriteItem>,
        pictures: Range<usize>,
        request: Option<(&IdempotentRequest, &Answer)>,
        is_ours: impl Future<Output = Result<bool, Error>>,
    ) -> Result<Created, Error> {
        let remembering = writes.len();
        if let Some((request, answer)) = request {
            let put = request.put(&self.tables.idempotency, answer)?;
            writes.push(TransactWriteItem::builder().put(put).build());
        }
        let mut token = Token::new();
        let mut retry = Retry::new("other writes kept coming first");
        loop {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .client_request_token(token.as_str())
                .send()
                .await;
            let Err(error) = sent else {
                return Ok(Created::Now);
            };
            if failed_condition(&error, 0) {
                return Ok(if is_ours.await? {
                    Created::Now
                } else {
                    Created::IdTaken
                });
            }
            if failed_condition(&error, remembering)
                && let Some((request, _)) = request
                && let Some(known) = self.idempotency_record(request).await?
            {
                return Ok(Created::Before(known));
            }
            if pictures
                .clone()
                .any(|place| failed_condition(&error, place))
            {
                return Ok(Created::PictureGone);
            }
            if (1..remembering).any(|place| failed_condition(&error, place)) {
                return Ok(Created::Outdated);
            }
            if !is_write_conflict(&error) {
                return Err(error.into());
            }
            token.after(&error);
            retry.back_off().await?;
        }
    }
}
