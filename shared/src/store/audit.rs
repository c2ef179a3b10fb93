//! Does the store hold what it promises? For operators, who may scan: whole tables are read, and each suspicion that
//! this raises is looked at again by itself, consistently, since others write meanwhile.
//!
//! In memory stays an entry for each user, post, follow and place in a list: some hundred bytes each.

use std::collections::{HashMap, HashSet};
use std::fmt;

use aws_sdk_dynamodb::types::{AttributeValue, Select};
use futures::future::try_join_all;

use super::edges::{EdgeKey, SHARD, Shard};
use super::item::{Item, Read, n, s};
use super::likes::{self, counts_key};
use super::outbox::held;
use super::post_lists::partitions;
use super::posts::{is_deleted, revised};
use super::{Error, Store, audience};
use crate::domain::{Follow, PostId, Timestamp, UserId};

/// How long a fan-out may be overdue, in seconds: `sweep` looks every minute.
const PATIENCE_SECONDS: i64 = 10 * 60;
/// How often a fan-out may have been sent again: so often in about an hour, each time after twice as long.
const PATIENCE_TIMES: i64 = 6;
/// How often it is counted anew while the counter moves.
const LOOKS: usize = 5;

/// What has counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Counted {
    /// A user: `followers`, `following`, `posts`.
    User(UserId),
    /// A post: `likes`, `comments`.
    Post(PostId),
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Post(post) => write!(f, "post {post}"),
        }
    }
}

/// A counter, and what it should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// Whose it is.
    pub of: Counted,
    /// Which.
    pub counter: &'static str,
    /// What it says.
    pub says: u64,
    /// How many there are.
    pub there: u64,
}

impl Recount {
    /// Whether it says what there is.
    pub const fn is_exact(&self) -> bool {
        self.says == self.there
    }
}

impl fmt::Display for Recount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            of,
            counter,
            says,
            there,
        } = self;
        write!(f, "{of}: {counter} says {says}, there are {there}")
    }
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A counter says something else than there is.
    Counter(Recount),
    /// Of the two rows of a follow only one says that it is.
    HalfAFollow(Follow),
    /// A post is missing from one of its lists, by the list's key.
    Unlisted(PostId, String),
    /// A list has a post that is not there, or does not belong in it.
    Stray(PostId, String),
    /// A post's fan-out has been overdue for ten minutes, or was sent again six times.
    Overdue(PostId),
    /// A row of a table can't be read, and why.
    Unreadable(String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter(recount) => recount.fmt(f),
            Self::HalfAFollow(follow) => write!(
                f,
                "user {} follows user {} by one of two rows only",
                follow.follower, follow.followee
            ),
            Self::Unlisted(post, list) => write!(f, "post {post} is missing from {list}"),
            Self::Stray(post, list) => write!(f, "post {post} does not belong in {list}"),
            Self::Overdue(post) => write!(f, "post {post} is not fanned out"),
            Self::Unreadable(table, why) => write!(f, "a row of {table} can't be read: {why}"),
        }
    }
}

/// What whole tables say.
#[derive(Debug, Default)]
struct Seen {
    /// What each counter says, less what was seen of it.
    counters: HashMap<(Counted, &'static str), i64>,
    /// Follows of which one row was seen.
    halves: HashSet<Follow>,
    /// Places of posts in lists: 1 where the post says so only, -1 where the list does.
    places: HashMap<(PostId, String), i64>,
    overdue: Vec<PostId>,
}

impl Seen {
    fn counter(&mut self, of: Counted, name: &'static str, by: i64) {
        *self.counters.entry((of, name)).or_default() += by;
    }

    fn says(&mut self, of: &Counted, row: &Item) -> Result<(), Error> {
        for name in counters_of(of) {
            let says = i64::try_from(row.count(name)?).map_err(Error::broken)?;
            self.counter(of.clone(), name, says);
        }
        Ok(())
    }

    fn user(&mut self, row: &Item) -> Result<(), Error> {
        // Those who left have a row of another kind.
        match UserId::parse(row.text("id")?) {
            Ok(user) => self.says(&Counted::User(user), row),
            Err(_) => Ok(()),
        }
    }

