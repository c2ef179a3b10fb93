//! Blocks against users who have left.
//!
//! A block outlives the account of the blocked user, who may come back with the same id. When that user is erased, the
//! two rows of each block against them move to the name `left#<hash>`, so that their id is stored nowhere any more. No
//! list shows such rows, but the blocker may still end the block. When the user returns, the rows move back before
//! anything of theirs is stored (see `sign_in`), and each block keeps its place in its blocker's list.
//!
//! Until then a caller may read without existing. For such a caller, and for other users who don't exist, both names
//! are looked up (see `visibility`). Blocks of users who exist are under their ids.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use futures::future::try_join_all;

use super::block_row::{BLOCKED, KEPT, SINCE, key};
use super::item::{Item, Read, n};
use super::leaving::departed_name;
use super::retry::Retry;
use super::transactions::TRANSACTION;
use super::{Error, Store};
use crate::domain::{UserId, Version};

/// The maximum number of writes that move one block.
const WRITES: usize = 4;
/// The reason for giving up moving blocks.
const CONTENDED: &str = "others kept writing the same blocks";

/// The side of a pair of users that may have left.
#[derive(Debug, Clone, Copy)]
pub(super) enum WhoLeft {
    User,
    Others,
}

/// The condition of a row's deletion. The two rows of a pair are always written together, so it is enough to guard one
/// of them.
#[derive(Debug, Clone, Copy)]
enum Guard {
    With(&'static str),
    Without(&'static str),
}

impl Guard {
    const fn condition(self) -> &'static str {
        match self {
            Self::With(_) => "attribute_exists(#name)",
            Self::Without(_) => "attribute_not_exists(#name)",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::With(name) | Self::Without(name) => name,
        }
    }
}

impl Store {
    /// Erases the blocks by a user who has left, and keeps those by others against the user under the name for those
    /// who left.
    pub async fn erase_blocks(&self, user: &UserId) -> Result<(), Error> {
        let departed = departed_name(user);
        self.move_blocks(user.as_str(), |row, other| {
            let name = row.text("other")?;
            let (own, theirs) = (key(user, name), key(name, user));
            if name.contains('#') {
                // The user's own block of another user who has left.
                return self.end_of_kept_block(user, name);
            }
            if !row.contains_key(BLOCKED) {
                return Ok(vec![
                    self.delete(own, Some(Guard::Without(BLOCKED)))?,
                    self.delete(theirs, None)?,
                ]);
            }
            let since = since(other, SINCE)?;
            let mut kept = key(name, &departed);
            kept.insert(KEPT.to_owned(), since);
            let mut blocked = key(&departed, name);
            blocked.insert(BLOCKED.to_owned(), AttributeValue::Bool(true));
            Ok(vec![
                self.delete(own, Some(Guard::With(BLOCKED)))?,
                self.delete(theirs, None)?,
                self.put(kept)?,
                self.put(blocked)?,
            ])
        })
        .await
    }

    /// Restores the blocks against a user who returns.
    pub(super) async fn restore_blocks(&self, user: &UserId) -> Result<(), Error> {
        let departed = departed_name(user);
        self.move_blocks(&departed, |row, other| {
            let name = row.text("other")?;
            let since = since(other, KEPT)?;
            let yes = AttributeValue::Bool(true);
            Ok(vec![
                self.delete(key(&departed, name), Some(Guard::With(BLOCKED)))?,
                self.delete(key(name, &departed), None)?,
                self.set(key(name, user), SINCE, since)?,
                self.set(key(user, name), BLOCKED, yes)?,
            ])
        })
        .await
    }

    /// Moves all rows of a partition away, part by part: `writes` returns the writes that move a row, given the row of
    /// the same pair in the other user's partition. Each block moves as a whole; blocks that remain after a crash move
    /// the next time.
    async fn move_blocks(
        &self,
        partition: &str,
        writes: impl Fn(&Item, Option<&Item>) -> Result<Vec<TransactWriteItem>, Error>,
    ) -> Result<(), Error> {
        let table = &self.tables.blocks;
        let mut retry = Retry::new(CONTENDED);
        loop {
            let rows = self
                .partition_rows(table, ("user", partition.to_owned()), None)
                .await?;
            if rows.is_empty() {
                return Ok(());
            }
            let other = |row: &Item| Ok::<_, Error>(key(row.text("other")?, partition));
            let keys = rows.iter().map(other).collect::<Result<_, _>>()?;
            let others = self.batch_get(table, keys, None).await?;
            let by_user: HashMap<&str, &Item> = others
                .iter()
                .filter_map(|row| Some((row.maybe_text("user")?, row)))
                .collect();
            let move_of = |row: &Item| writes(row, by_user.get(row.text("other")?).copied());
            let chunks = rows.chunks(TRANSACTION / WRITES).map(|rows| {
                let moves = rows.iter().map(move_of).collect::<Result<Vec<_>, _>>()?;
                Ok(self.write_transaction(moves.concat()))
            });
            let chunks = chunks.collect::<Result<Vec<_>, Error>>()?;
            if try_join_all(chunks).await?.into_iter().all(|moved| moved) {
                retry = Retry::new(CONTENDED);
            } else {
                retry.back_off().await?;
            }
        }
    }

    /// Builds the writes that end a user's block of another user who has left and is stored under the name `left`.
    pub(super) fn end_of_kept_block(
        &self,
        user: &UserId,
        departed: &str,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        Ok(vec![
            self.delete(key(user, departed), Some(Guard::With(KEPT)))?,
            self.delete(key(departed, user), None)?,
        ])
    }

    /// Returns the users, among these, for whom a block by or against `user` is kept because one of the two left.
    pub(super) async fn kept_between(
        &self,
        user: &UserId,
        who_left: WhoLeft,
        others: &[&UserId],
    ) -> Result<HashSet<UserId>, Error> {
        let keys = others.iter().map(|other| match who_left {
            WhoLeft::User => key(departed_name(user), other),
            WhoLeft::Others => key(user, departed_name(other)),
        });
        let rows = self.batch_get(&self.tables.blocks, keys.collect(), None);
        let rows = rows.await?;
        let found = rows.iter().map(|row| row.text("other"));
        let found = found.collect::<Result<HashSet<_>, _>>()?;
        let is_found = |other: &&&UserId| match who_left {
            WhoLeft::User => found.contains(other.as_str()),
            WhoLeft::Others => found.contains(departed_name(other).as_str()),
        };
        let blocked = others.iter().filter(is_found);
        Ok(blocked.map(|other| (*other).clone()).collect())
    }

    fn delete(&self, key: Item, guard: Option<Guard>) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder()
            .table_name(&self.tables.blocks)
            .set_key(Some(key));
        let delete = match guard {
            Some(guard) => delete
                .condition_expression(guard.condition())
                .expression_attribute_names("#name", guard.name()),
            None => delete,
        };
        let delete = delete.build().map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    fn put(&self, row: Item) -> Result<TransactWriteItem, Error> {
        let put = Put::builder()
            .table_name(&self.tables.blocks)
            .set_item(Some(row))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// Returns the time since which a block exists, by the blocker's row: now, if that row doesn't say.
fn since(row: Option<&Item>, name: &str) -> Result<AttributeValue, Error> {
    let since = row.map(|row| row.maybe_number(name)).transpose()?.flatten();
    Ok(n(since.unwrap_or_else(|| Version::now().micros())))
}
