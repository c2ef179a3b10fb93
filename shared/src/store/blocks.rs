//! Blocks.
//!
//! A block is two rows, one in each user's list, written together, so that one read tells whether either of two users
//! blocks the other. The same transaction ends the follows between the two, with their counters. A follow that is
//! applied later is void: see [`EdgeKey::refused`](super::edges::EdgeKey::refused). A block outlives the account of the
//! blocked user: see `kept_blocks`.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};

use super::block_row::{BLOCKED, KEPT, SINCE, key};
use super::edges::Stored;
use super::item::{Item, Read, n, rows, s};
use super::latest::Latest;
use super::leaving::departed_name;
use super::retry::Retry;
use super::{Error, Store};
use crate::domain::{Change, Follow, Stamp, TimedPosition, UserId, Version};

fn other(row: &Item) -> Result<UserId, Error> {
    UserId::parse(row.text("other")?).map_err(Error::broken)
}

impl Store {
    /// Returns those of these users whom the user blocks, or who block the user.
    pub(super) async fn blocked_between(
        &self,
        user: &UserId,
        others: &[UserId],
    ) -> Result<HashSet<UserId>, Error> {
        let keys = others.iter().filter(|other| *other != user);
        let keys = keys.map(|other| key(user, other)).collect();
        let rows = self.batch_get(&self.tables.blocks, keys, None).await?;
        rows.iter().map(other).collect()
    }

    /// Returns at most `most` users whom the user blocks, or who block the user; not those who have left, of whom only
    /// a hash is kept.
    pub(super) async fn blocked_either_way(
        &self,
        user: &UserId,
        most: usize,
    ) -> Result<Vec<UserId>, Error> {
        self.in_partition(user.as_str(), most).await
    }

    /// Returns users who block a user who has left, at most `most`.
    pub(super) async fn kept_against(
        &self,
        user: &UserId,
        most: usize,
    ) -> Result<Vec<UserId>, Error> {
        self.in_partition(&departed_name(user), most).await
    }