    fn post(&mut self, row: &Item, now: Timestamp) -> Result<(), Error> {
        let post = PostId::parse(row.text("id")?).map_err(Error::broken)?;
        let due = row.maybe_number("due_at")?;
        let since = now.plus_seconds(-PATIENCE_SECONDS).millis();
        let sent_again = row.maybe_number("sent_again")?.unwrap_or_default();
        if due.is_some_and(|due| due < since || sent_again >= PATIENCE_TIMES) {
            self.overdue.push(post);
        }
        if !is_deleted(row) {
            for list in partitions(&revised(row)?.post) {
                *self.places.entry((post, list)).or_default() += 1;
            }
        }
        Ok(())
    }

    fn place(&mut self, row: &Item) -> Result<(), Error> {
        let list = row.text("list")?;
        if list.starts_with("recent#") {
            return Ok(());
        }
        let post = PostId::parse(row.text("post")?).map_err(Error::broken)?;
        if let Some(author) = list.strip_prefix("author#") {
            let author = UserId::parse(author).map_err(Error::broken)?;
            self.counter(Counted::User(author), "posts", -1);
        }
        *self.places.entry((post, list.to_owned())).or_default() -= 1;
        Ok(())
    }

    fn follow(&mut self, row: &Item) -> Result<(), Error> {
        // The two tombstones of an undone follow go by themselves, not together.
        if !row.flag("active") {
            return Ok(());
        }
        let list = row.text("list")?;
        let other = UserId::parse(row.text("user")?).map_err(Error::broken)?;
        let mut parts = list.split('#');
        let (kind, of) = (parts.next(), parts.next().unwrap_or_default());
        let of = UserId::parse(of).map_err(Error::broken)?;
        let follow = if kind == Some("following") {
            self.counter(Counted::User(of.clone()), "following", -1);
            Follow {
                follower: of,
                followee: other,
            }
        } else {
            self.counter(Counted::User(of.clone()), "followers", -1);
            Follow {
                follower: other,
                followee: of,
            }
        };
        if !self.halves.remove(&follow) {
            self.halves.insert(follow);
        }
        Ok(())
    }

    fn like(&mut self, row: &Item) -> Result<(), Error> {
        let partition = row.text("post")?;
        let post = partition.split('#').next().unwrap_or_default();
        let of = Counted::Post(PostId::parse(post).map_err(Error::broken)?);
        if post == partition {
            self.says(&of, row)?;
        } else if row.flag("active") {
            self.counter(of, "likes", -1);
        }
        Ok(())
    }

    fn comment(&mut self, row: &Item) -> Result<(), Error> {
        let post = PostId::parse(row.text("post")?).map_err(Error::broken)?;
        self.counter(Counted::Post(post), "comments", -1);
        Ok(())
    }
}

fn counters_of(of: &Counted) -> &'static [&'static str] {
    match of {
        Counted::User(_) => &["followers", "following", "posts"],
        Counted::Post(_) => &["likes", "comments"],
    }
}

impl Store {
    /// Everything that does not hold. Tells how many rows of which table were read so far, now and then.
    pub async fn differences(
        &self,
        now: Timestamp,
        mut progress: impl FnMut(&str, usize),
    ) -> Result<Vec<Difference>, Error> {
        let (mut seen, mut unreadable) = (Seen::default(), Vec::new());
        let tables = &self.tables;
        for table in [
            &tables.users,
            &tables.posts,
            &tables.post_lists,
            &tables.follows,
            &tables.likes,
            &tables.comments,
        ] {
            let look = |row: &Item| match table {
                table if *table == tables.users => seen.user(row),
                table if *table == tables.posts => seen.post(row, now),
                table if *table == tables.post_lists => seen.place(row),
                table if *table == tables.follows => seen.follow(row),
                table if *table == tables.likes => seen.like(row),
                _ => seen.comment(row),
            };
            let broken = self.scan(table, &mut progress, look).await?;
            let broken = broken.into_iter().map(|error| error.to_string());
            unreadable.extend(broken.map(|why| Difference::Unreadable(table.clone(), why)));
        }
        let mut differences = unreadable;
        differences.extend(self.looked_at_again(seen).await?);
        Ok(differences)
    }

