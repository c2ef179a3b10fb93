//! Follows.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;

use super::audience;
use super::counters::{Counter, GrowthCondition, Row};
use super::edges::{Applied, EdgeKey, Refused, SHARD, Shard, Stored};
use super::item::{Item, Read, item, n, s};
use super::latest::Latest;
use super::leaving::Accounts;
use super::{Error, Store, Tables};
use crate::domain::{Change, Follow, Followers, Relation, TimedPosition, UserId};

/// One of a user's two lists of follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowList {
    /// The users who follow the user.
    Followers,
    /// The users whom the user follows.
    Following,
}

impl FollowList {
    /// The list's name in paths and cursors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Followers => "followers",
            Self::Following => "following",
        }
    }

    /// Returns the partition of one shard of the list; only followers have more shards than the first.
    fn partition(self, of: &UserId, shard: Shard) -> String {
        match self {
            Self::Followers => audience::partition(of, shard),
            Self::Following => format!("following#{of}"),
        }
    }
}

/// The follows between a user and some others, in both directions.
#[derive(Debug, Clone)]
pub struct Relations {
    user: UserId,
    follows: HashSet<Follow>,
}

/// Returns the keys of the follows between a user and each of these, in both directions.
fn relation_keys(user: &UserId, others: &[UserId]) -> Vec<Item> {
    let ends = |other: &UserId| [(user.clone(), other.clone()), (other.clone(), user.clone())];
    let row = |(by, of): &(UserId, UserId)| key(FollowList::Following, by, 0, of);
    let follows: HashSet<(UserId, UserId)> = others.iter().flat_map(ends).collect();
    follows.iter().map(row).collect()
}

impl Relations {
    /// Reads the relations from these rows.
    fn of(user: &UserId, rows: &[Item]) -> Result<Self, Error> {
        let active = rows.iter().filter(|row| row.flag("active"));
        Ok(Self {
            user: user.clone(),
            follows: active.map(Follow::of).collect::<Result<_, _>>()?,
        })
    }

    /// Returns the relation of the user to this one.
    pub fn to(&self, other: &UserId) -> Relation {
        let follows = |follower: &UserId, followee: &UserId| {
            self.follows.contains(&Follow {
                follower: follower.clone(),
                followee: followee.clone(),
            })
        };
        Relation {
            followed: follows(&self.user, other),
            follows_me: follows(other, &self.user),
        }
    }
}

fn key(list: FollowList, of: &UserId, shard: Shard, user: &UserId) -> Item {
    item([("list", s(list.partition(of, shard))), ("user", s(user))])
}

fn user(row: &Item) -> Result<UserId, Error> {
    UserId::parse(row.text("user")?).map_err(Error::broken)
}

impl EdgeKey for Follow {
    type Hub = UserId;

    fn hub(&self) -> UserId {
        self.followee.clone()
    }

