//! Leaving: withdrawals and erasures.
//!
//! A user who leaves is withdrawn by one write, and thereby hidden from everybody (see `visibility`). The user's data
//! is then erased step by step: each step deletes what it finds and tolerates finding less than before, so an erasure
//! that was interrupted starts again. Counters of other users move in the same transactions as what they count.
//!
//! During the erasure, changes by the user that are applied late are void. The last pass begins when no change that was
//! in progress at the withdrawal can still be in progress, and no upload that was allowed before the withdrawal can
//! still arrive. Comments, likes and handles are found by indexes that may lag, so an erasure ends only when two passes
//! in a row, some time apart, found nothing by them.
//!
//! Afterwards only the hash of the id remains, with the time of the erasure, for as long as a message may rest in a
//! queue: earlier changes are void. The same hash keeps the handles that the user gave up, for as long as they are
//! held, and the blocks of others against the user (see `kept_blocks`). Apart from these, a user who comes back with
//! that id begins anew.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{Delete, DeleteRequest, Put, TransactWriteItem, WriteRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::conditional::condition_held;
use super::item::{Item, Read, item, n, s};
use super::retry::Retry;
use super::{Error, Store};
use crate::domain::{Change, Timestamp, UserId, Version};

/// The maximum number of rows in one step of an erasure.
pub(super) const ROWS_PER_STEP: i32 = 100;
/// The maximum number of writes in one `BatchWriteItem`.
const BATCH_WRITE: usize = 25;
/// The number of days for which the time of a user's erasure is kept: longer than any message can rest in a queue and
/// then in its dead-letter queue (14 days each at most).
const REMEMBERED_DAYS: i64 = 30;
/// The only partition of the index `leaving`: few users leave at a time.
const LEAVING: &str = "1";

/// Some users: those who exist, and those who have left, with the time.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    until: HashMap<UserId, Version>,
    /// Users who exist, and the number of users each of them follows.
    known: HashMap<UserId, i64>,
}

impl Accounts {
    /// Returns whether this change by the user is void.
    pub(super) fn voids(&self, user: &UserId, change: Change) -> bool {
        self.until
            .get(user)
            .is_some_and(|until| change.version <= *until)
    }

    /// Returns whether the user exists: has left a trace that is still stored.
    pub(super) fn exists(&self, user: &UserId) -> bool {
        self.known.contains_key(user)
    }

    /// Returns the number of users the user follows.
    pub(super) fn following(&self, user: &UserId) -> i64 {
        self.known.get(user).copied().unwrap_or_default()
    }
}

/// Returns the name under which data of a user who has left is kept. No id has a `#`.
pub(super) fn departed_name(user: &UserId) -> String {
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(user.as_str()));
    format!("left#{hash}")
}

/// Returns the key of the row that says when a user was erased.
fn erasure_key(user: &UserId) -> Item {
    item([("id", s(departed_name(user)))])
}

/// Sends an update; does nothing if its condition doesn't hold.
async fn send_if_exists(update: UpdateItemFluentBuilder) -> Result<(), Error> {
    condition_held(update).await.map(drop)
}

impl Store {
    /// Withdraws a user, who is hidden from everybody from now on, and erased from `due` on. This is idempotent. The
    /// sign-in provider's name for the user, by default the id, is kept until the erasure ends.
    pub async fn withdraw(
        &self,
        user: &UserId,
        sign_in_name: Option<&str>,
        due: Timestamp,
    ) -> Result<(), Error> {
        self.client
            .update_item()
            .table_name(&self.tables.users)
            .key("id", s(user))
            .update_expression(
                "SET created_at = if_not_exists(created_at, :now), \
                 withdrawn_at = if_not_exists(withdrawn_at, :now), \
                 leaving = :leaving, erase_at = if_not_exists(erase_at, :due), \
                 sign_in_name = if_not_exists(sign_in_name, :name)",
            )
            .expression_attribute_values(":name", s(sign_in_name.unwrap_or(user.as_str())))
            .expression_attribute_values(":now", n(Timestamp::now().millis()))
            .expression_attribute_values(":leaving", s(LEAVING))
            .expression_attribute_values(":due", n(due.millis()))
            .send()
            .await?;
        Ok(())
    }