    /// Of what was seen, what still is so.
    async fn looked_at_again(&self, seen: Seen) -> Result<Vec<Difference>, Error> {
        let mut differences = Vec::new();
        let suspicious = seen.counters.into_iter().filter(|(_, left)| *left != 0);
        for ((of, counter), _) in suspicious {
            let recounts = self.recount(&of).await?.into_iter();
            let wrong = recounts.filter(|it| it.counter == counter && !it.is_exact());
            differences.extend(wrong.map(Difference::Counter));
        }
        for follow in seen.halves {
            if self.is_half(&follow).await? {
                differences.push(Difference::HalfAFollow(follow));
            }
        }
        for ((post, list), _) in seen.places.into_iter().filter(|(_, left)| *left != 0) {
            let belongs = self.post(post).await?;
            let belongs = belongs.is_some_and(|post| partitions(&post).contains(&list));
            let stands = self.stands_in(post, &list).await?;
            match (belongs, stands) {
                (true, false) => differences.push(Difference::Unlisted(post, list)),
                (false, true) => differences.push(Difference::Stray(post, list)),
                _ => {}
            }
        }
        for post in seen.overdue {
            if self.outbox_mark(post).await?.is_some() {
                differences.push(Difference::Overdue(post));
            }
        }
        Ok(differences)
    }

