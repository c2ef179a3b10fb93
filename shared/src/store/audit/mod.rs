//! An audit of the store's invariants, for operators: it scans whole tables.
//!
//! Memory holds an entry of some hundred bytes for each user, post and place in a list, and for each follow, block, cat and
//! handle of which only one of two rows was seen so far. Saves, idempotency keys and trends have no invariants to check.

mod difference;
mod facts;
mod recount;
mod subjects;

use std::fmt;

use super::item::{Item, Read};
use super::{Error, Store};
use crate::domain::{PostId, Timestamp, UserId};
use facts::TableFacts;

pub use difference::Difference;
pub use recount::Recount;

/// A thing that has counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CounterOwner {
    /// A user: `followers`, `following`, `posts`.
    User(UserId),
    /// A post: `likes`, `comments`.
    Post(PostId),
}

impl fmt::Display for CounterOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Post(post) => write!(f, "post {post}"),
        }
    }
}

fn counters_of(of: &CounterOwner) -> &'static [&'static str] {
    match of {
        CounterOwner::User(_) => &["followers", "following", "posts"],
        CounterOwner::Post(_) => &["likes", "comments"],
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
        let mut found = self.scan_tables(now, &mut progress).await?.differences();
        if !found.is_empty() {
            let again = self.scan_tables(now, &mut progress).await?.differences();
            found.retain(|difference| again.contains(difference));
        }
        Ok(found.into_iter().collect())
    }

    async fn scan_tables(
        &self,
        now: Timestamp,
        progress: &mut impl FnMut(&str, usize),
    ) -> Result<TableFacts, Error> {
        let mut facts = TableFacts::default();
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
                    let recorded = match table {
                        table if *table == tables.users => facts.user(row),
                        table if *table == tables.posts => facts.post(row, now),
                        table if *table == tables.post_lists => facts.place(row),
                        table if *table == tables.follows => facts.follow(row),
                        table if *table == tables.blocks => facts.block(row),
                        table if *table == tables.cats => facts.cat(row),
                        table if *table == tables.handles => facts.handle(row),
                        table if *table == tables.likes => facts.like(row),
                        _ => facts.comment(row),
                    };
                    if let Err(error) = recorded {
                        let row = (table.clone(), key_of(row), error.to_string());
                        facts.unreadable.insert(row);
                    }
                }
                read += rows.len();
                progress(table, read);
            }
        }
        Ok(facts)
    }
}

/// Returns the key of a row, for an operator to read.
fn key_of(row: &Item) -> String {
    let parts = ["list", "post", "cat", "user", "other", "handle", "id"].into_iter();
    let parts: Vec<&str> = parts.filter_map(|name| row.text(name).ok()).collect();
    parts.join(" ")
}
