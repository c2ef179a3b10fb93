//! Changes of the store that the cache was not told of, because it was out of reach.
//!
//! A consumer that applies a queued change tells the cache of it afterwards. Where that fails, the message would come again a few
//! times, rest in the dead-letter queue, and the cache would show for a day what it knew before. So what is to be
//! forgotten is noted here instead, and the message is done; `sweep` sees to the notes as soon as the cache answers.
//!
//! A note is of a whole batch, and never changes: notes of an hour are as many as batches that failed. They expire
//! when nothing that the cache had before can still be there.

use std::collections::HashSet;

use super::item::{Item, Read, item, list, n, rows, s};
use super::{Error, Store};
use crate::domain::{Like, PostId, Timestamp, UserId};
use crate::planted::planted;

/// Longer than anything stays in the cache, which is a day.
const KEPT_SECONDS: i64 = 2 * 24 * 60 * 60;
/// The most changes in one note: a row takes 400 KB.
const CHANGES: usize = 1000;
/// Notes that are read at a time.
const NOTES: usize = 50;

/// A part of the cache that is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untold {
    /// The feeds and follows of these users.
    Feeds(HashSet<UserId>),
    /// These likes, and the counts of their posts.
    Likes(HashSet<Like>),
}

impl Untold {
    fn list(&self) -> &'static str {
        match self {
            Self::Feeds(_) => FEEDS,
            Self::Likes(_) => LIKES,
        }
    }
}

const FEEDS: &str = "untold#feeds";
const LIKES: &str = "untold#likes";

/// A note of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    id: String,
    /// The changes.
    pub untold: Untold,
}

fn note(row: &Item) -> Result<Note, Error> {
    let users = row.texts("users")?.into_iter();
    let users = users.map(|user| UserId::parse(user).map_err(Error::broken));
    let untold = if row.text("list")? == FEEDS {
        Untold::Feeds(users.collect::<Result<_, _>>()?)
    } else {
        let posts = row.texts("posts")?.into_iter();
        let posts = posts.map(|post| PostId::parse(post).map_err(Error::broken));
        let like = |(user, post): (Result<_, Error>, Result<_, Error>)| {
            Ok::<_, Error>(Like {
                user: user?,
                post: post?,
            })
        };
        Untold::Likes(users.zip(posts).map(like).collect::<Result<_, _>>()?)
    };
    Ok(Note {
        id: row.text("post")?.to_owned(),
        untold,
    })
}

impl Store {
    /// Notes feeds that the cache is to forget, once it can be told.
    pub async fn note_feeds(&self, of: &HashSet<UserId>) -> Result<(), Error> {
        let users: Vec<&UserId> = of.iter().collect();
        for users in users.chunks(CHANGES) {
            self.note(FEEDS, item([("users", list(users))])).await?;
        }
        Ok(())
    }

    /// Notes likes that the cache is to forget, once it can be told.
    pub async fn note_likes(&self, likes: &HashSet<Like>) -> Result<(), Error> {
        let likes: Vec<&Like> = likes.iter().collect();
        for likes in likes.chunks(CHANGES) {
            let users = list(likes.iter().map(|like| &like.user));
            let posts = list(likes.iter().map(|like| like.post));
            self.note(LIKES, item([("users", users), ("posts", posts)]))
                .await?;
        }
        Ok(())
    }

    async fn note(&self, list: &str, says: Item) -> Result<(), Error> {
        if planted("unnoted") {
            return Ok(());
        }
        let now = Timestamp::now();
        let id = format!("{:013}#{:016x}", now.millis(), rand::random::<u64>());
        let mut row = item([
            ("list", s(list)),
            ("post", s(id)),
            ("expires_at", n(now.plus_seconds(KEPT_SECONDS).seconds())),
        ]);
        row.extend(says);
        let put = self.client.put_item().table_name(&self.tables.post_lists);
        put.set_item(Some(row)).send().await?;
        Ok(())
    }

    /// The oldest notes of each kind, not all at once.
    pub async fn untold(&self) -> Result<Vec<Note>, Error> {
        let of = |list| {
            let query = self
                .client
                .query()
                .table_name(&self.tables.post_lists)
                .key_condition_expression("#list = :list")
                .expression_attribute_names("#list", "list")
                .expression_attribute_values(":list", s(list))
                .consistent_read(true);
            rows(query, NOTES)
        };
        let (feeds, likes) = futures::try_join!(of(FEEDS), of(LIKES))?;
        feeds.iter().chain(&likes).map(note).collect()
    }

    /// Takes a note away, once the cache was told.
    pub async fn told(&self, note: &Note) -> Result<(), Error> {
        let delete = self.client.delete_item();
        delete
            .table_name(&self.tables.post_lists)
            .key("list", s(note.untold.list()))
            .key("post", s(&note.id))
            .send()
            .await?;
        Ok(())
    }
}
