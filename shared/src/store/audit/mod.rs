//! An audit of the store's invariants, for operators: it scans whole tables.
//!
//! Memory holds an entry of some hundred bytes for each user, post and place in a list, and for each follow, block, cat and
//! handle of which only one of two rows was seen so far. Saves, idempotency keys and trends have no invariants to check.

mod difference;
mod recount;
mod seen;
mod subjects;

use std::fmt;

use super::item::{Item, Read};
use super::{Error, Store};
use crate::domain::{PostId, Timestamp, UserId};
use seen::Seen;

pub use difference::Difference;
pub use recount::Recount;

/// A thing that has counters.
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

fn counters_of(of: &Counted) -> &'static [&'static str] {
    match of {
        Counted::User(_) => &["followers", "following", "posts"],
        Counted::Post(_) => &["likes", "comments"],
    }
}

impl Store {
    /// Returns all violated invariants. Reports its progress, in rows read of each table, now and then.
    ///
    /// Others write meanwhile, so an apparent violation is checked a second time, and returned only if it is still the same.
    /// Rows that keep changing are left out: check again when there is less traffic.
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
}

/// Returns the key of a row, for an operator to read.
fn key_of(row: &Item) -> String {
    let parts = ["list", "post", "cat", "user", "other", "handle", "id"].into_iter();
    let parts: Vec<&str> = parts.filter_map(|name| row.text(name).ok()).collect();
    parts.join(" ")
}
