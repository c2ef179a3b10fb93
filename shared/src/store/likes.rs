//! Likes, and the rows of the posts' counts among them.
//!
//! A post may be liked a hundred thousand times within a minute, and a partition takes 1,000 writes a second. So a
//! post's likes are spread over 16 partitions, by a hash of the user: whether a user likes the post is still one row.
//! The counts have a row of their own, which is written once for each hundred likes.

use std::collections::{HashMap, HashSet};

use super::audience::shard_of;
use super::counters::{Counter, GrowthCondition, REVISION, Row};
use super::edges::{Applied, EdgeKey, Refused, Shard, Stored};
use super::item::{Item, Read, item, s};
use super::latest::Latest;
use super::leaving::ROWS_PER_STEP;
use super::{Error, Readable, Store, Tables};
use crate::domain::{Change, Like, PostCounts, PostId, Reason, TimedPosition, UserId};

/// The sort key of a post's counts; no user's id has a `#`.
const COUNT: &str = "#count";

/// The number of partitions that a post's likes are spread over.
const SHARDS: Shard = 16;

fn partition(post: PostId, shard: Shard) -> String {
    format!("{post}#{shard}")
}

/// Returns the partitions of a post's likes.
pub(super) fn partitions(post: PostId) -> impl Iterator<Item = String> {
    (0..SHARDS).map(move |shard| partition(post, shard))
}

fn key(post: PostId, user: &UserId) -> Item {
    let partition = partition(post, shard_of(user, SHARDS));
    item([("post", s(partition)), ("user", s(user))])
}

/// Returns the key of a post's counts.
pub(super) fn counts_key(post: PostId) -> Item {
    item([("post", s(post)), ("user", s(COUNT))])
}

/// Returns one of a post's counters.
pub(super) fn counter<'a>(tables: &'a Tables, post: PostId, name: &'static str) -> Counter<'a> {
    let row = Row {
        table: &tables.likes,
        key: counts_key(post),
        attributes: Item::new(),
    };
    Counter {
        id: post.to_string(),
        row,
        name,
        dated: false,
        grows: GrowthCondition::Always,
    }
}

impl EdgeKey for Like {
    type Hub = PostId;

    fn hub(&self) -> PostId {
        self.post
    }

    fn rows<'a>(&self, tables: &'a Tables, _: Shard) -> Vec<Row<'a>> {
        vec![Row {
            table: &tables.likes,
            key: key(self.post, &self.user),
            // The key of the index `liker`; the counts' row is not in it.
            attributes: item([("liker", s(&self.user))]),
        }]
    }

    fn counters<'a>(&self, store: &'a Store) -> Vec<Counter<'a>> {
        vec![counter(&store.tables, self.post, "likes")]
    }

    fn of(row: &Item) -> Result<Self, Error> {
        Ok(Self {
            user: user(row)?,
            post: post(row)?,
        })
    }

    /// Returns none: a like's user determines its partition.
    async fn shards(_: &Store, _: &[&Self]) -> Result<HashMap<Self, Shard>, Error> {
        Ok(HashMap::new())
    }

    /// Refuses all changes about a post that doesn't exist, or no longer, and likes between users of whom one blocks
    /// the other. Changes from before the user was erased are void.
    async fn refused(
        store: &Store,
        changes: &[(Self, Change)],
        _: &HashMap<Self, Stored>,
    ) -> Result<Refused<Self>, Error> {
        let users: HashSet<UserId> = changes.iter().map(|(like, _)| like.user.clone()).collect();
        let posts: HashSet<PostId> = changes.iter().map(|(like, _)| like.post).collect();
        let posts: Vec<PostId> = posts.into_iter().collect();
        let (accounts, authors) = futures::try_join!(
            store.accounts(users.into_iter().collect()),
            store.authors_of(&posts)
        )?;
        let changes_by_user = changes.iter().map(|(like, change)| (&like.user, *change));
        store.create_new_users(&accounts, changes_by_user).await?;
        let pair = |like: &Self| Some((like.user.clone(), authors.get(&like.post)?.clone()));
        let made = changes.iter().filter(|(_, change)| change.active);
        let pairs: HashSet<_> = made.filter_map(|(like, _)| pair(like)).collect();
        let blocked = store.blocked_pairs(pairs).await?;
        let void = |(like, change): &&(Self, Change)| {
            accounts.voids(&like.user, *change)
                || pair(like).is_none_or(|pair| change.active && blocked.contains(&pair))
        };
        let void = changes.iter().filter(void);
        Ok(Refused {
            edges: void.map(|(like, _)| like.clone()).collect(),
            at_limit: HashSet::new(),
        })
    }
}

fn counts(row: &Item) -> Result<(PostId, PostCounts), Error> {
    let counts = PostCounts {
        likes: row.count("likes")?,
        comments: row.count("comments")?,
        rev: row.count(REVISION)?,
    };
    Ok((post(row)?, counts))
}

