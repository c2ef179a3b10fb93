//! Conditional updates.

use std::fmt::Debug;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::Error;

/// Whether an update failed because its condition did not hold.
pub(super) fn condition_failed(error: Option<&UpdateItemError>) -> bool {
    matches!(
        error,
        Some(UpdateItemError::ConditionalCheckFailedException(_))
    )
}

/// Whether an update's condition held, and so it was done.
pub(super) fn condition_held<R: Debug>(
    sent: Result<(), SdkError<UpdateItemError, R>>,
) -> Result<bool, Error> {
    match sent {
        Ok(()) => Ok(true),
        Err(error) if condition_failed(error.as_service_error()) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
