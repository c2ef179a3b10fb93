//! An author's followers: their number, and the partitions they are spread over.
//!
//! A partition takes 1,000 writes a second, and one with a local index holds 10 GB. So the followers of famous users
//! are spread, by a hash of their ids: over 16 partitions from ten thousand followers on, over 64 from a hundred
//! million. There are no more than that, because a page of the list, latest first, reads each of them: 16 take 4,000
//! follows a second, and hold up to a hundred million followers in 1.5 GB each. Users who follow already stay in their
//! partition, which is noted in the edge's row in their own list. The number of partitions is stored before any but the
//! first is used, and never falls: a reader of that many partitions sees everybody who followed before.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::conditional::condition_held;
use super::edges::Shard;
use super::item::{Item, Read, item, n, s};
use super::{Error, Store};
use crate::domain::{Follow, UserId};

/// The numbers of followers from which there are more shards, each with the number of shards.
const LEVELS: [(u64, Shard); 2] = [(100_000_000, 64), (10_000, 16)];

/// An author's followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// Their number.
    pub followers: u64,
    /// The number of shards they are spread over, which are numbered from 0.
    pub shards: u16,
}

impl Audience {
    const NOBODY: Self = Self {
        followers: 0,
        shards: 1,
    };

    fn of(row: &Item) -> Result<Self, Error> {
        let shards = Shard::try_from(row.count("follower_shards")?).map_err(Error::broken)?;
        Ok(Self {
            followers: row.count("followers")?,
            shards: shards.max(1),
        })
    }

    /// Returns the number of shards that the followers should be spread over.
    fn wanted_shards(self) -> Shard {
        let reached = LEVELS.iter().find(|(from, _)| self.followers >= *from);
        reached.map_or(1, |(_, shards)| *shards).max(self.shards)
    }
}

/// Returns the partition of one shard of an author's followers.
pub(super) fn partition(author: &UserId, shard: Shard) -> String {
    match shard {
        0 => format!("followers#{author}"),
        shard => format!("followers#{author}#{shard}"),
    }
}

/// Returns the user's shard out of `of` shards, by a hash that spreads users evenly and never changes.
pub(super) fn shard_of(user: &UserId, of: Shard) -> Shard {
    let hash = Sha256::digest(user.as_str());
    let first = hash
        .iter()
        .take(2)
        .fold(0, |sum: Shard, byte| (sum << 8) | Shard::from(*byte));
    first.checked_rem(of).unwrap_or_default()
}

impl Store {
    /// Reads an author's audience.
    pub async fn audience(&self, author: &UserId) -> Result<Audience, Error> {
        let mut found = self.audiences([author]).await?;
        Ok(found.remove(author).unwrap_or(Audience::NOBODY))
    }

    async fn audiences(
        &self,
        authors: impl IntoIterator<Item = &UserId>,
    ) -> Result<HashMap<UserId, Audience>, Error> {
        let keys = authors.into_iter().map(|id| item([("id", s(id))]));
        let fields = Some("id, followers, follower_shards");
        let rows = self.batch_get(&self.tables.users, keys.collect(), fields);
        let audience = |row: &Item| {
            let id = UserId::parse(row.text("id")?).map_err(Error::broken)?;
            Ok((id, Audience::of(row)?))
        };
        rows.await?.iter().map(audience).collect()
    }

    /// Returns the shards for new follows; absent ones belong in the first. Adds shards where they are needed.
    pub(super) async fn follower_shards(
        &self,
        follows: &[&Follow],
    ) -> Result<HashMap<Follow, Shard>, Error> {
        let authors: HashSet<&UserId> = follows.iter().map(|it| &it.followee).collect();
        let mut spread = self.audiences(authors).await?;
        spread.retain(|_, audience| audience.wanted_shards() > 1);
        for (author, audience) in &spread {
            if audience.wanted_shards() > audience.shards {
                self.spread_over(author, audience.wanted_shards()).await?;
            }
        }
        let shard = |follow: &&Follow| {
            let wanted = spread.get(&follow.followee)?.wanted_shards();
            Some(((*follow).clone(), shard_of(&follow.follower, wanted)))
        };
        Ok(follows.iter().filter_map(shard).collect())
    }

    /// Stores the number of an author's shards, unless there are as many already.
    async fn spread_over(&self, author: &UserId, shards: Shard) -> Result<(), Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.users)
            .key("id", s(author))
            .update_expression("SET follower_shards = :shards")
            .condition_expression(
                "attribute_exists(id) AND \
                 (attribute_not_exists(follower_shards) OR follower_shards < :shards)",
            )
            .expression_attribute_values(":shards", n(shards));
        condition_held(update).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_grow_with_followers_and_never_shrink() {
        let wanted_shards = |followers, shards| Audience { followers, shards }.wanted_shards();
        assert_eq!(wanted_shards(9_999, 1), 1);
        assert_eq!(wanted_shards(10_000, 1), 16);
        assert_eq!(wanted_shards(9_999, 16), 16);
        assert_eq!(wanted_shards(99_999_999, 16), 16);
        assert_eq!(wanted_shards(100_000_000, 16), 64);
        assert_eq!(wanted_shards(3, 64), 64);
    }

    #[test]
    fn followers_are_spread_evenly() {
        let mut counts: HashMap<Shard, usize> = HashMap::new();
        for at in 0..16_000 {
            let user = UserId::parse(&format!("user-{at}")).unwrap();
            *counts.entry(shard_of(&user, 16)).or_default() += 1;
        }
        assert_eq!(counts.len(), 16);
        assert!(
            counts.values().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
    }
}
