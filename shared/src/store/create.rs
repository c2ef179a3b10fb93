//! Creating something under a new id, in one transaction with all that belongs to it and the answer to
//! its idempotency key.

use std::future::Future;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use super::edges::met_another_write;
use super::idempotency::{Answer, Known, Once};
use super::{CONFLICT_TRIES, Error, Store, back_off};

/// What became of something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    Now,
    /// Another has that id: mint another.
    IdTaken,
    /// The request was sent before.
    Before(Known),
}

impl Store {
    /// Does these writes, and remembers what was answered to the idempotency key. The first write stores
    /// the thing itself, on condition that its id is new; `is_ours` asks whether what has the id is this
    /// very thing. Nothing comes of it where another write's condition is not met.
    pub(super) async fn create(
        &self,
        mut writes: Vec<TransactWriteItem>,
        once: Option<(&Once, &Answer)>,
        is_ours: impl Future<Output = Result<bool, Error>> + Send,
    ) -> Result<Option<Created>, Error> {
        let key_at = writes.len();
        if let Some((once, answer)) = once {
            let put = once.put(&self.tables.idempotency, answer)?;
            writes.push(TransactWriteItem::builder().put(put).build());
        }
        for tries in 0..CONFLICT_TRIES {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .send()
                .await;
            let Err(error) = sent else {
                return Ok(Some(Created::Now));
            };
            if failed_condition(&error, 0) {
                // Ours, if an earlier try was written and only its answer was lost.
                let ours = is_ours.await?;
                return Ok(Some(if ours { Created::Now } else { Created::IdTaken }));
            }
            if failed_condition(&error, key_at)
                && let Some((once, _)) = once
                && let Some(known) = self.known(once).await?
            {
                return Ok(Some(Created::Before(known)));
            }
            if (1..key_at).any(|place| failed_condition(&error, place)) {
                return Ok(None);
            }
            if !met_another_write(&error) {
                return Err(error.into());
            }
            back_off(tries).await;
        }
        Err(Error::Unavailable(
            "others kept writing the same items".to_owned(),
        ))
    }
}

/// Whether the write at that place failed its own condition.
pub(super) fn failed_condition<R>(
    error: &SdkError<TransactWriteItemsError, R>,
    place: usize,
) -> bool {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => canceled
            .cancellation_reasons()
            .get(place)
            .and_then(|reason| reason.code())
            .is_some_and(|code| code == "ConditionalCheckFailed"),
        _ => false,
    }
}
