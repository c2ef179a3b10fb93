//! Conditional updates whose failed condition is an answer.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

use super::Error;

/// Sends an update. Returns whether its condition held; if not, nothing has changed.
pub(super) async fn condition_held(update: UpdateItemFluentBuilder) -> Result<bool, Error> {
    match update.send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(error.into()),
        },
    }
}
