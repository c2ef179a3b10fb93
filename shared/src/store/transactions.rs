//! Transactions: their outcomes, and new attempts after conflicts.

use std::ops::Range;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use super::retry::Retry;
use super::{Error, Store};

/// The maximum number of writes in one transaction.
pub(super) const TRANSACTION: usize = 100;

impl Store {
    /// Applies all of these writes, and tries again after conflicts over the same items. Returns false, with nothing
    /// written, if the condition of the first write doesn't hold. Only the first write has a condition.
    pub(super) async fn write_if(&self, writes: Vec<TransactWriteItem>) -> Result<bool, Error> {
        let mut token = Token::new();
        let mut retry = Retry::new("others kept writing the same items");
        loop {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .client_request_token(token.as_str())
                .send()
                .await;
            match sent {
                Ok(_) => return Ok(true),
                Err(error) if failed_condition(&error, 0) => return Ok(false),
                Err(error) if is_write_conflict(&error) => {
                    token.after(&error);
                    retry.back_off().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Applies all of these writes. Returns false, with nothing written, if others wrote the same items meanwhile.
    pub(super) async fn write_transaction(
        &self,
        writes: Vec<TransactWriteItem>,
    ) -> Result<bool, Error> {
        Ok(self.write_all_or_none(writes, []).await? == Outcome::Written)
    }

    /// Applies all of these writes or none. `watched` are the places of writes whose conditions may fail for other reasons
    /// than a conflict; the outcome tells which of these ranges did not hold.
    pub(super) async fn write_all_or_none<const N: usize>(
        &self,
        writes: Vec<TransactWriteItem>,
        watched: [Range<usize>; N],
    ) -> Result<Outcome, Error> {
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Outcome::Written);
        };
        let unmet = |mut places: Range<usize>| places.any(|place| failed_condition(&error, place));
        match watched.into_iter().position(unmet) {
            Some(which) => Ok(Outcome::Unmet(which)),
            None if is_write_conflict(&error) => Ok(Outcome::Conflict),
            None => Err(error.into()),
        }
    }
}

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is written.
    Written,
    /// A condition failed within this range of the watched places.
    Unmet(usize),
    /// Others wrote the same items meanwhile.
    Conflict,
}

/// The token by which DynamoDB identifies a transaction: if two have the same token, DynamoDB executes only the first,
/// and answers the second like the first.
#[derive(Debug)]
pub(super) struct Token(String);

impl Token {
    pub(super) fn new() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Prepares the token for the next attempt. A transaction that is still in progress keeps its token, so that the
    /// attempt isn't taken for another transaction.
    pub(super) fn after<R>(&mut self, error: &SdkError<TransactWriteItemsError, R>) {
        if let Some(TransactWriteItemsError::TransactionCanceledException(_)) =
            error.as_service_error()
        {
            *self = Self::new();
        }
    }
}

/// Returns whether the transaction failed only because others wrote the same items at the same time, or because a
/// partition was overloaded.
pub(super) fn is_write_conflict<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
            let codes = || {
                canceled
                    .cancellation_reasons()
                    .iter()
                    .filter_map(|reason| reason.code())
            };
            codes().all(|code| {
                matches!(
                    code,
                    "None"
                        | "ConditionalCheckFailed"
                        | "TransactionConflict"
                        | "ThrottlingError"
                        | "ProvisionedThroughputExceeded"
                )
            })
        }
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => true,
        _ => false,
    }
}

/// Returns whether the write at that place failed its own condition.
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
