//! The cached part of a feed: read, and rebuilt if need be.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::authors::{Authors, newest_by};
use super::visible::Ahead;
use super::{Feeds, SPARE};
use crate::cache::{self, Feed, Lease, MOST_MERGED, PostsAndMerged, Rebuild};
use crate::domain::{PostId, PostWindow, UserId};
use crate::planted::planted;
use crate::{metrics, store};

/// How many authors' lists are rebuilt at a time.
const LISTS_AT_ONCE: usize = 32;
/// How often a rebuild is tried that a change of the user's follows undid.
const REBUILD_TRIES: u32 = 3;
/// How long, and how often, to look whether somebody else's rebuild is done.
const REBUILD_WAITS: u32 = 60;
const REBUILD_WAIT: Duration = Duration::from_millis(20);
/// How often it is looked for an author's list that somebody else is making.
const WROTE_WAITS: u32 = 20;

/// What became of asking for an author's list.
enum Wrote {
    /// It is there.
    Here(PostWindow),
    /// It is to be read from the store, and put into the cache by whoever has the lease.
    Gone(Option<Lease>),
}

impl Feeds {
    /// The cached part of the feed, with the lists of those who are merged in, and what is known by then of a
    /// page of it; `None` where the cache can't be used.
    pub(super) async fn window(
        &self,
        caller: &UserId,
        after: Option<PostId>,
        size: usize,
    ) -> Result<(Option<PostWindow>, Ahead), store::Error> {
        if self.cache_is_paused() {
            metrics::feed_miss();
            return Ok((None, Ahead::default()));
        }
        let cached = self.cache.feed(caller).await;
        match cached {
            Ok(Feed::Here(_)) => metrics::feed_hit(),
            Ok(Feed::Gone) | Err(_) => metrics::feed_miss(),
        }
        let feed = match cached {
            Ok(Feed::Here(feed)) => Some(feed),
            Ok(Feed::Gone) => self.rebuild(caller).await?,
            Err(error) => {
                self.without_cache(&error);
                None
            }
        };
        let Some(PostsAndMerged { posts, mut merged }) = feed else {
            return Ok((None, Ahead::default()));
        };
        if planted("wrote-unread") {
            merged.clear();
        }
        if merged.is_empty() {
            return Ok((Some(posts), Ahead::default()));
        }
        if merged.len() > MOST_MERGED {
            return Ok((None, Ahead::default()));
        }
        let page = posts.after(after).iter().copied();
        let page: Vec<PostId> = page.take(size.saturating_add(SPARE)).collect();
        let (known, merged) =
            futures::try_join!(self.look_ahead(caller, &page), self.wrote_by(merged))?;
        let Some(merged) = merged else {
            return Ok((None, Ahead::default()));
        };
        let lists = merged.iter().map(|(_, posts)| posts.clone());
        let window = PostWindow::merged(lists.chain([posts]));
        Ok((Some(window), Ahead { known, merged }))
    }

    /// What these authors wrote of late; nothing where the cache can't be used.
    async fn wrote_by(
        &self,
        authors: Vec<UserId>,
    ) -> Result<Option<Vec<(UserId, PostWindow)>>, store::Error> {
        let known = match self.cache.wrote(&authors).await {
            Ok(known) => known,
            Err(error) => {
                self.without_cache(&error);
                return Ok(None);
            }
        };
        let gone = authors
            .into_iter()
            .filter(|author| !known.contains_key(author));
        let read = futures::stream::iter(gone.collect::<Vec<_>>())
            .map(|author| async move {
                let posts = self.wrote(&author).await?;
                Ok::<_, store::Error>((author, posts))
            })
            .buffer_unordered(LISTS_AT_ONCE);
        let mut wrote: Vec<(UserId, PostWindow)> = read.try_collect().await?;
        wrote.extend(known);
        Ok(Some(wrote))
    }

    /// What an author wrote of late, whose list is gone: put into its place by one of those who ask for it.
    async fn wrote(&self, author: &UserId) -> Result<PostWindow, store::Error> {
        let lease = match self.begin_or_wait(author).await {
            Ok(Wrote::Here(posts)) => return Ok(posts),
            Ok(Wrote::Gone(lease)) => lease,
            Err(error) => {
                self.without_cache(&error);
                None
            }
        };
        let posts = newest_by(&self.store, author, None, self.cache.feed_length()).await?;
        if let Some(lease) = lease
            && let Err(error) = self.cache.finish_wrote(author, &lease, &posts).await
        {
            self.without_cache(&error);
        }
        Ok(posts)
    }

    async fn begin_or_wait(&self, author: &UserId) -> Result<Wrote, cache::Error> {
        if self.cache_is_paused() {
            return Ok(Wrote::Gone(None));
        }
        if let Rebuild::Ours(lease) = self.cache.begin_wrote(author).await? {
            return Ok(Wrote::Gone(Some(lease)));
        }
        for _ in 0..WROTE_WAITS {
            let mut known = self.cache.wrote(std::slice::from_ref(author)).await?;
            if let Some(posts) = known.remove(author) {
                return Ok(Wrote::Here(posts));
            }
            tokio::time::sleep(REBUILD_WAIT).await;
        }
        Ok(Wrote::Gone(None))
    }

    async fn rebuild(&self, caller: &UserId) -> Result<Option<PostsAndMerged>, store::Error> {
        for _ in 0..REBUILD_TRIES {
            match self.rebuild_once(caller).await? {
                Ok(Some(feed)) => return Ok(Some(feed)),
                Ok(None) => {}
                Err(error) => {
                    self.without_cache(&error);
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// The feed, rebuilt here or by somebody else; nothing if that came to nothing.
    async fn rebuild_once(
        &self,
        caller: &UserId,
    ) -> Result<Result<Option<PostsAndMerged>, cache::Error>, store::Error> {
        let lease = match self.cache.begin_rebuild(caller).await {
            Ok(Rebuild::Ours(lease)) => lease,
            Ok(Rebuild::Done | Rebuild::Others) => return Ok(self.wait_for_rebuild(caller).await),
            Err(error) => return Ok(Err(error)),
        };
        let authors = Authors::of(&self.store, caller).await?;
        let length = self.cache.feed_length();
        let feed = PostsAndMerged {
            posts: authors.newest(&self.store, None, length).await?,
            merged: authors.merged(),
        };
        let too_many = feed.merged.len() > MOST_MERGED;
        let feed = PostsAndMerged {
            // One more is enough to tell.
            merged: feed
                .merged
                .into_iter()
                .take(MOST_MERGED.saturating_add(1))
                .collect(),
            ..feed
        };
        if too_many {
            tracing::info!("a feed merges too many authors to be read from the cache");
        }
        let put = self
            .cache
            .finish_rebuild(caller, &lease, &feed, authors.following())
            .await;
        Ok(put.map(|put| {
            if put {
                metrics::feed_rebuilt();
            } else {
                tracing::info!("a feed changed while it was rebuilt");
            }
            put.then_some(feed)
        }))
    }

    async fn wait_for_rebuild(
        &self,
        caller: &UserId,
    ) -> Result<Option<PostsAndMerged>, cache::Error> {
        for _ in 0..REBUILD_WAITS {
            if let Feed::Here(feed) = self.cache.feed(caller).await? {
                return Ok(Some(feed));
            }
            tokio::time::sleep(REBUILD_WAIT).await;
        }
        Ok(None)
    }
}
