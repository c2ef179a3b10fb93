//! Comments.
//!
//! A comment is written in one transaction with its post's count and on condition that the post exists; it is deleted
//! in one transaction with the count, too. So a post's count equals its comments at any moment.

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem};

use super::counters::Tally;
use super::create::Created;
use super::idempotency::{Answer, IdempotentRequest};
use super::item::{Item, Read, item, rows, s};
use super::leaving::ROWS_PER_STEP;
use super::likes::counter;
use super::{Error, Store};
use crate::domain::{Comment, CommentId, CommentText, PostId, Timestamp, UserId};

fn key(post: PostId, id: CommentId) -> Item {
    item([("post", s(post)), ("id", s(id))])
}

fn comment(row: &Item) -> Result<Comment, Error> {
    Ok(Comment {
        id: CommentId::parse(row.text("id")?).map_err(Error::broken)?,
        post: PostId::parse(row.text("post")?).map_err(Error::broken)?,
        author: UserId::parse(row.text("author")?).map_err(Error::broken)?,
        text: CommentText::stored(row.text("text")?),
    })
}

impl Store {
    /// Stores a new comment, and remembers the answer to its idempotency key. Returns [`Created::Outdated`] if the post
    /// doesn't exist, or no longer.
    pub async fn create_comment(
        &self,
        new: &Comment,
        request: Option<(&IdempotentRequest, &Answer)>,
    ) -> Result<Created, Error> {
        let mut row = key(new.post, new.id);
        row.extend(item([
            ("author", s(&new.author)),
            ("text", s(new.text.as_str())),
        ]));
        let put = Put::builder()
            .table_name(&self.tables.comments)
            .set_item(Some(row))
            .condition_expression("attribute_not_exists(id)")
            .build()
            .map_err(Error::broken)?;
        let post_is_there = ConditionCheck::builder()
            .table_name(&self.tables.posts)
            .key("id", s(new.post))
            .condition_expression("attribute_exists(id) AND attribute_not_exists(deleted_at)")
            .build()
            .map_err(Error::broken)?;
        let writes = [
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder()
                .condition_check(post_is_there)
                .build(),
        ];
        let counted = self.count_comments(new.post, 1)?;
        let is_ours = async {
            let stored = self.comment(new.post, new.id).await?;
            Ok(stored.is_some_and(|stored| stored == *new))
        };
        self.create(
            writes.into_iter().chain(counted).collect(),
            0..0,
            request,
            is_ours,
        )
        .await
    }

    /// Deletes a comment. Returns whether it existed.
    pub async fn delete_comment(&self, post: PostId, id: CommentId) -> Result<bool, Error> {
        let delete = Delete::builder()
            .table_name(&self.tables.comments)
            .set_key(Some(key(post, id)))
            .condition_expression("attribute_exists(id)")
            .build()
            .map_err(Error::broken)?;
        let delete = TransactWriteItem::builder().delete(delete).build();
        let counted = self.count_comments(post, -1)?;
        let writes: Vec<TransactWriteItem> = [delete].into_iter().chain(counted).collect();
        self.write_if(writes).await
    }

    fn count_comments(&self, post: PostId, sum: i64) -> Result<Option<TransactWriteItem>, Error> {
        let counter = counter(&self.tables, post, "comments");
        Tally::of(counter, sum, Timestamp::now()).write()
    }

    /// Returns a comment, if it exists.
    pub async fn comment(&self, post: PostId, id: CommentId) -> Result<Option<Comment>, Error> {
        let keys = vec![key(post, id)];
        let rows = self.batch_get(&self.tables.comments, keys, None).await?;
        rows.first().map(comment).transpose()
    }

    /// Returns a post's comments that are older than a position, newest first, at most `most`, and fewer only at the
    /// list's end. The cost depends on the number returned, however many there are.
    pub async fn comments(
        &self,
        post: PostId,
        before: Option<CommentId>,
        most: usize,
    ) -> Result<Vec<Comment>, Error> {
        let from = before.map(|before| key(post, before));
        let query = self
            .client
            .query()
            .table_name(&self.tables.comments)
            .key_condition_expression("post = :post")
            .expression_attribute_values(":post", s(post))
            .scan_index_forward(false)
            .consistent_read(true)
            .set_exclusive_start_key(from);
        let rows = rows(query, most).await?;
        rows.iter().map(comment).collect()
    }

    /// Returns some of an author's comments after a position: each with its post. Each pair is a position, too.
    pub async fn comments_by(
        &self,
        author: &UserId,
        after: Option<&(PostId, CommentId)>,
    ) -> Result<Vec<(PostId, CommentId)>, Error> {
        let start = after.map(|&(post, id)| {
            let mut start = key(post, id);
            start.insert("author".to_owned(), s(author));
            start
        });
        let output = self
            .client
            .query()
            .table_name(&self.tables.comments)
            .index_name("author")
            .key_condition_expression("author = :author")
            .expression_attribute_values(":author", s(author))
            .set_exclusive_start_key(start)
            .limit(ROWS_PER_STEP)
            .send()
            .await?;
        let place = |row: &Item| {
            let post = PostId::parse(row.text("post")?).map_err(Error::broken)?;
            let id = CommentId::parse(row.text("id")?).map_err(Error::broken)?;
            Ok((post, id))
        };
        output.items().iter().map(place).collect()
    }
}
