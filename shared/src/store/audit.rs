//! Does the store hold what it promises? For operators, who may scan: whole tables are read.
//!
//! In memory stays an entry for each user, post and place in a list, and while only one of two rows was seen for each
//! follow, block, cat and handle: some hundred bytes each. What is remembered (saves, idempotency keys) and what is
//! only of late (trends) promises nothing that could be looked for.

use std::collections::{HashMap, HashSet};
use std::fmt;

use aws_sdk_dynamodb::types::{AttributeValue, Select};
use futures::future::try_join_all;

use super::block_row::{BLOCKED, SINCE};
use super::conditional::condition_held;
use super::invalidations;
use super::item::{Item, Read, n, s};
use super::likes::{self, counts_key};
use super::post_lists::partitions;
use super::post_row::{is_deleted, revised};
use super::{Error, Store};
use crate::domain::{CatId, Follow, Handle, PostId, Subject, Timestamp, UserId};

/// How long a fan-out may be overdue, in seconds: `sweep` looks every minute.
const PATIENCE_SECONDS: i64 = 10 * 60;
/// How often a fan-out may have been sent again: so often in about an hour, each time after twice as long.
const PATIENCE_TIMES: i64 = 6;
/// How often it is counted at most while it moves.
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recount {
    /// Whose it is.
    pub of: Counted,
    /// Which.
    pub counter: &'static str,
    /// What it says; of one that went wrong it may be less than nothing.
    pub says: i64,
    /// How many there are.
    pub there: i64,
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

/// What is written as two rows, together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pair {
    /// In the lists of both.
    Follow(Follow),
    /// In the lists of both: who blocks, and whom.
    Block(UserId, UserId),
    /// In the lists of both: who blocks, and whom that left, by the name for those who left.
    KeptBlock(UserId, String),
    /// Of its own, and in its owner's list.
    Cat(CatId, UserId),
    /// Of its own, and in its owner's profile.
    Handle(Handle, UserId),
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Follow(follow) => {
                let Follow { follower, followee } = follow;
                write!(f, "user {follower} follows user {followee}")
            }
            Self::Block(user, other) => write!(f, "user {user} blocks user {other}"),
            Self::KeptBlock(user, left) => write!(f, "user {user} blocks {left}"),
            Self::Cat(cat, owner) => write!(f, "cat {cat} is user {owner}'s"),
            Self::Handle(handle, owner) => write!(f, "handle {handle} is user {owner}'s"),
        }
    }
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Difference {
    /// A counter says something else than there is.
    Counter(Recount),
    /// Of two rows only one says that it is so.
    Half(Pair),
    /// A post is missing from one of its lists, by the list's key.
    Unlisted(PostId, String),
    /// A list has a post that is not there, or does not belong in it.
    Stray(PostId, String),
    /// A post's fan-out has been overdue for ten minutes, or was sent again six times.
    Overdue(PostId),
    /// A row of a table can't be read: the table, the row's key, and why.
    Unreadable(String, String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter(recount) => recount.fmt(f),
            Self::Half(pair) => write!(f, "{pair} by one of two rows only"),
            Self::Unlisted(post, list) => write!(f, "post {post} is missing from {list}"),
            Self::Stray(post, list) => write!(f, "post {post} does not belong in {list}"),
            Self::Overdue(post) => write!(f, "post {post} is not fanned out"),
            Self::Unreadable(table, row, why) => {
                write!(f, "the row {row} of {table} can't be read: {why}")
            }
        }
    }
}

/// What a counter says, if it was seen, and how many there are.
type Count = (Option<i64>, i64);

