//! The subjects that search may have to know.

use crate::domain::{CatId, PostId, Subject, UserId};
use crate::store::item::{Item, Read};
use crate::store::post_row::is_deleted;
use crate::store::{Error, Store};

/// A function that returns the subject of a row, if search may have to know it.
type SubjectOf = fn(&Item) -> Option<Subject>;

impl Store {
    /// Returns all subjects that search may have to know, to be indexed again. Reports its progress, in rows read of
    /// each table, now and then. Memory holds an id for each.
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
}

fn post_of(row: &Item) -> Option<Subject> {
    let id = PostId::parse(row.text("id").ok()?).ok()?;
    (!is_deleted(row)).then_some(Subject::Post(id))
}

/// Returns the user of a row; users who left have a row of another kind.
fn user_of(row: &Item) -> Option<Subject> {
    UserId::parse(row.text("id").ok()?).ok().map(Subject::User)
}

/// Returns the cat of its own row, not of the one in its owner's list.
fn cat_of(row: &Item) -> Option<Subject> {
    let id = CatId::parse(row.text("cat").ok()?).ok()?;
    let own = row.text("list").ok()?.starts_with("cat#");
    own.then_some(Subject::Cat(id))
}