    fn rows<'a>(&self, tables: &'a Tables, shard: Shard) -> Vec<Row<'a>> {
        let row = |key, attributes| Row {
            table: tables.follows.as_str(),
            key,
            attributes,
        };
        let attributes = match shard {
            0 => Item::new(),
            shard => item([(SHARD, n(shard))]),
        };
        let following = key(FollowList::Following, &self.follower, 0, &self.followee);
        let followers = key(FollowList::Followers, &self.followee, shard, &self.follower);
        vec![row(following, attributes), row(followers, Item::new())]
    }

    /// Returns the counters of a follow, which may create the follower, but never the followee.
    fn counters<'a>(&self, store: &'a Store) -> Vec<Counter<'a>> {
        let counter = |name, id: &UserId, grows| {
            let row = Row {
                table: store.tables.users.as_str(),
                key: item([("id", s(id))]),
                attributes: Item::new(),
            };
            Counter {
                id: id.to_string(),
                row,
                name,
                dated: true,
                grows,
            }
        };
        let most = GrowthCondition::UpTo(store.max_following);
        vec![
            counter("followers", &self.followee, GrowthCondition::IfExists),
            counter("following", &self.follower, most),
        ]
    }

    fn of(row: &Item) -> Result<Self, Error> {
        let list = row.text("list")?;
        let follower = list
            .strip_prefix("following#")
            .ok_or_else(|| Error::broken(list))?;
        Ok(Self {
            follower: UserId::parse(follower).map_err(Error::broken)?,
            followee: user(row)?,
        })
    }

    async fn shards(store: &Store, edges: &[&Self]) -> Result<HashMap<Self, Shard>, Error> {
        store.follower_shards(edges).await
    }

    /// Refuses follows of users whom the follower blocks, who block the follower, or who don't exist, and those beyond
    /// the maximum. Changes from before either user was erased are void.
    async fn refused(
        store: &Store,
        changes: &[(Self, Change)],
        stored: &HashMap<Self, Stored>,
    ) -> Result<Refused<Self>, Error> {
        let pair = |follow: &Self| (follow.follower.clone(), follow.followee.clone());
        let made = || {
            let made = changes.iter().filter(|(_, change)| change.active);
            made.map(|(follow, _)| pair(follow)).collect()
        };
        let ends =
            |(follow, _): &(Self, Change)| [follow.follower.clone(), follow.followee.clone()];
        let ends: HashSet<UserId> = changes.iter().flat_map(ends).collect();
        let (mut blocked, accounts) = futures::try_join!(
            store.blocked_pairs(made()),
            store.accounts(ends.into_iter().collect())
        )?;
        let changes_by_user = changes
            .iter()
            .map(|(follow, change)| (&follow.follower, *change));
        if store.create_new_users(&accounts, changes_by_user).await? {
            blocked = store.blocked_pairs(made()).await?;
        }
        let nobody = |follow: &Self, change: &Change| {
            !accounts.exists(&follow.followee) && (change.active || !stored.contains_key(follow))
        };
        let void = |(follow, change): &(Self, Change)| {
            accounts.voids(&follow.follower, *change)
                || accounts.voids(&follow.followee, *change)
                || (change.active && blocked.contains(&pair(follow)))
                || nobody(follow, change)
        };
        let (void, valid): (Vec<_>, Vec<_>) = changes.iter().partition(|change| void(change));
        let mut refused = beyond_limit(store.max_following, valid, stored, &accounts);
        let void = void.into_iter().map(|(follow, _)| follow.clone());
        refused.edges.extend(void);
        Ok(refused)
    }
}

/// Refuses the changes, among these, by which a user would follow more than `most` users: unfollows count first, then
/// follows, the earlier before the later.
fn beyond_limit(
    most: i64,
    mut changes: Vec<&(Follow, Change)>,
    stored: &HashMap<Follow, Stored>,
    accounts: &Accounts,
) -> Refused<Follow> {
    changes.sort_by_key(|(_, change)| (change.active, change.version));
    let mut refused = HashSet::new();
    let mut following: HashMap<&UserId, i64> = HashMap::new();
    for (follow, change) in changes {
        let delta = Stored::delta(stored.get(follow), *change);
        let count = following
            .entry(&follow.follower)
            .or_insert_with(|| accounts.following(&follow.follower));
        if delta > 0 && *count >= most {
            tracing::warn!(
                most,
                "a follow has no effect: its follower follows as many as anybody may"
            );
            refused.insert(follow.clone());
        } else {
            *count = count.saturating_add(delta);
        }
    }
    let at_limit = following.into_iter().filter(|(_, count)| *count >= most);
    Refused {
        edges: refused,
        at_limit: at_limit.map(|(user, _)| user.clone()).collect(),
    }
}

impl Store {
    /// Applies queued follows.
    pub async fn apply_follows(
        &self,
        changes: impl IntoIterator<Item = (Follow, Change)>,
    ) -> Applied<Follow> {
        self.apply(changes).await
    }

    /// Returns whether the user follows the other already, or fewer users than the limit.
    pub async fn may_follow(&self, user: &UserId, other: &UserId) -> Result<bool, Error> {
        let (follows, profile) = futures::try_join!(
            self.followed(user, std::slice::from_ref(other)),
            self.profile(user)
        )?;
        let following = profile.map_or(0, |profile| profile.following);
        let is_below = i64::try_from(following).is_ok_and(|count| count < self.max_following);
        Ok(is_below || !follows.is_empty())
    }

    /// Returns those of these users whom the user follows.
    pub async fn followed(&self, by: &UserId, users: &[UserId]) -> Result<HashSet<UserId>, Error> {
        let keys = users
            .iter()
            .map(|other| key(FollowList::Following, by, 0, other))
            .collect();
        let rows = self.batch_get(&self.tables.follows, keys, None).await?;
        rows.iter()
            .filter(|row| row.flag("active"))
            .map(user)
            .collect()
    }