/// What whole tables say, each row looked at once.
#[derive(Debug, Default)]
struct Seen {
    counters: HashMap<(Counted, &'static str), Count>,
    /// Of which one row was seen.
    halves: HashSet<Pair>,
    /// Who leaves, and is erased bit by bit.
    leaving: HashSet<UserId>,
    /// Posts that are there, or that can't be read.
    posts: HashSet<PostId>,
    unread: HashSet<PostId>,
    /// Places of posts in lists: 1 where the post says so only, -1 where the list does.
    places: HashMap<(PostId, String), i64>,
    overdue: HashSet<PostId>,
    unreadable: HashSet<(String, String, String)>,
}

impl Seen {
    fn one_of_two(&mut self, pair: Pair) {
        if !self.halves.remove(&pair) {
            self.halves.insert(pair);
        }
    }

    fn one_more(&mut self, of: Counted, name: &'static str) {
        let (_, there) = self.counters.entry((of, name)).or_default();
        *there += 1;
    }

    fn says(&mut self, of: &Counted, row: &Item) -> Result<(), Error> {
        for name in counters_of(of) {
            let number = row.maybe_number(name)?.unwrap_or_default();
            let (says, _) = self.counters.entry((of.clone(), name)).or_default();
            *says = Some(number);
        }
        Ok(())
    }

    fn user(&mut self, row: &Item) -> Result<(), Error> {
        // Those who left have a row of another kind.
        let Ok(user) = UserId::parse(row.text("id")?) else {
            return Ok(());
        };
        if row.contains_key("withdrawn_at") {
            self.leaving.insert(user.clone());
        }
        if let Some(handle) = row.maybe_text("handle") {
            let handle = Handle::parse(handle).map_err(Error::broken)?;
            self.one_of_two(Pair::Handle(handle, user.clone()));
        }
        self.says(&Counted::User(user), row)
    }

    fn handle(&mut self, row: &Item) -> Result<(), Error> {
        let handle = Handle::parse(row.text("handle")?).map_err(Error::broken)?;
        // Given up: kept for whose it was.
        if !row.contains_key("expires_at") {
            let owner = UserId::parse(row.text("user")?).map_err(Error::broken)?;
            self.one_of_two(Pair::Handle(handle, owner));
        }
        Ok(())
    }

    fn cat(&mut self, row: &Item) -> Result<(), Error> {
        let cat = CatId::parse(row.text("cat")?).map_err(Error::broken)?;
        let owner = match row.text("list")?.split_once('#') {
            Some(("owner", owner)) => owner,
            Some(_) => row.text("owner")?,
            // Of cats that were deleted.
            None => return Ok(()),
        };
        let owner = UserId::parse(owner).map_err(Error::broken)?;
        self.one_of_two(Pair::Cat(cat, owner));
        Ok(())
    }

    fn block(&mut self, row: &Item) -> Result<(), Error> {
        let (user, other) = (row.text("user")?, row.text("other")?);
        let kept = [(user, other), (other, user)];
        if let Some((left, blocker)) = kept.into_iter().find(|(name, _)| name.contains('#')) {
            let blocker = UserId::parse(blocker).map_err(Error::broken)?;
            self.one_of_two(Pair::KeptBlock(blocker, left.to_owned()));
            return Ok(());
        }
        let user = UserId::parse(user).map_err(Error::broken)?;
        let other = UserId::parse(other).map_err(Error::broken)?;
        if row.contains_key(SINCE) {
            self.one_of_two(Pair::Block(user.clone(), other.clone()));
        }
        if row.contains_key(BLOCKED) {
            self.one_of_two(Pair::Block(other, user));
        }
        Ok(())
    }

    fn post(&mut self, row: &Item, now: Timestamp) -> Result<(), Error> {
        let post = PostId::parse(row.text("id")?).map_err(Error::broken)?;
        self.unread.insert(post);
        let due = row.maybe_number("due_at")?;
        let since = now.plus_seconds(-PATIENCE_SECONDS).millis();
        let sent_again = row.maybe_number("sent_again")?.unwrap_or_default();
        if due.is_some_and(|due| due < since || sent_again >= PATIENCE_TIMES) {
            self.overdue.insert(post);
        }
        if !is_deleted(row) {
            let revised = revised(row)?;
            for list in partitions(&revised.post) {
                *self.places.entry((post, list)).or_default() += 1;
            }
            self.one_more(Counted::User(revised.post.author), "posts");
            self.posts.insert(post);
        }
        self.unread.remove(&post);
        Ok(())
    }

