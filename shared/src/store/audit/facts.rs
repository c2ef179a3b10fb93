//! The facts that a walk over whole tables has seen, and the differences between them.

use std::collections::{HashMap, HashSet};

use super::difference::Pair;
use super::{CounterOwner, Difference, Recount, counters_of};
use crate::domain::{CatId, Follow, Handle, PostId, Timestamp, UserId};
use crate::store::block_row::{BLOCKED, SINCE};
use crate::store::item::{Item, Read};
use crate::store::post_lists::partitions;
use crate::store::post_row::{is_deleted, revised};
use crate::store::{Error, invalidations};

/// The number of seconds for which a fan-out may be overdue: `sweep` runs every minute.
const MAX_OVERDUE_SECONDS: i64 = 10 * 60;
/// The number of times that a fan-out may be sent again: six take about an hour, since each wait is twice the last.
const MAX_RESENDS: i64 = 6;
/// The value of a counter, if it was seen, and the true number.
type Count = (Option<i64>, i64);

/// The facts in whole tables, each row of which is read once.
#[derive(Debug, Default)]
pub(super) struct TableFacts {
    counters: HashMap<(CounterOwner, &'static str), Count>,
    /// Pairs of rows of which only one was seen.
    halves: HashSet<Pair>,
    /// Users who left and are being erased.
    leaving: HashSet<UserId>,
    /// Posts that exist, and those that can't be read.
    posts: HashSet<PostId>,
    unread: HashSet<PostId>,
    /// Places of posts in lists: 1 where only the post implies it, -1 where only the list has it.
    places: HashMap<(PostId, String), i64>,
    overdue: HashSet<PostId>,
    pub(super) unreadable: HashSet<(String, String, String)>,
}

impl TableFacts {
    fn record_half(&mut self, pair: Pair) {
        if !self.halves.remove(&pair) {
            self.halves.insert(pair);
        }
    }

    fn count_row(&mut self, of: CounterOwner, name: &'static str) {
        let (_, actual) = self.counters.entry((of, name)).or_default();
        *actual += 1;
    }

    fn record_counters(&mut self, of: &CounterOwner, row: &Item) -> Result<(), Error> {
        for name in counters_of(of) {
            let number = row.maybe_number(name)?.unwrap_or_default();
            let (recorded, _) = self.counters.entry((of.clone(), name)).or_default();
            *recorded = Some(number);
        }
        Ok(())
    }

    pub(super) fn user(&mut self, row: &Item) -> Result<(), Error> {
        // Users who left have a row of another kind.
        let Ok(user) = UserId::parse(row.text("id")?) else {
            return Ok(());
        };
        if row.contains_key("withdrawn_at") {
            self.leaving.insert(user.clone());
        }
        if let Some(handle) = row.maybe_text("handle") {
            let handle = Handle::parse(handle).map_err(Error::broken)?;
            self.record_half(Pair::Handle(handle, user.clone()));
        }
        self.record_counters(&CounterOwner::User(user), row)
    }

    pub(super) fn handle(&mut self, row: &Item) -> Result<(), Error> {
        let handle = Handle::parse(row.text("handle")?).map_err(Error::broken)?;
        // A handle that was given up is held for its last owner.
        if !row.contains_key("expires_at") {
            let owner = UserId::parse(row.text("user")?).map_err(Error::broken)?;
            self.record_half(Pair::Handle(handle, owner));
        }
        Ok(())
    }

    pub(super) fn cat(&mut self, row: &Item) -> Result<(), Error> {
        let cat = CatId::parse(row.text("cat")?).map_err(Error::broken)?;
        let owner = match row.text("list")?.split_once('#') {
            Some(("owner", owner)) => owner,
            Some(_) => row.text("owner")?,
            // The list of deleted cats.
            None => return Ok(()),
        };
        let owner = UserId::parse(owner).map_err(Error::broken)?;
        self.record_half(Pair::Cat(cat, owner));
        Ok(())
    }