    /// The counters of a user or post, with what there is; none if there is no such user or post. While a counter
    /// moves it is counted anew, at most five times.
    ///
    /// What comes and goes between two looks is not noticed: count what many are at work on when it is quieter.
    pub async fn recount(&self, of: &Counted) -> Result<Vec<Recount>, Error> {
        let mut said = self.say(of).await?;
        for _ in 0..LOOKS {
            let Some(says) = said else {
                return Ok(Vec::new());
            };
            let there = self.there(of).await?;
            said = self.say(of).await?;
            if said.as_ref() == Some(&says) {
                let counters = counters_of(of).iter().zip(says).zip(there);
                let recount = |((counter, says), there): ((&&'static str, u64), u64)| Recount {
                    of: of.clone(),
                    counter,
                    says,
                    there,
                };
                return Ok(counters.map(recount).collect());
            }
        }
        Err(Error::Unavailable(format!(
            "the counters of {of} keep moving"
        )))
    }

    /// Lets a counter say what there is. Whether it still said what it said when it was counted; if not, nothing
    /// changes.
    pub async fn correct(&self, recount: &Recount) -> Result<bool, Error> {
        let (table, key) = self.counters_row(&recount.of);
        let as_counted = if recount.says == 0 {
            "(attribute_not_exists(#counter) OR #counter = :says)"
        } else {
            "#counter = :says"
        };
        let update = self
            .client
            .update_item()
            .table_name(table)
            .set_key(Some(key))
            .update_expression("SET #counter = :there")
            .condition_expression(as_counted)
            .expression_attribute_names("#counter", recount.counter)
            .expression_attribute_values(":says", n(recount.says))
            .expression_attribute_values(":there", n(recount.there));
        held(update.send().await.map(|_| ()))
    }

    fn counters_row(&self, of: &Counted) -> (&str, Item) {
        match of {
            Counted::User(user) => (
                &self.tables.users,
                HashMap::from([("id".to_owned(), s(user))]),
            ),
            Counted::Post(post) => (&self.tables.likes, counts_key(*post)),
        }
    }

    /// What the counters say; nothing if there is no such user or post.
    async fn say(&self, of: &Counted) -> Result<Option<Vec<u64>>, Error> {
        if let Counted::Post(post) = of
            && self.post(*post).await?.is_none()
        {
            return Ok(None);
        }
        let (table, key) = self.counters_row(of);
        let row = self.batch_get(table, vec![key], None).await?.pop();
        let row = match (of, row) {
            (Counted::User(_), None) => return Ok(None),
            (_, row) => row.unwrap_or_default(),
        };
        let counters = counters_of(of).iter().map(|name| row.count(name));
        counters.collect::<Result<_, _>>().map(Some)
    }

    /// What there is to be counted, counter by counter.
    async fn there(&self, of: &Counted) -> Result<Vec<u64>, Error> {
        match of {
            Counted::User(user) => {
                let shards = self.audience(user).await?.shards;
                let followers = (0..shards).map(|shard| audience::partition(user, shard));
                let table = &self.tables.follows;
                let following = vec![format!("following#{user}")];
                let posts = vec![format!("author#{user}")];
                let (followers, following, posts) = futures::try_join!(
                    self.count(table, "list", followers.collect(), true),
                    self.count(table, "list", following, true),
                    self.count(&self.tables.post_lists, "list", posts, false),
                )?;
                Ok(vec![followers, following, posts])
            }
            Counted::Post(post) => {
                let likes = likes::partitions(*post).collect();
                let (likes, comments) = futures::try_join!(
                    self.count(&self.tables.likes, "post", likes, true),
                    self.count(&self.tables.comments, "post", vec![post.to_string()], false),
                )?;
                Ok(vec![likes, comments])
            }
        }
    }

    /// How many rows these partitions have, or how many edges that are active.
    async fn count(
        &self,
        table: &str,
        key: &str,
        partitions: Vec<String>,
        edges: bool,
    ) -> Result<u64, Error> {
        let counts = partitions.into_iter().map(|partition| async move {
            let mut query = self
                .client
                .query()
                .table_name(table)
                .key_condition_expression("#key = :partition")
                .expression_attribute_names("#key", key)
                .expression_attribute_values(":partition", s(partition))
                .consistent_read(true)
                .select(Select::Count);
            if edges {
                query = query
                    .filter_expression("active = :yes")
                    .expression_attribute_values(":yes", AttributeValue::Bool(true));
            }
            let mut pages = query.into_paginator().send();
            let mut sum = 0;
            while let Some(page) = pages.next().await {
                sum += u64::try_from(page?.count).map_err(Error::broken)?;
            }
            Ok::<_, Error>(sum)
        });
        Ok(try_join_all(counts).await?.into_iter().sum())
    }

    /// Whether only one of a follow's two rows says that it is.
    async fn is_half(&self, follow: &Follow) -> Result<bool, Error> {
        let is = async |shard: Shard, which: usize| {
            let row = follow.rows(&self.tables, shard).into_iter().nth(which);
            let keys: Vec<Item> = row.into_iter().map(|row| row.key).collect();
            let found = self.batch_get(&self.tables.follows, keys, None).await?;
            Ok::<_, Error>(found.into_iter().next().filter(|row| row.flag("active")))
        };
        let first = is(0, 0).await?;
        let shards = match &first {
            Some(row) => {
                let shard = Shard::try_from(row.count(SHARD)?).map_err(Error::broken)?;
                shard..=shard
            }
            // Nobody says which.
            None => 0..=self.audience(&follow.followee).await?.shards,
        };
        let seconds = try_join_all(shards.map(|shard| is(shard, 1))).await?;
        Ok(first.is_some() != seconds.iter().any(Option::is_some))
    }

    async fn stands_in(&self, post: PostId, list: &str) -> Result<bool, Error> {
        let key = super::item::item([("list", s(list)), ("post", s(post))]);
        let found = self.batch_get(&self.tables.post_lists, vec![key], None);
        Ok(!found.await?.is_empty())
    }

    async fn scan(
        &self,
        table: &str,
        progress: &mut impl FnMut(&str, usize),
        mut look: impl FnMut(&Item) -> Result<(), Error>,
    ) -> Result<Vec<Error>, Error> {
        let scan = self.client.scan().table_name(table).consistent_read(true);
        let mut pages = scan.into_paginator().send();
        let (mut read, mut broken) = (0, Vec::new());
        while let Some(page) = pages.next().await {
            let rows = page?.items.unwrap_or_default();
            broken.extend(rows.iter().filter_map(|row| look(row).err()));
            read += rows.len();
            progress(table, read);
        }
        Ok(broken)
    }
}