    fn place(&mut self, row: &Item) -> Result<(), Error> {
        let list = row.text("list")?;
        // Neither is a list of posts.
        if !["recent#", invalidations::PREFIX]
            .iter()
            .any(|kind| list.starts_with(kind))
        {
            let post = PostId::parse(row.text("post")?).map_err(Error::broken)?;
            *self.places.entry((post, list.to_owned())).or_default() -= 1;
        }
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
            // This row decides, also of what counters are moved by.
            self.one_more(Counted::User(of.clone()), "following");
            self.one_more(Counted::User(other.clone()), "followers");
            Follow {
                follower: of,
                followee: other,
            }
        } else {
            Follow {
                follower: other,
                followee: of,
            }
        };
        self.one_of_two(Pair::Follow(follow));
        Ok(())
    }

    fn like(&mut self, row: &Item) -> Result<(), Error> {
        let partition = row.text("post")?;
        let post = partition.split('#').next().unwrap_or_default();
        let of = Counted::Post(PostId::parse(post).map_err(Error::broken)?);
        if post == partition {
            self.says(&of, row)?;
        } else if row.flag("active") {
            self.one_more(of, "likes");
        }
        Ok(())
    }

    fn comment(&mut self, row: &Item) -> Result<(), Error> {
        let post = PostId::parse(row.text("post")?).map_err(Error::broken)?;
        self.one_more(Counted::Post(post), "comments");
        Ok(())
    }

    /// What did not hold, as far as was seen.
    fn differences(self) -> HashSet<Difference> {
        let mut found = HashSet::new();
        for ((of, counter), (says, there)) in self.counters {
            // What is left of those who left, and of deleted posts, goes piece by piece.
            let says = match &of {
                Counted::User(_) => says,
                Counted::Post(post) => self.posts.contains(post).then(|| says.unwrap_or_default()),
            };
            if let Some(says) = says.filter(|says| *says != there) {
                found.insert(Difference::Counter(Recount {
                    of,
                    counter,
                    says,
                    there,
                }));
            }
        }
        let erased =
            |pair: &Pair| matches!(pair, Pair::Handle(_, owner) if self.leaving.contains(owner));
        let halves = self.halves.into_iter().filter(|pair| !erased(pair));
        found.extend(halves.map(Difference::Half));
        for ((post, list), left) in self.places {
            match left {
                1.. => found.insert(Difference::Unlisted(post, list)),
                0 => false,
                // Where it belongs nobody knows.
                _ if self.unread.contains(&post) => false,
                _ => found.insert(Difference::Stray(post, list)),
            };
        }
        found.extend(self.overdue.into_iter().map(Difference::Overdue));
        let unreadable = self.unreadable.into_iter();
        found.extend(unreadable.map(|(table, row, why)| Difference::Unreadable(table, row, why)));
        found
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
    ///
    /// Others write meanwhile, so what seems not to hold is looked for a second time, and only what is the very same then
    /// is told. So what keeps changing is left out: look again when it is quieter.
    pub async fn differences(
        &self,
        now: Timestamp,
        mut progress: impl FnMut(&str, usize),
    ) -> Result<Vec<Difference>, Error> {
        let mut found = self.look(now, &mut progress).await?.differences();
        if !found.is_empty() {
            let again = self.look(now, &mut progress).await?.differences();
            found.retain(|difference| again.contains(difference));
        }
        Ok(found.into_iter().collect())
    }

    async fn look(
        &self,
        now: Timestamp,
        progress: &mut impl FnMut(&str, usize),
    ) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        let tables = &self.tables;
        for table in [
            &tables.users,
            &tables.posts,
            &tables.post_lists,
            &tables.follows,
            &tables.blocks,
            &tables.cats,
            &tables.handles,
            &tables.likes,
            &tables.comments,
        ] {
            let scan = self.client.scan().table_name(table).consistent_read(true);
            let mut pages = scan.into_paginator().send();
            let mut read = 0;
            while let Some(page) = pages.next().await {
                let rows = page?.items.unwrap_or_default();
                for row in &rows {
                    let looked_at = match table {
                        table if *table == tables.users => seen.user(row),
                        table if *table == tables.posts => seen.post(row, now),
                        table if *table == tables.post_lists => seen.place(row),
                        table if *table == tables.follows => seen.follow(row),
                        table if *table == tables.blocks => seen.block(row),
                        table if *table == tables.cats => seen.cat(row),
                        table if *table == tables.handles => seen.handle(row),
                        table if *table == tables.likes => seen.like(row),
                        _ => seen.comment(row),
                    };
                    if let Err(error) = looked_at {
                        let row = (table.clone(), key_of(row), error.to_string());
                        seen.unreadable.insert(row);
                    }
                }
                read += rows.len();
                progress(table, read);
            }
        }
        Ok(seen)
    }