    pub(super) fn block(&mut self, row: &Item) -> Result<(), Error> {
        let (user, other) = (row.text("user")?, row.text("other")?);
        let kept = [(user, other), (other, user)];
        if let Some((left, blocker)) = kept.into_iter().find(|(name, _)| name.contains('#')) {
            let blocker = UserId::parse(blocker).map_err(Error::broken)?;
            self.record_half(Pair::KeptBlock(blocker, left.to_owned()));
            return Ok(());
        }
        let user = UserId::parse(user).map_err(Error::broken)?;
        let other = UserId::parse(other).map_err(Error::broken)?;
        if row.contains_key(SINCE) {
            self.record_half(Pair::Block(user.clone(), other.clone()));
        }
        if row.contains_key(BLOCKED) {
            self.record_half(Pair::Block(other, user));
        }
        Ok(())
    }

    pub(super) fn post(&mut self, row: &Item, now: Timestamp) -> Result<(), Error> {
        let post = PostId::parse(row.text("id")?).map_err(Error::broken)?;
        self.unread.insert(post);
        let due = row.maybe_number("due_at")?;
        let since = now.plus_seconds(-MAX_OVERDUE_SECONDS).millis();
        let sent_again = row.maybe_number("sent_again")?.unwrap_or_default();
        if due.is_some_and(|due| due < since || sent_again >= MAX_RESENDS) {
            self.overdue.insert(post);
        }
        if !is_deleted(row) {
            let revised = revised(row)?;
            for list in partitions(&revised.post) {
                *self.places.entry((post, list)).or_default() += 1;
            }
            self.count_row(CounterOwner::User(revised.post.author), "posts");
            self.posts.insert(post);
        }
        self.unread.remove(&post);
        Ok(())
    }

    pub(super) fn place(&mut self, row: &Item) -> Result<(), Error> {
        let list = row.text("list")?;
        // Neither of these is a list of posts.
        if !["recent#", invalidations::PREFIX]
            .iter()
            .any(|kind| list.starts_with(kind))
        {
            let post = PostId::parse(row.text("post")?).map_err(Error::broken)?;
            *self.places.entry((post, list.to_owned())).or_default() -= 1;
        }
        Ok(())
    }

    pub(super) fn follow(&mut self, row: &Item) -> Result<(), Error> {
        // The two tombstones of an undone follow expire separately.
        if !row.flag("active") {
            return Ok(());
        }
        let list = row.text("list")?;
        let other = UserId::parse(row.text("user")?).map_err(Error::broken)?;
        let mut parts = list.split('#');
        let (kind, of) = (parts.next(), parts.next().unwrap_or_default());
        let of = UserId::parse(of).map_err(Error::broken)?;
        let follow = if kind == Some("following") {
            // This row decides, also about the counters.
            self.count_row(CounterOwner::User(of.clone()), "following");
            self.count_row(CounterOwner::User(other.clone()), "followers");
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
        self.record_half(Pair::Follow(follow));
        Ok(())
    }

    pub(super) fn like(&mut self, row: &Item) -> Result<(), Error> {
        let partition = row.text("post")?;
        let post = partition.split('#').next().unwrap_or_default();
        let of = CounterOwner::Post(PostId::parse(post).map_err(Error::broken)?);
        if post == partition {
            self.record_counters(&of, row)?;
        } else if row.flag("active") {
            self.count_row(of, "likes");
        }
        Ok(())
    }

    pub(super) fn comment(&mut self, row: &Item) -> Result<(), Error> {
        let post = PostId::parse(row.text("post")?).map_err(Error::broken)?;
        self.count_row(CounterOwner::Post(post), "comments");
        Ok(())
    }

    /// Returns the violated invariants.
    pub(super) fn differences(self) -> HashSet<Difference> {
        let mut found = HashSet::new();
        for ((of, counter), (recorded, actual)) in self.counters {
            // Departed users' data and deleted posts' comments and likes are erased piece by piece.
            let recorded = match &of {
                CounterOwner::User(_) => recorded,
                CounterOwner::Post(post) => self
                    .posts
                    .contains(post)
                    .then(|| recorded.unwrap_or_default()),
            };
            if let Some(recorded) = recorded.filter(|recorded| *recorded != actual) {
                found.insert(Difference::Counter(Recount {
                    of,
                    counter,
                    recorded,
                    actual,
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
                // The lists in which it belongs are unknown.
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
