//! Erases the comments and likes of deleted posts, and the posts of departed authors, part by part.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use futures::future::try_join_all;
use futures::try_join;

use super::item::{Item, Read, item, s};
use super::likes::{self, counts_key};
use super::post_row::{Revised, is_deleted, revised};
use super::posts::{Removed, post_keys};
use super::retry::Retry;
use super::transactions::TRANSACTION;
use super::{Error, Store};
use crate::domain::{PostId, Segment, Timestamp, UserId};

impl Store {
    /// Erases some of a deleted post's comments and likes, and at last their counts. Returns false if there may be more.
    pub async fn erase_replies(&self, post: PostId) -> Result<bool, Error> {
        let tables = &self.tables;
        let counts = self.batch_get(&tables.likes, vec![counts_key(post)], None);
        // Without counts there are no comments or likes: all were counted.
        let Some(counts) = counts.await?.pop() else {
            return Ok(true);
        };
        let comments = self.erase_part(&tables.comments, post.to_string(), "id");
        let likes = likes::partitions(post)
            .map(|partition| self.erase_part(&tables.likes, partition, "user"));
        let (comments, likes) = try_join!(comments, try_join_all(likes))?;
        let whole = comments && likes.into_iter().all(|empty| empty);
        // A row that is written meanwhile changes the counts, so they are deleted last, on condition that they have not
        // changed.
        Ok(whole && self.erase_counts(post, &counts).await?)
    }

    /// Erases a post's counts, unless they have changed.
    async fn erase_counts(&self, post: PostId, known: &Item) -> Result<bool, Error> {
        let mut delete = self
            .client
            .delete_item()
            .table_name(&self.tables.likes)
            .set_key(Some(counts_key(post)));
        let mut conditions = Vec::new();
        for name in ["likes", "comments"] {
            match known.get(name) {
                Some(value) => {
                    conditions.push(format!("{name} = :{name}"));
                    delete = delete.expression_attribute_values(format!(":{name}"), value.clone());
                }
                None => conditions.push(format!("attribute_not_exists({name})")),
            }
        }
        let sent = delete
            .condition_expression(conditions.join(" AND "))
            .send()
            .await;
        let changed = |error: &DeleteItemError| error.is_conditional_check_failed_exception();
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(changed) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Erases some rows of one of a post's partitions. Returns whether there were none.
    async fn erase_part(&self, table: &str, partition: String, sort: &str) -> Result<bool, Error> {
        let rows = self
            .partition_rows(table, ("post", partition), None)
            .await?;
        let key = |row: &Item| {
            let (post, sorted) = (row.text("post")?, row.text(sort)?);
            Ok(item([("post", s(post)), (sort, s(sorted))]))
        };
        let keys = rows.iter().map(key).collect::<Result<Vec<_>, Error>>()?;
        let empty = keys.is_empty();
        self.delete_all(table, keys).await?;
        Ok(empty)
    }

    /// Deletes posts of a departed author after a position, at most `most`. Returns them,
    /// each to be handed over.
    pub async fn erase_posts(
        &self,
        author: &UserId,
        after: Option<PostId>,
        most: usize,
        due: Timestamp,
    ) -> Result<Segment<Removed, PostId>, Error> {
        let ids = self.posts_by(author, after, most).await?;
        let mut retry = Retry::new("the author's other writes kept coming first");
        loop {
            let rows = self
                .batch_get(&self.tables.posts, post_keys(&ids), None)
                .await?;
            let mut removed = Vec::new();
            let mut transactions = vec![(Vec::new(), 0)];
            for row in rows.iter().filter(|row| !is_deleted(row)) {
                let Revised { post, rev } = revised(row)?;
                let id = post.id;
                let writes = self.deletion(&post, rev, due)?;
                // The transaction also has the write of the count.
                if let Some((last, _)) = transactions.last()
                    && last.len() + writes.len() >= TRANSACTION
                {
                    transactions.push((Vec::new(), 0));
                }
                if let Some((last, count)) = transactions.last_mut() {
                    last.extend(writes);
                    *count += 1;
                }
                let rev = rev.saturating_add(1);
                let removal = Removed {
                    rev,
                    before: false,
                    // All of the author's uploads are erased.
                    dropped: Vec::new(),
                };
                removed.push((removal, id));
            }
            let mut done = true;
            for (mut writes, count) in transactions {
                writes.extend(self.count_posts(author, -count)?);
                done &= writes.is_empty() || self.write_transaction(writes).await?;
            }
            if done {
                return Ok(Segment {
                    items: removed,
                    end: ids.last().copied().filter(|_| ids.len() == most),
                });
            }
            retry.back_off().await?;
        }
    }
}
