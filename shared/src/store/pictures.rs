//! Pictures, and what shows them.
//!
//! An upload has a row from the moment that its picture is begun. The row has the picture's name, so that another try, after a
//! crash or at the same time, writes the same files. Once these are written, the row has the sizes too. It also counts
//! the picture's uses: the posts, profiles and cats that show it.
//!
//! A use is counted in the transaction that stores what shows the picture, on condition that the picture is there. A picture
//! that nothing shows is in the sparse index `due`: it is due for removal once its last use is dropped, or two days
//! after it was begun if it was never used. The removal has two parts. The first marks the row, on condition that there still
//! is no use: no transaction can use the picture from then on. Then the files are deleted. The second part, when the picture
//! can't be in the making any more, deletes files written since the first, and then the row. Each part may be repeated.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::conditional::condition_held;
use super::due_index::{DueIndex, SHARDS};
use super::item::{Item, Read, item, n, s};
use super::picture_row::{name, picture, sizes_and_thumbhash, upload};
use super::{Error, Store};
use crate::domain::{ImageKey, Picture, PictureName, Timestamp, UserId, pictures_missing_from};

/// The largest difference between two instances' clocks, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 10;

/// The state of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadState {
    /// Its picture is begun under this name.
    Begun(PictureName),
    /// Its picture can be shown.
    Ready(Picture),
    /// It can't be shown.
    Refused,
    /// It is being removed.
    Removed,
}

/// The removal of an upload and its picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The upload.
    pub key: ImageKey,
    /// The picture's name, unless the picture was never begun.
    pub name: Option<PictureName>,
    /// The time at which it began.
    pub begun: Timestamp,
    /// Whether this is the second part: the files are deleted again, and then the row.
    pub second: bool,
}

fn picture_key(key: &ImageKey) -> Item {
    item([("owner", s(key.owner())), ("upload", s(key))])
}

/// Returns the partition of the index that an upload belongs to: the characters of its key are random.
fn shard(key: &ImageKey) -> u8 {
    let sum = key.as_str().bytes().fold(0, u8::wrapping_add);
    sum.checked_rem(SHARDS).unwrap_or_default()
}

fn state(row: &Item) -> Result<UploadState, Error> {
    if row.contains_key("removing") {
        Ok(UploadState::Removed)
    } else if row.flag("refused") {
        Ok(UploadState::Refused)
    } else if row.contains_key("sizes") {
        picture(row).map(UploadState::Ready)
    } else {
        name(row).map(UploadState::Begun)
    }
}

/// Returns the removal of a marked row's upload: its second part if that is due at the time `now`, or else its first.
fn removal(row: &Item, now: Timestamp) -> Result<Removal, Error> {
    Ok(Removal {
        key: upload(row)?,
        name: row.contains_key("name").then(|| name(row)).transpose()?,
        begun: Timestamp::from_millis(row.number("removing")?),
        second: row.number("due_at")? <= now.millis(),
    })
}

impl Store {
    /// Returns the states of these uploads, without those whose pictures were never begun.
    pub async fn uploads(
        &self,
        keys: &[ImageKey],
    ) -> Result<HashMap<ImageKey, UploadState>, Error> {
        let rows = keys.iter().map(picture_key).collect();
        let rows = self.batch_get(&self.tables.pictures, rows, None).await?;
        let states = rows.iter().filter(|row| row.contains_key("name"));
        states.map(|row| Ok((upload(row)?, state(row)?))).collect()
    }

