//! Saved posts.

use std::collections::HashSet;

use super::item::{Item, Read, item, n, s};
use super::latest::Latest;
use super::{Error, Readable, Store};
use crate::domain::{PostId, Stamp, TimedPosition, UserId};

impl Store {
    /// Saves a post for the user. A post that was saved before keeps its place.
    pub async fn save(&self, user: &UserId, post: PostId, stamp: Stamp) -> Result<(), Error> {
        self.client
            .update_item()
            .table_name(&self.tables.saves)
            .set_key(Some(item([("user", s(user)), ("post", s(post))])))
            .update_expression("SET #since = if_not_exists(#since, :now)")
            .expression_attribute_names("#since", "since")
            .expression_attribute_values(":now", n(stamp.version().micros()))
            .send()
            .await?;
        Ok(())
    }

    /// Removes a post from those that the user saved.
    pub async fn unsave(&self, user: &UserId, post: PostId) -> Result<(), Error> {
        self.client
            .delete_item()
            .table_name(&self.tables.saves)
            .set_key(Some(item([("user", s(user)), ("post", s(post))])))
            .send()
            .await?;
        Ok(())
    }

    /// Returns the posts, among these, that the user saved, and the posts for which this can't be read.
    pub(super) async fn readable_saves(
        &self,
        user: &UserId,
        posts: &[PostId],
    ) -> Result<Readable<HashSet<PostId>, PostId>, Error> {
        let key = |post: &PostId| item([("user", s(user)), ("post", s(post))]);
        let keys = posts.iter().map(key).collect();
        let batch = self.batch_get_readable(&self.tables.saves, keys).await?;
        let post = |row: &Item| PostId::parse(row.text("post")?).map_err(Error::broken);
        Ok(Readable {
            found: batch.items.iter().map(post).collect::<Result<_, _>>()?,
            unread: batch.unread.iter().map(post).collect::<Result<_, _>>()?,
        })
    }

    /// Returns the posts that the user saved, latest first, starting after a position.
    pub async fn saved(
        &self,
        user: &UserId,
        after: Option<TimedPosition<PostId>>,
        most: usize,
    ) -> Result<Vec<TimedPosition<PostId>>, Error> {
        let list = Latest {
            table: &self.tables.saves,
            list: ("user", user.to_string()),
            entry: "post",
        };
        self.latest(list, after, most).await
    }
}