    /// Everything that search may have to know, to be made known to it anew. Tells how many rows of which table were read
    /// so far, now and then. In memory stays an id for each.
    pub async fn subjects(
        &self,
        mut progress: impl FnMut(&str, usize),
    ) -> Result<Vec<Subject>, Error> {
        let mut subjects = Vec::new();
        let tables = &self.tables;
        let kinds: [(_, SubjectOf); 3] = [
            (&tables.posts, post_of),
            (&tables.users, user_of),
            (&tables.cats, cat_of),
        ];
        for (table, of) in kinds {
            let mut pages = self.client.scan().table_name(table).into_paginator().send();
            let mut read = 0;
            while let Some(page) = pages.next().await {
                let rows = page?.items.unwrap_or_default();
                subjects.extend(rows.iter().filter_map(of));
                read += rows.len();
                progress(table, read);
            }
        }
        Ok(subjects)
    }

    /// The counters of a user or post, with what there is; none if there is no such user or post. It is counted until
    /// it is the same twice, at most five times.
    ///
    /// A user's followers and posts are counted by what decides, which no index finds: the tables of follows and posts
    /// are read as a whole.
    pub async fn recount(&self, of: &Counted) -> Result<Vec<Recount>, Error> {
        let mut last = None;
        for _ in 0..LOOKS {
            let there = self.there(of).await?;
            let Some(says) = self.say(of).await? else {
                return Ok(Vec::new());
            };
            let counters = counters_of(of).iter().zip(says).zip(there);
            let recount = |((counter, says), there): ((&&'static str, i64), i64)| Recount {
                of: of.clone(),
                counter,
                says,
                there,
            };
            let recounts: Vec<Recount> = counters.map(recount).collect();
            if last.as_ref() == Some(&recounts) {
                return Ok(recounts);
            }
            last = Some(recounts);
        }
        Err(Error::Unavailable(format!(
            "the counters of {of} keep moving"
        )))
    }

    /// Lets a counter say what there is. Whether it still said what it said when it was counted; if not, nothing
    /// changes.
    pub async fn correct(&self, recount: &Recount) -> Result<bool, Error> {
        let (table, key) = self.counters_row(&recount.of);
        let as_counted = match (&recount.of, recount.says) {
            // The row may have gone with whose it is.
            (Counted::User(_), 0) => {
                "attribute_exists(id) AND (attribute_not_exists(#counter) OR #counter = :says)"
            }
            (Counted::Post(_), 0) => "attribute_not_exists(#counter) OR #counter = :says",
            _ => "#counter = :says",
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
        condition_held(update.send().await.map(|_| ()))
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
    async fn say(&self, of: &Counted) -> Result<Option<Vec<i64>>, Error> {
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
        let say = |name: &&str| Ok(row.maybe_number(name)?.unwrap_or_default());
        let counters = counters_of(of).iter().map(say);
        counters.collect::<Result<_, _>>().map(Some)
    }

    /// What there is to be counted, counter by counter.
    async fn there(&self, of: &Counted) -> Result<Vec<i64>, Error> {
        match of {
            Counted::User(user) => {
                let following = format!("following#{user}");
                let (followers, following, posts) = futures::try_join!(
                    self.count_in_all(
                        &self.tables.follows,
                        "begins_with(#key, :of) AND #by = :user AND active = :yes",
                        [("#key", "list"), ("#by", "user")],
                        [
                            (":of", s("following#")),
                            (":user", s(user)),
                            (":yes", AttributeValue::Bool(true)),
                        ],
                    ),
                    self.count(&self.tables.follows, "list", following, true),
                    self.count_in_all(
                        &self.tables.posts,
                        "#by = :user AND attribute_not_exists(#gone)",
                        [("#by", "author"), ("#gone", "deleted_at")],
                        [(":user", s(user))],
                    ),
                )?;
                Ok(vec![followers, following, posts])
            }
            Counted::Post(post) => {
                let likes = likes::partitions(*post)
                    .map(|partition| self.count(&self.tables.likes, "post", partition, true));
                let (likes, comments) = futures::try_join!(
                    try_join_all(likes),
                    self.count(&self.tables.comments, "post", post.to_string(), false),
                )?;
                Ok(vec![likes.into_iter().sum(), comments])
            }
        }
    }

    /// How many rows a partition has, or how many edges that are active.
    async fn count(
        &self,
        table: &str,
        key: &str,
        partition: String,
        edges: bool,
    ) -> Result<i64, Error> {
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
            sum += i64::from(page?.count);
        }
        Ok(sum)
    }

    /// How many rows of a whole table this is true of.
    async fn count_in_all<const N: usize, const V: usize>(
        &self,
        table: &str,
        filter: &str,
        names: [(&str, &str); N],
        values: [(&str, AttributeValue); V],
    ) -> Result<i64, Error> {
        let names = names.map(|(name, stands_for)| (name.to_owned(), stands_for.to_owned()));
        let values = values.map(|(name, value)| (name.to_owned(), value));
        let scan = self
            .client
            .scan()
            .table_name(table)
            .filter_expression(filter)
            .set_expression_attribute_names(Some(names.into()))
            .set_expression_attribute_values(Some(values.into()))
            .consistent_read(true)
            .select(Select::Count);
        let mut pages = scan.into_paginator().send();
        let mut sum = 0;
        while let Some(page) = pages.next().await {
            sum += i64::from(page?.count);
        }
        Ok(sum)
    }
}

/// What search may have to know of a row.
type SubjectOf = fn(&Item) -> Option<Subject>;

fn post_of(row: &Item) -> Option<Subject> {
    let id = PostId::parse(row.text("id").ok()?).ok()?;
    (!is_deleted(row)).then_some(Subject::Post(id))
}

/// Those who left have a row of another kind.
fn user_of(row: &Item) -> Option<Subject> {
    UserId::parse(row.text("id").ok()?).ok().map(Subject::User)
}

/// Of its own row, not of the one in its owner's list.
fn cat_of(row: &Item) -> Option<Subject> {
    let id = CatId::parse(row.text("cat").ok()?).ok()?;
    let own = row.text("list").ok()?.starts_with("cat#");
    own.then_some(Subject::Cat(id))
}

/// What a row goes by.
fn key_of(row: &Item) -> String {
    let parts = ["list", "post", "cat", "user", "other", "handle", "id"].into_iter();
    let parts: Vec<&str> = parts.filter_map(|name| row.text(name).ok()).collect();
    parts.join(" ")
}
