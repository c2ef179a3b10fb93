//! Follows.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;

use super::edges::{Counter, EdgeKey, Row};
use super::item::{Item, Read, item, s};
use super::latest::Latest;
use super::{Error, Store, Tables};
use crate::domain::{Change, Follow, Followers, Since, UserId};

/// One of a user's two lists of follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowList {
    /// Who follows the user.
    Followers,
    /// Whom the user follows.
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

    fn of(self, user: &UserId) -> String {
        format!("{}#{user}", self.name())
    }
}

fn key(list: FollowList, of: &UserId, user: &UserId) -> Item {
    item([("list", s(list.of(of))), ("user", s(user))])
}

fn user(row: &Item) -> Result<UserId, Error> {
    UserId::parse(row.text("user")?).map_err(Error::broken)
}

impl EdgeKey for Follow {
    type Hub = UserId;

    fn hub(&self) -> UserId {
        self.followee.clone()
    }

    fn rows<'a>(&self, tables: &'a Tables) -> Vec<Row<'a>> {
        let row = |list, of, user| Row {
            table: tables.follows.as_str(),
            key: key(list, of, user),
            says: Item::new(),
        };
        vec![
            row(FollowList::Followers, &self.followee, &self.follower),
            row(FollowList::Following, &self.follower, &self.followee),
        ]
    }

    fn counters<'a>(&self, tables: &'a Tables) -> Vec<Counter<'a>> {
        let counter = |name, id: &UserId| {
            let row = Row {
                table: tables.users.as_str(),
                key: item([("id", s(id))]),
                says: Item::new(),
            };
            Counter {
                id: id.to_string(),
                row,
                name,
                dated: true,
            }
        };
        vec![
            counter("followers", &self.followee),
            counter("following", &self.follower),
        ]
    }

    fn of(row: &Item) -> Result<Self, Error> {
        let list = row.text("list")?;
        let followee = list
            .strip_prefix("followers#")
            .ok_or_else(|| Error::broken(list))?;
        Ok(Self {
            follower: user(row)?,
            followee: UserId::parse(followee).map_err(Error::broken)?,
        })
    }

    /// Nobody comes to follow somebody whom they block, or who blocks them; and what somebody said who has
    /// left since is void.
    async fn refused(store: &Store, words: &[(Self, Change)]) -> Result<HashSet<Self>, Error> {
        let pair = |follow: &Self| (follow.follower.clone(), follow.followee.clone());
        let made = words.iter().filter(|(_, change)| change.active);
        let made = made.map(|(follow, _)| pair(follow)).collect();
        let ends =
            |(follow, _): &(Self, Change)| [follow.follower.clone(), follow.followee.clone()];
        let ends: HashSet<UserId> = words.iter().flat_map(ends).collect();
        let (blocked, left) = futures::try_join!(
            store.blocked_pairs(made),
            store.left(ends.into_iter().collect())
        )?;
        let void = |(follow, change): &&(Self, Change)| {
            left.voids(&follow.follower, *change)
                || left.voids(&follow.followee, *change)
                || (change.active && blocked.contains(&pair(follow)))
                || (change.active && left.is_gone(&follow.followee))
        };
        let void = words.iter().filter(void);
        Ok(void.map(|(follow, _)| follow.clone()).collect())
    }
}

impl Store {
    /// Applies queued follows; answers those that could not be written.
    pub async fn apply_follows(
        &self,
        words: impl IntoIterator<Item = (Follow, Change)>,
    ) -> HashMap<Follow, Error> {
        self.apply(words).await
    }

    /// Which of these users the user follows.
    pub async fn followed(&self, by: &UserId, users: &[UserId]) -> Result<HashSet<UserId>, Error> {
        let keys = users
            .iter()
            .map(|other| key(FollowList::Following, by, other))
            .collect();
        let rows = self.batch_get(&self.tables.follows, keys, None).await?;
        rows.iter()
            .filter(|row| row.flag("active"))
            .map(user)
            .collect()
    }

    /// Everybody the user follows, in the order of their ids.
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
                .expression_attribute_values(":list", s(FollowList::Following.of(by)))
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

    /// The followers of a range, and where to read on if there were more than `most` rows.
    pub async fn followers_in(
        &self,
        range: &Followers,
        most: i32,
    ) -> Result<(Vec<UserId>, Option<UserId>), Error> {
        let bounds = match (&range.after, &range.upto) {
            (None, None) => "",
            (Some(_), None) => " AND #user > :after",
            (None, Some(_)) => " AND #user <= :upto",
            // BETWEEN takes both ends in: the lower one is left out below.
            (Some(_), Some(_)) => " AND #user BETWEEN :after AND :upto",
        };
        let mut query = self
            .client
            .query()
            .table_name(&self.tables.follows)
            .key_condition_expression(format!("#list = :list{bounds}"))
            .filter_expression("active = :yes")
            .expression_attribute_names("#user", "user")
            .projection_expression("#user")
            .expression_attribute_names("#list", "list")
            .expression_attribute_values(":list", s(FollowList::Followers.of(&range.author)))
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .consistent_read(true)
            .limit(most);
        if let Some(after) = &range.after {
            query = query.expression_attribute_values(":after", s(after));
        }
        if let Some(upto) = &range.upto {
            query = query.expression_attribute_values(":upto", s(upto));
        }
        let output = query.send().await?;
        let mut followers = output
            .items()
            .iter()
            .map(user)
            .collect::<Result<Vec<_>, _>>()?;
        followers.retain(|follower| Some(follower) != range.after.as_ref());
        let next = output.last_evaluated_key.as_ref().map(user).transpose()?;
        Ok((followers, next))
    }

    /// One of a user's lists of follows, latest first, from after a position on.
    pub async fn latest_follows(
        &self,
        list: FollowList,
        of: &UserId,
        after: Option<Since<UserId>>,
        most: usize,
    ) -> Result<Vec<Since<UserId>>, Error> {
        let list = Latest {
            table: &self.tables.follows,
            list: ("list", list.of(of)),
            entry: "user",
        };
        self.latest(list, after, most).await
    }

    /// Erases one of the two lists of a user who has left, from after a position on. Answers where to go
    /// on.
    pub async fn erase_follows(
        &self,
        list: FollowList,
        of: &UserId,
        after: Option<UserId>,
    ) -> Result<Option<UserId>, Error> {
        let start = after.map(|after| key(list, of, &after));
        let rows = self
            .part(&self.tables.follows, ("list", list.of(of)), start)
            .await?;
        let others = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
        let end = others.last().cloned();
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
        Ok(end)
    }
}