    async fn in_partition(&self, partition: &str, most: usize) -> Result<Vec<UserId>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.blocks)
            .key_condition_expression("#user = :user")
            .expression_attribute_names("#user", "user")
            .expression_attribute_values(":user", s(partition))
            .consistent_read(true);
        let rows = rows(query, most).await?;
        let here = rows.iter().filter(|row| {
            let name = row.maybe_text("other");
            name.is_some_and(|name| !name.contains('#'))
        });
        here.map(other).collect()
    }

    /// Returns the pairs, among these, in which one user blocks the other.
    pub(super) async fn blocked_pairs(
        &self,
        pairs: HashSet<(UserId, UserId)>,
    ) -> Result<HashSet<(UserId, UserId)>, Error> {
        let pairs = pairs.iter().filter(|(user, other)| user != other);
        let keys = pairs.map(|(user, other)| key(user, other)).collect();
        let rows = self.batch_get(&self.tables.blocks, keys, None).await?;
        let user = |row: &Item| UserId::parse(row.text("user")?).map_err(Error::broken);
        rows.iter()
            .map(|row| Ok((user(row)?, other(row)?)))
            .collect()
    }

    /// Returns the users, among these whom the user blocks, who block the user too.
    pub async fn blocked_back(
        &self,
        user: &UserId,
        others: &[UserId],
    ) -> Result<HashSet<UserId>, Error> {
        let keys = others.iter().map(|other| key(user, other)).collect();
        let rows = self.batch_get(&self.tables.blocks, keys, None).await?;
        rows.iter()
            .filter(|row| row.contains_key(BLOCKED))
            .map(other)
            .collect()
    }

    /// Builds the writes that end the follows between two users, the user's own as of the first version and the other's
    /// as of the second, but each later than the stored one. A follow that is applied meanwhile makes the transaction
    /// fail, because it writes the same edges.
    async fn end_follows(
        &self,
        user: &UserId,
        other: &UserId,
        [own, theirs]: [Version; 2],
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let ends = [(user, other, own), (other, user, theirs)];
        let ends = ends.map(|(follower, followee, version)| {
            let follow = Follow {
                follower: follower.clone(),
                followee: followee.clone(),
            };
            (follow, version)
        });
        let stored = self
            .stored_edges(ends.iter().map(|(follow, _)| follow))
            .await?;
        let ends = ends.map(|(follow, version)| {
            let known = stored.get(&follow).map(Stored::version);
            let end = Change {
                active: false,
                version: version.after(known),
            };
            (follow, end)
        });
        self.writes(&ends, &stored, &HashMap::new())
    }

    /// Makes the user block the other, and ends the follows between them. This is idempotent.
    pub async fn block(&self, user: &UserId, other: &UserId, stamp: Stamp) -> Result<(), Error> {
        let mut retry = Retry::new("others kept writing the same follows");
        loop {
            // Earlier follows by either that are applied later are void because of the block.
            let mut writes = self.end_follows(user, other, [stamp.version(); 2]).await?;
            let now = n(stamp.version().micros());
            writes.push(self.set(key(user, other), SINCE, now)?);
            writes.push(self.set(key(other, user), BLOCKED, AttributeValue::Bool(true))?);
            if self.write_transaction(writes).await? {
                return Ok(());
            }
            retry.back_off().await?;
        }
    }

    /// Ends the user's block of the other, who may have left by now. Follows don't come back, not even those that were
    /// accepted while the block existed and are applied later: `stamps` are the next stamps of the user and of the
    /// other, each later than all their changes, so that no two clocks are compared. Returns whether there was a block.
    pub async fn unblock(
        &self,
        user: &UserId,
        other: &UserId,
        stamps: [Version; 2],
    ) -> Result<bool, Error> {
        let left = departed_name(other);
        let mut retry = Retry::new("others kept writing the same blocks");
        'tries: loop {
            // The block moves to the name for those who left, or back, at most once during these reads: in this order,
            // the reads find it wherever it is.
            for name in [other.as_str(), &left, other.as_str()] {
                let Some(mut writes) = self.end_of_block(user, name).await? else {
                    continue;
                };
                if name == other.as_str() {
                    writes.extend(self.end_follows(user, other, stamps).await?);
                }
                if self.write_transaction(writes).await? {
                    return Ok(true);
                }
                retry.back_off().await?;
                continue 'tries;
            }
            return Ok(false);
        }
    }

    /// Builds the writes that end the user's block of the name `name`; nothing if there is no block.
    async fn end_of_block(
        &self,
        user: &UserId,
        name: &str,
    ) -> Result<Option<Vec<TransactWriteItem>>, Error> {
        let keys = vec![key(user, name), key(name, user)];
        let rows = self.batch_get(&self.tables.blocks, keys, None).await?;
        let is_own = |row: &&Item| row.maybe_text("user") == Some(user.as_str());
        let Some(own) = rows.iter().find(is_own) else {
            return Ok(None);
        };
        if own.contains_key(KEPT) {
            return self.end_of_kept_block(user, name).map(Some);
        }
        if !own.contains_key(SINCE) {
            return Ok(None);
        }
        // If the two block each other, the rows stay for the other block.
        let mutual = rows.iter().filter(|row| row.contains_key(SINCE)).count() == 2;
        Ok(Some(vec![
            self.unset(key(user, name), SINCE, BLOCKED, mutual)?,
            self.unset(key(name, user), BLOCKED, SINCE, mutual)?,
        ]))
    }

    /// Returns the users whom this one blocks, latest first, starting after a position.
    pub async fn blocked_by(
        &self,
        user: &UserId,
        after: Option<TimedPosition<UserId>>,
        most: usize,
    ) -> Result<Vec<TimedPosition<UserId>>, Error> {
        let list = Latest {
            table: &self.tables.blocks,
            list: ("user", user.to_string()),
            entry: "other",
        };
        self.latest(list, after, most).await
    }

    pub(super) fn set(
        &self,
        key: Item,
        name: &str,
        value: AttributeValue,
    ) -> Result<TransactWriteItem, Error> {
        let update = Update::builder()
            .table_name(&self.tables.blocks)
            .set_key(Some(key))
            .update_expression("SET #name = if_not_exists(#name, :value)")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", value)
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Builds the write that removes an attribute from a row, and the row too unless the other attribute `stays`. The
    /// write fails if the other attribute is not as it was read.
    fn unset(
        &self,
        key: Item,
        name: &str,
        other: &str,
        stays: bool,
    ) -> Result<TransactWriteItem, Error> {
        let write = TransactWriteItem::builder();
        if stays {
            let update = Update::builder()
                .table_name(&self.tables.blocks)
                .set_key(Some(key))
                .update_expression("REMOVE #name")
                .condition_expression("attribute_exists(#other)")
                .expression_attribute_names("#name", name)
                .expression_attribute_names("#other", other);
            return Ok(write.update(update.build().map_err(Error::broken)?).build());
        }
        let delete = Delete::builder()
            .table_name(&self.tables.blocks)
            .set_key(Some(key))
            .condition_expression("attribute_not_exists(#other)")
            .expression_attribute_names("#other", other);
        Ok(write.delete(delete.build().map_err(Error::broken)?).build())
    }
}