    /// Returns users who have left and whose erasure was due at the time `by`, the longest due first, at most `most`.
    pub async fn leavers(&self, by: Timestamp, most: i32) -> Result<Vec<UserId>, Error> {
        let output = self
            .client
            .query()
            .table_name(&self.tables.users)
            .index_name("leaving")
            .key_condition_expression("leaving = :leaving AND erase_at <= :by")
            .expression_attribute_values(":leaving", s(LEAVING))
            .expression_attribute_values(":by", n(by.millis()))
            .limit(most)
            .send()
            .await?;
        let users = output.items().iter();
        users
            .map(|row| UserId::parse(row.text("id")?).map_err(Error::broken))
            .collect()
    }

    /// Returns the time of a user's withdrawal; nothing if the user has not left, or is wholly erased.
    pub async fn withdrawn_at(&self, user: &UserId) -> Result<Option<Timestamp>, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&self.tables.users)
            .key("id", s(user))
            .consistent_read(true)
            .send()
            .await?;
        let row = output.item.unwrap_or_default();
        let at = row.maybe_number("withdrawn_at")?;
        Ok(at.map(Timestamp::from_millis))
    }

    /// Returns the sign-in provider's name for a user who left, unless the provider has already deleted the user.
    pub async fn sign_in_to_delete(&self, user: &UserId) -> Result<Option<String>, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&self.tables.users)
            .key("id", s(user))
            .projection_expression("withdrawn_at, sign_in_name, sign_in_deleted")
            .consistent_read(true)
            .send()
            .await?;
        let row = output.item.unwrap_or_default();
        if !row.contains_key("withdrawn_at") || row.contains_key("sign_in_deleted") {
            return Ok(None);
        }
        // Users who left before names were kept have none.
        let name = row.maybe_text("sign_in_name").unwrap_or(user.as_str());
        Ok(Some(name.to_owned()))
    }

    /// Notes that the sign-in provider has deleted a user who left.
    pub async fn sign_in_is_deleted(&self, user: &UserId) -> Result<(), Error> {
        let update = self
            .update_leaver(user)
            .update_expression("SET sign_in_deleted = :at")
            .expression_attribute_values(":at", n(Timestamp::now().millis()));
        send_if_exists(update).await
    }

    /// Postpones an erasure.
    pub async fn postpone_erasure(&self, user: &UserId, due: Timestamp) -> Result<(), Error> {
        let update = self
            .update_leaver(user)
            .update_expression("SET erase_at = :due")
            .expression_attribute_values(":due", n(due.millis()));
        send_if_exists(update).await
    }

    /// Begins an update of a user who has left and is not wholly erased yet.
    fn update_leaver(&self, user: &UserId) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.tables.users)
            .key("id", s(user))
            .condition_expression("attribute_exists(withdrawn_at)")
    }

    /// Erases the user's saved posts, and the answers to the user's requests.
    pub async fn erase_lists(&self, user: &UserId) -> Result<(), Error> {
        let Self { tables, .. } = self;
        for (table, partition, sort) in [
            (&tables.saves, "user", "post"),
            (&tables.idempotency, "user", "key"),
        ] {
            let row = |entry: &str| item([(partition, s(user)), (sort, s(entry))]);
            let mut after = None;
            loop {
                let rows = self
                    .partition_rows(table, (partition, user.to_string()), after)
                    .await?;
                let entries = rows.iter().map(|row| row.text(sort));
                let entries = entries.collect::<Result<Vec<_>, _>>()?;
                let Some(last) = entries.last() else {
                    break;
                };
                after = Some(row(last));
                let keys: Vec<Item> = entries.iter().map(|entry| row(entry)).collect();
                self.delete_all(table, keys).await?;
            }
        }
        Ok(())
    }

    /// Notes whether a pass over a user's data found any by the indexes that may lag, and when the next pass is due. If
    /// several passes in a row found none, keeps the time of the first.
    pub async fn note_pass(
        &self,
        user: &UserId,
        found: bool,
        next: Timestamp,
    ) -> Result<(), Error> {
        let update = self
            .update_leaver(user)
            .expression_attribute_values(":next", n(next.millis()));
        let update = if found {
            update.update_expression("SET erase_at = :next REMOVE empty_since")
        } else {
            update
                .update_expression(
                    "SET erase_at = :next, empty_since = if_not_exists(empty_since, :now)",
                )
                .expression_attribute_values(":now", n(Timestamp::now().millis()))
        };
        send_if_exists(update).await
    }

    /// Notes at once that the indexes have data of a user who left, whatever becomes of this pass: the next pass that
    /// finds none is the first of two.
    pub async fn note_found(&self, user: &UserId) -> Result<(), Error> {
        let update = self.update_leaver(user);
        send_if_exists(update.update_expression("REMOVE empty_since")).await
    }

    /// Ends an erasure: all that remains of the user is a row by which their changes up to `now` are void. Returns
    /// false if data remains after all, or if no pass by `empty_by` found the indexes empty.
    pub async fn finish_erasure(
        &self,
        user: &UserId,
        empty_by: Timestamp,
        now: Version,
    ) -> Result<bool, Error> {
        let mut row = erasure_key(user);
        row.insert("left_at".to_owned(), n(now.micros()));
        let expires = now.timestamp().plus_seconds(REMEMBERED_DAYS * 24 * 60 * 60);
        row.insert("expires_at".to_owned(), n(expires.seconds()));
        let put = Put::builder()
            .table_name(&self.tables.users)
            .set_item(Some(row))
            .build()
            .map_err(Error::broken)?;
        let nothing = |name: &str| format!("(attribute_not_exists({name}) OR {name} = :none)");
        let delete = Delete::builder()
            .table_name(&self.tables.users)
            .set_key(Some(item([("id", s(user))])))
            .condition_expression(format!(
                "attribute_exists(withdrawn_at) AND empty_since <= :empty_by AND {} AND {} AND {}",
                nothing("posts"),
                nothing("followers"),
                nothing("following")
            ))
            .expression_attribute_values(":none", n(0))
            .expression_attribute_values(":empty_by", n(empty_by.millis()))
            .build()
            .map_err(Error::broken)?;
        let writes = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().delete(delete).build(),
        ];
        self.write_transaction(writes).await
    }

    /// Looks up which of these users exist, have left, or were erased.
    pub(super) async fn accounts(&self, users: Vec<UserId>) -> Result<Accounts, Error> {
        let mut known: HashMap<String, UserId> = HashMap::new();
        let mut keys = Vec::new();
        for user in users {
            let erasure_key = erasure_key(&user);
            known.insert(erasure_key.text("id")?.to_owned(), user.clone());
            keys.push(erasure_key);
            keys.push(item([("id", s(&user))]));
            known.insert(user.to_string(), user);
        }
        let fields = Some("id, withdrawn_at, left_at, following");
        let rows = self.batch_get(&self.tables.users, keys, fields).await?;
        let mut accounts = Accounts::default();
        for row in &rows {
            if let Ok(user) = UserId::parse(row.text("id")?) {
                let following = row.maybe_number("following")?;
                accounts.known.insert(user, following.unwrap_or_default());
            }
            let until = if row.contains_key("withdrawn_at") {
                Version::from_micros(i64::MAX)
            } else if let Some(at) = row.maybe_number("left_at")? {
                Version::from_micros(at)
            } else {
                continue;
            };
            if let Some(user) = known.get(row.text("id")?) {
                let latest = accounts.until.entry(user.clone()).or_insert(until);
                *latest = until.max(*latest);
            }
        }
        Ok(accounts)
    }

    /// Returns some rows of a partition, starting after a key. Returns none at the end of the partition.
    pub(super) async fn partition_rows(
        &self,
        table: &str,
        (name, partition): (&str, String),
        after: Option<Item>,
    ) -> Result<Vec<Item>, Error> {
        let output = self
            .client
            .query()
            .table_name(table)
            .key_condition_expression("#partition = :partition")
            .expression_attribute_names("#partition", name)
            .expression_attribute_values(":partition", s(partition))
            .consistent_read(true)
            .set_exclusive_start_key(after)
            .limit(ROWS_PER_STEP)
            .send()
            .await?;
        Ok(output.items.unwrap_or_default())
    }

    pub(super) async fn delete_all(&self, table: &str, keys: Vec<Item>) -> Result<(), Error> {
        let delete = |key: &Item| {
            let delete = DeleteRequest::builder()
                .set_key(Some(key.clone()))
                .build()
                .map_err(Error::broken)?;
            Ok::<_, Error>(WriteRequest::builder().delete_request(delete).build())
        };
        for keys in keys.chunks(BATCH_WRITE) {
            let deletes = keys.iter().map(delete).collect::<Result<Vec<_>, _>>()?;
            let mut wanted = HashMap::from([(table.to_owned(), deletes)]);
            let mut retry = Retry::new("throttled: deletes left unprocessed");
            loop {
                let output = self
                    .client
                    .batch_write_item()
                    .set_request_items(Some(wanted))
                    .send()
                    .await?;
                wanted = output.unprocessed_items.unwrap_or_default();
                if wanted.is_empty() {
                    break;
                }
                retry.back_off().await?;
            }
        }
        Ok(())
    }
}