    /// Begins the picture of an upload, which is due for removal at that time unless something shows it by then. Returns the
    /// upload's state, which another may have begun.
    pub async fn begin_picture(
        &self,
        key: &ImageKey,
        due: Timestamp,
    ) -> Result<UploadState, Error> {
        let output = self
            .client
            .update_item()
            .table_name(&self.tables.pictures)
            .set_key(Some(picture_key(key)))
            .update_expression(
                "SET #name = if_not_exists(#name, :name), #uses = :none, due_shard = :shard, due_at = :due",
            )
            .condition_expression("attribute_not_exists(sizes) AND attribute_not_exists(removing)")
            .expression_attribute_names("#name", "name")
            .expression_attribute_names("#uses", "uses")
            .expression_attribute_values(":name", s(PictureName::mint()))
            .expression_attribute_values(":none", n(0))
            .expression_attribute_values(":shard", s(shard(key)))
            .expression_attribute_values(":due", n(due.millis()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(
                ReturnValuesOnConditionCheckFailure::AllOld,
            )
            .send()
            .await;
        match output {
            Ok(output) => state(&output.attributes.unwrap_or_default()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    state(failed.item().ok_or_else(|| Error::broken("no item"))?)
                }
                _ => Err(error.into()),
            },
        }
    }

    /// Notes that the files of a picture are written. Returns false if the upload is being removed.
    pub async fn finish_picture(&self, picture: &Picture) -> Result<bool, Error> {
        let [(_, sizes), (_, thumbhash)] = sizes_and_thumbhash(picture);
        let update = self
            .begun(&picture.key, &picture.name)
            .update_expression("SET sizes = :sizes, thumbhash = :thumbhash")
            .expression_attribute_values(":sizes", sizes)
            .expression_attribute_values(":thumbhash", thumbhash);
        condition_held(update).await
    }

    /// Notes that an upload can't be shown.
    pub async fn refuse_upload(&self, key: &ImageKey, name: &PictureName) -> Result<(), Error> {
        let update = self
            .begun(key, name)
            .update_expression("SET refused = :yes")
            .expression_attribute_values(":yes", AttributeValue::Bool(true));
        condition_held(update).await.map(drop)
    }

    /// Begins an update of a picture that was begun under a name, and isn't being removed.
    fn begun(&self, key: &ImageKey, name: &PictureName) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.tables.pictures)
            .set_key(Some(picture_key(key)))
            .condition_expression("#name = :name AND attribute_not_exists(removing)")
            .expression_attribute_names("#name", "name")
            .expression_attribute_values(":name", s(name))
    }

    /// Adds the writes that count a change of the pictures that something shows. Returns the places of those whose condition
    /// is that a new picture still exists.
    pub(super) fn count_uses(
        &self,
        before: &[&Picture],
        after: &[&Picture],
        writes: &mut Vec<TransactWriteItem>,
    ) -> Result<Range<usize>, Error> {
        let start = writes.len();
        for picture in pictures_missing_from(before, after) {
            let update = Update::builder()
                .update_expression("REMOVE due_shard, due_at ADD #uses :one")
                .condition_expression(
                    "#name = :name AND attribute_exists(sizes) AND attribute_not_exists(removing)",
                )
                .expression_attribute_names("#name", "name")
                .expression_attribute_values(":name", s(&picture.name))
                .expression_attribute_values(":one", n(1));
            writes.push(self.count_use(picture, update)?);
        }
        let places = start..writes.len();
        // Due at once, even by another instance's clock that is behind this one.
        let due = Timestamp::now().plus_seconds(-CLOCK_SKEW_SECONDS);
        for picture in pictures_missing_from(after, before) {
            let update = Update::builder()
                .update_expression("SET due_shard = :shard, due_at = :due ADD #uses :one")
                .expression_attribute_values(":shard", s(shard(&picture.key)))
                .expression_attribute_values(":due", n(due.millis()))
                .expression_attribute_values(":one", n(-1));
            writes.push(self.count_use(picture, update)?);
        }
        Ok(places)
    }

    fn count_use(
        &self,
        picture: &Picture,
        update: UpdateBuilder,
    ) -> Result<TransactWriteItem, Error> {
        let update = update
            .table_name(&self.tables.pictures)
            .set_key(Some(picture_key(&picture.key)))
            .expression_attribute_names("#uses", "uses")
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Returns uploads that were due for removal at the time `by`, the longest due first, at most `most` of each shard.
    pub async fn due_uploads(&self, by: Timestamp, most: i32) -> Result<Vec<ImageKey>, Error> {
        let index = DueIndex {
            table: &self.tables.pictures,
            name: "due",
            shard: "due_shard",
        };
        let rows = self.due_rows(index, by, most).await?;
        rows.iter().map(upload).collect()
    }

    /// Begins a part of an upload's removal at the time `now`, if the upload is due and nothing shows it, or if its removal has
    /// begun before. The second part is due at the time `next`.
    pub async fn begin_removal(
        &self,
        key: &ImageKey,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<Option<Removal>, Error> {
        let Some(row) = self.picture_row(key).await? else {
            return Ok(None);
        };
        if row.contains_key("removing") {
            return removal(&row, now).map(Some);
        }
        let unused = "due_at <= :now AND #uses <= :none AND attribute_not_exists(removing)";
        let removal = self.mark_removal(key, now, next, unused).await?;
        if removal.is_none() {
            self.clear_due(key, now).await?;
        }
        Ok(removal)
    }

    /// Begins a part of the removal of a departed user's upload, whatever shows it: see [`Store::begin_removal`].
    pub async fn begin_erasure_of_upload(
        &self,
        key: &ImageKey,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<Option<Removal>, Error> {
        match self.picture_row(key).await? {
            None => Ok(None),
            Some(row) if row.contains_key("removing") => removal(&row, now).map(Some),
            Some(_) => {
                let first = "attribute_exists(upload) AND attribute_not_exists(removing)";
                self.mark_removal(key, now, next, first).await
            }
        }
    }

    async fn picture_row(&self, key: &ImageKey) -> Result<Option<Item>, Error> {
        let rows = vec![picture_key(key)];
        let mut rows = self.batch_get(&self.tables.pictures, rows, None).await?;
        Ok(rows.pop())
    }

    /// Marks an upload as being removed, on a condition.
    async fn mark_removal(
        &self,
        key: &ImageKey,
        now: Timestamp,
        next: Timestamp,
        condition: &str,
    ) -> Result<Option<Removal>, Error> {
        let output = self
            .client
            .update_item()
            .table_name(&self.tables.pictures)
            .set_key(Some(picture_key(key)))
            .update_expression(
                "SET removing = :now, #uses = :none, due_shard = :shard, due_at = :next",
            )
            .condition_expression(condition)
            .expression_attribute_names("#uses", "uses")
            .expression_attribute_values(":now", n(now.millis()))
            .expression_attribute_values(":next", n(next.millis()))
            .expression_attribute_values(":none", n(0))
            .expression_attribute_values(":shard", s(shard(key)))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match output {
            Ok(output) => removal(&output.attributes.unwrap_or_default(), now).map(Some),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Takes an upload that something shows out of the index: another use of it was dropped.
    async fn clear_due(&self, key: &ImageKey, now: Timestamp) -> Result<(), Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.pictures)
            .set_key(Some(picture_key(key)))
            .update_expression("REMOVE due_shard, due_at")
            .condition_expression("due_at <= :now AND #uses > :none")
            .expression_attribute_names("#uses", "uses")
            .expression_attribute_values(":now", n(now.millis()))
            .expression_attribute_values(":none", n(0));
        condition_held(update).await.map(drop)
    }

    /// Ends the removal of an upload whose files are deleted.
    pub async fn end_removal(&self, removal: &Removal) -> Result<(), Error> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.tables.pictures)
            .set_key(Some(picture_key(&removal.key)))
            // Another may have ended it, and the upload may have come again.
            .condition_expression("removing = :begun")
            .expression_attribute_values(":begun", n(removal.begun.millis()))
            .send()
            .await;
        let ended = |error: &DeleteItemError| error.is_conditional_check_failed_exception();
        match delete {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(ended) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns some of a user's uploads whose pictures were begun, after a position, in order.
    pub async fn uploads_of(
        &self,
        owner: &UserId,
        after: Option<&ImageKey>,
    ) -> Result<Vec<ImageKey>, Error> {
        let partition = ("owner", owner.to_string());
        let rows = self
            .partition_rows(&self.tables.pictures, partition, after.map(picture_key))
            .await?;
        rows.iter().map(upload).collect()
    }
}