fn user(row: &Item) -> Result<UserId, Error> {
    UserId::parse(row.text("user")?).map_err(|reason: Reason| Error::broken(reason))
}

fn post(row: &Item) -> Result<PostId, Error> {
    let partition = row.text("post")?;
    let post = partition
        .split_once('#')
        .map_or(partition, |(post, _)| post);
    PostId::parse(post).map_err(|reason: Reason| Error::broken(reason))
}

impl Store {
    /// Applies queued likes.
    pub async fn apply_likes(
        &self,
        changes: impl IntoIterator<Item = (Like, Change)>,
    ) -> Applied<Like> {
        self.apply(changes).await
    }

    /// Returns the exact counts of these posts; posts that were never liked or commented on are absent.
    pub async fn post_counts(
        &self,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, PostCounts>, Error> {
        let keys = posts.iter().map(|&post| counts_key(post)).collect();
        let rows = self.batch_get(&self.tables.likes, keys, None).await?;
        let counts: HashMap<PostId, PostCounts> =
            rows.iter().map(counts).collect::<Result<_, _>>()?;
        self.last_counts.remember(&counts);
        Ok(counts)
    }

    /// Returns the counts of these posts. Where the current counts can't be read, returns the last ones that this
    /// process knew, and lists the posts in `unread`.
    pub async fn readable_counts(
        &self,
        posts: &[PostId],
    ) -> Result<Readable<HashMap<PostId, PostCounts>, PostId>, Error> {
        let keys = posts.iter().map(|&post| counts_key(post)).collect();
        let batch = self.batch_get_readable(&self.tables.likes, keys).await?;
        let mut found: HashMap<PostId, PostCounts> =
            batch.items.iter().map(counts).collect::<Result<_, _>>()?;
        self.last_counts.remember(&found);
        let unread: HashSet<PostId> = batch.unread.iter().map(post).collect::<Result<_, _>>()?;
        found.extend(self.last_counts.of(&unread));
        Ok(Readable { found, unread })
    }

    /// Remembers counts that this process has seen elsewhere, for when they can't be read.
    pub fn remember_counts(&self, counts: &HashMap<PostId, PostCounts>) {
        self.last_counts.remember(counts);
    }

    /// Returns the users who like a post, latest first, starting after a position.
    pub async fn likers(
        &self,
        of: PostId,
        after: Option<TimedPosition<UserId>>,
        most: usize,
    ) -> Result<Vec<TimedPosition<UserId>>, Error> {
        let list = |partition| Latest {
            table: &self.tables.likes,
            list: ("post", partition),
            entry: "user",
        };
        let lists = partitions(of).map(list).collect();
        self.latest_of_all(lists, after, most).await
    }

    /// Returns those of these posts that the user likes.
    pub async fn liked(&self, by: &UserId, posts: &[PostId]) -> Result<HashSet<PostId>, Error> {
        let keys = posts.iter().map(|&post| key(post, by)).collect();
        let rows = self.batch_get(&self.tables.likes, keys, None).await?;
        rows.iter()
            .filter(|row| row.flag("active"))
            .map(post)
            .collect()
    }

    /// Returns the posts, among these, that the user likes, and the posts for which this can't be read.
    pub async fn readable_likes(
        &self,
        by: &UserId,
        posts: &[PostId],
    ) -> Result<Readable<HashSet<PostId>, PostId>, Error> {
        let keys = posts.iter().map(|&post| key(post, by)).collect();
        let batch = self.batch_get_readable(&self.tables.likes, keys).await?;
        let liked = batch.items.iter().filter(|row| row.flag("active"));
        Ok(Readable {
            found: liked.map(post).collect::<Result<_, _>>()?,
            unread: batch.unread.iter().map(post).collect::<Result<_, _>>()?,
        })
    }

    /// Returns some likes of a user, in the order of the posts, starting after a position. Returns none at the end.
    pub async fn likes_by(&self, user: &UserId, after: Option<PostId>) -> Result<Vec<Like>, Error> {
        let start = after.map(|post| {
            let mut start = key(post, user);
            start.insert("liker".to_owned(), s(user));
            start
        });
        let output = self
            .client
            .query()
            .table_name(&self.tables.likes)
            .index_name("liker")
            .key_condition_expression("liker = :user")
            .expression_attribute_values(":user", s(user))
            .set_exclusive_start_key(start)
            .limit(ROWS_PER_STEP)
            .send()
            .await?;
        output.items().iter().map(Like::of).collect()
    }

    /// Erases these likes, and takes them off the posts' counts.
    pub async fn erase_likes(&self, likes: Vec<Like>) -> Result<(), Error> {
        self.erase(likes).await.map(|_| ())
    }
}
