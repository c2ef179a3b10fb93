//! The allowance of a user's uploads: photos a day and bytes in all.
//!
//! One item of each user counts what was granted, not what was sent, in the same write that grants it, so concurrent
//! requests cannot exceed a limit together. Grants that were never used, and photos that were deleted, are found when
//! the bytes are used up: then the bucket is asked for the stored bytes, as soon as no granted URL can be in use any
//! more.
//!
//! The item is among the user's idempotency records, and is erased with them when the account is.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::conditional::condition_held;
use super::item::{Item, Read, item, n, s};
use super::retry::Retry;
use super::{Error, Store};
use crate::domain::{Timestamp, UploadSize, UserId};

/// The item's sort key, which has a space: no idempotency key has one.
const KEY: &str = "granted uploads";
/// The seconds after which no granted upload is in progress any more: the URL is valid for 15 minutes, and an upload
/// that began in time may take as long again.
const SETTLED_SECONDS: i64 = 30 * 60;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// The limits of a user's uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Photos a day, by UTC.
    pub photos_a_day: i64,
    /// Bytes in all.
    pub bytes: i64,
}

/// The uploads granted to a user so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Granted {
    /// The day of the last grant, counted from the epoch, and the number of photos granted on it.
    day: i64,
    photos: i64,
    /// The bytes that are stored, or may still arrive.
    bytes: i64,
    /// The times of the last URL and of the last look into the bucket, in milliseconds since the epoch.
    last_at: i64,
    counted_at: i64,
}

/// The outcome of a request for an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// The upload is granted, and counted.
    Yes,
    /// The photos of the day are used up: the next one may be granted at this time.
    NotBefore(Timestamp),
    /// The upload exceeds the user's bytes, by this count.
    Full(Granted),
}

impl Granted {
    fn of(row: &Item) -> Result<Self, Error> {
        let number = |name| Ok::<_, Error>(row.maybe_number(name)?.unwrap_or_default());
        Ok(Self {
            day: number("day")?,
            photos: number("photos")?,
            bytes: number("bytes")?,
            last_at: number("last_at")?,
            counted_at: number("counted_at")?,
        })
    }

    /// Returns whether everything that was granted and sent is in the bucket, and the bucket was not asked lately.
    pub const fn is_settled(&self, now: Timestamp) -> bool {
        let latest = if self.last_at > self.counted_at {
            self.last_at
        } else {
            self.counted_at
        };
        now.millis()
            > Timestamp::from_millis(latest)
                .plus_seconds(SETTLED_SECONDS)
                .millis()
    }
}

/// Sends a grant. Returns the stored count instead if the grant's condition doesn't hold.
async fn grant(
    update: UpdateItemFluentBuilder,
    day: i64,
    now: Timestamp,
) -> Result<Result<(), Option<Granted>>, Error> {
    let update = update
        .expression_attribute_names("#day", "day")
        .expression_attribute_names("#bytes", "bytes")
        .expression_attribute_values(":day", n(day))
        .expression_attribute_values(":now", n(now.millis()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let Err(error) = update.send().await else {
        return Ok(Ok(()));
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
            Ok(Err(failed.item().map(Granted::of).transpose()?))
        }
        _ => Err(error.into()),
    }
}

fn key(user: &UserId) -> Item {
    item([("user", s(user)), ("key", s(KEY))])
}

impl Store {
    fn granted(&self, user: &UserId) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.tables.idempotency)
            .set_key(Some(key(user)))
    }

    /// Grants a user an upload of this size, if it is within the limits.
    pub async fn grant_upload(
        &self,
        user: &UserId,
        size: UploadSize,
        most: &Allowance,
        now: Timestamp,
    ) -> Result<Grant, Error> {
        let size = i64::try_from(size.bytes()).map_err(Error::broken)?;
        let today = now.millis().div_euclid(DAY_MILLIS);
        // The usual case: the user was granted other uploads today, and there is room.
        let another = self
            .granted(user)
            .update_expression("SET last_at = :now ADD photos :one, #bytes :size")
            .condition_expression("#day = :day AND photos < :most AND #bytes <= :room")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":size", n(size))
            .expression_attribute_values(":most", n(most.photos_a_day))
            .expression_attribute_values(":room", n(most.bytes.saturating_sub(size)));
        let mut known = match grant(another, today, now).await? {
            Ok(()) => return Ok(Grant::Yes),
            Err(known) => known,
        };
        let mut retry = Retry::new("the same user kept asking for uploads");
        loop {
            let before = known.unwrap_or_default();
            // By the clock of another instance, the next day may have begun.
            let day = before.day.max(today);
            let photos = if before.day == day { before.photos } else { 0 };
            if photos >= most.photos_a_day {
                let tomorrow = day.saturating_add(1).saturating_mul(DAY_MILLIS);
                return Ok(Grant::NotBefore(Timestamp::from_millis(tomorrow)));
            }
            if before.bytes.saturating_add(size) > most.bytes {
                return Ok(Grant::Full(before));
            }
            let update = self
                .granted(user)
                .update_expression(
                    "SET #day = :day, photos = :photos, #bytes = :bytes, last_at = :now",
                )
                .expression_attribute_values(":photos", n(photos.saturating_add(1)))
                .expression_attribute_values(":bytes", n(before.bytes.saturating_add(size)));
            let update = match known {
                None => update.condition_expression("attribute_not_exists(#day)"),
                Some(known) => update
                    .condition_expression(
                        "#day = :known_day AND photos = :known_photos AND #bytes = :known_bytes",
                    )
                    .expression_attribute_values(":known_day", n(known.day))
                    .expression_attribute_values(":known_photos", n(known.photos))
                    .expression_attribute_values(":known_bytes", n(known.bytes)),
            };
            known = match grant(update, day, now).await? {
                Ok(()) => return Ok(Grant::Yes),
                Err(known) => known,
            };
            retry.back_off().await?;
        }
    }

    /// Notes that a new URL is given for an upload that was granted before.
    pub async fn renew_grant(&self, user: &UserId, now: Timestamp) -> Result<(), Error> {
        let update = self
            .granted(user)
            .update_expression("SET last_at = :now")
            .condition_expression("attribute_exists(last_at) AND last_at < :now")
            .expression_attribute_values(":now", n(now.millis()));
        condition_held(update).await.map(drop)
    }

    /// Corrects the granted bytes to those in the bucket, unless something was granted since.
    pub async fn correct_granted(
        &self,
        user: &UserId,
        known: &Granted,
        bytes: i64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let update = self
            .granted(user)
            .update_expression("SET #bytes = :bytes, counted_at = :now")
            .condition_expression("last_at = :last_at AND #bytes = :known")
            .expression_attribute_names("#bytes", "bytes")
            .expression_attribute_values(":bytes", n(bytes))
            .expression_attribute_values(":known", n(known.bytes))
            .expression_attribute_values(":last_at", n(known.last_at))
            .expression_attribute_values(":now", n(now.millis()));
        condition_held(update).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn granted_uploads_are_settled_after_the_settling_time() {
        let granted = Granted {
            last_at: 1_000,
            counted_at: 5_000,
            ..Granted::default()
        };
        let settled = 5_000 + SETTLED_SECONDS * 1000;
        assert!(!granted.is_settled(Timestamp::from_millis(settled)));
        assert!(granted.is_settled(Timestamp::from_millis(settled + 1)));
    }
}