    /// Returns the relations of the user to each of these.
    pub async fn relations(&self, user: &UserId, others: &[UserId]) -> Result<Relations, Error> {
        let keys = relation_keys(user, others);
        let rows = self.batch_get(&self.tables.follows, keys, None).await?;
        Relations::of(user, &rows)
    }

    /// Returns relations for a page: a follow that can't be read is none, because one busy item must not cost a page.
    pub async fn readable_relations(
        &self,
        user: &UserId,
        others: &[UserId],
    ) -> Result<Relations, Error> {
        let keys = relation_keys(user, others);
        let batch = self.batch_get_readable(&self.tables.follows, keys).await?;
        if !batch.unread.is_empty() {
            let unread = batch.unread.len();
            tracing::warn!(unread, "users are shown without follows that can't be read");
        }
        Relations::of(user, &batch.items)
    }

    /// Returns all users whom the user follows, in the order of their ids.
    pub async fn following(&self, by: &UserId) -> Result<Vec<UserId>, Error> {
        let mut found = Vec::new();
        let mut from = None;
        loop {
            let output = self
                .client
                .query()
                .table_name(&self.tables.follows)
                .key_condition_expression("#list = :list")
                .filter_expression("active = :yes")
                .expression_attribute_names("#list", "list")
                .expression_attribute_values(":list", s(FollowList::Following.partition(by, 0)))
                .expression_attribute_values(":yes", AttributeValue::Bool(true))
                .consistent_read(true)
                .set_exclusive_start_key(from)
                .send()
                .await?;
            for row in output.items() {
                found.push(user(row)?);
            }
            match output.last_evaluated_key {
                Some(key) => from = Some(key),
                None => return Ok(found),
            }
        }
    }

    /// Returns some followers of a shard, and where to read on if there were more than `most` rows.
    pub async fn followers_in(
        &self,
        followers: &Followers,
        most: i32,
    ) -> Result<(Vec<UserId>, Option<UserId>), Error> {
        let Followers {
            author,
            shard,
            after,
        } = followers;
        let after = after
            .as_ref()
            .map(|after| key(FollowList::Followers, author, *shard, after));
        let output = self
            .client
            .query()
            .table_name(&self.tables.follows)
            .key_condition_expression("#list = :list")
            .filter_expression("active = :yes")
            .projection_expression("#user")
            .expression_attribute_names("#user", "user")
            .expression_attribute_names("#list", "list")
            .expression_attribute_values(
                ":list",
                s(FollowList::Followers.partition(author, *shard)),
            )
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .consistent_read(true)
            .set_exclusive_start_key(after)
            .limit(most)
            .send()
            .await?;
        let followers = output.items().iter().map(user);
        let followers = followers.collect::<Result<Vec<_>, _>>()?;
        let next = output.last_evaluated_key.as_ref().map(user).transpose()?;
        Ok((followers, next))
    }

    /// Returns one of a user's lists of follows, latest first, starting after a position.
    pub async fn latest_follows(
        &self,
        list: FollowList,
        of: &UserId,
        after: Option<TimedPosition<UserId>>,
        most: usize,
    ) -> Result<Vec<TimedPosition<UserId>>, Error> {
        let part = |shard| Latest {
            table: &self.tables.follows,
            list: ("list", list.partition(of, shard)),
            entry: "user",
        };
        let parts = (0..self.shards_of(list, of).await?).map(part).collect();
        self.latest_of_all(parts, after, most).await
    }

    async fn shards_of(&self, list: FollowList, of: &UserId) -> Result<Shard, Error> {
        Ok(match list {
            FollowList::Followers => self.audience(of).await?.shards,
            FollowList::Following => 1,
        })
    }

    /// Erases one of the two lists of a user who has left, part by part.
    pub async fn erase_follows(&self, list: FollowList, of: &UserId) -> Result<(), Error> {
        for shard in 0..self.shards_of(list, of).await? {
            let mut after = None;
            loop {
                let partition = ("list", list.partition(of, shard));
                let rows = self
                    .partition_rows(&self.tables.follows, partition, after)
                    .await?;
                let others = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
                let Some(end) = others.last() else {
                    break;
                };
                after = Some(key(list, of, shard, end));
                let follow = |other: UserId| match list {
                    FollowList::Followers => Follow {
                        follower: other,
                        followee: of.clone(),
                    },
                    FollowList::Following => Follow {
                        follower: of.clone(),
                        followee: other,
                    },
                };
                self.erase(others.into_iter().map(follow).collect()).await?;
            }
        }
        Ok(())
    }
}
