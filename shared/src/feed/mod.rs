//! Reading a feed: from the cache where it is, rebuilt where it is gone, from the store where the
//! cache can't be used. The answer is the same each way.
//!
//! A position in a feed is a post's id, so it means the same in the cache and in the store, and in a
//! feed that was rebuilt between two pages.

mod authors;
mod visible;
mod window;
mod writers;

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::OnceCell;

use authors::Authors;
use visible::Ahead;
use writers::Writers;

use crate::cache::{self, Cache};
use crate::domain::{ImageHost, PostId, PostView, PostWindow, Stretch, Timestamp, UserId};
use crate::full_page::full_page;
use crate::planted::planted;
use crate::store::{self, Store};

/// How many ids more than needed are taken from the window, where they cost little: so many deleted posts
/// on a page don't make it cost another round.
const SPARE: usize = 3;
/// How long the cache is left alone after it did not answer.
const CACHE_PAUSE_MILLIS: i64 = 1000;

/// Reads feeds.
#[derive(Debug)]
pub struct Feeds {
    store: Store,
    cache: Cache,
    images: ImageHost,
    writers: Writers,
    /// Until when the cache is left alone, in milliseconds since the epoch.
    paused_until: AtomicI64,
}

impl Feeds {
    /// From its parts.
    pub fn new(store: Store, cache: Cache, images: ImageHost) -> Self {
        Self {
            store,
            cache,
            images,
            writers: Writers::new(),
            paused_until: AtomicI64::new(0),
        }
    }

    /// A page of the caller's feed: the newest `size` posts older than a position; see [`full_page`].
    pub async fn page(
        &self,
        caller: &UserId,
        after: Option<PostId>,
        size: usize,
    ) -> Result<Stretch<PostView, PostId>, store::Error> {
        let (window, ahead) = self.window(caller, after, size).await?;
        let source = Source {
            feeds: self,
            caller,
            window,
            ahead,
            authors: OnceCell::new(),
        };
        full_page(size, after, |position, most| source.read(position, most)).await
    }

    fn cache_is_paused(&self) -> bool {
        Timestamp::now().millis() < self.paused_until.load(Ordering::Relaxed)
    }

    /// Leaves the cache alone for a while: waiting for it again and again would cost more than it saves.
    fn without_cache(&self, error: &cache::Error) {
        tracing::warn!(%error, "reading feeds without the cache");
        self.paused_until.store(
            Timestamp::now().plus_millis(CACHE_PAUSE_MILLIS).millis(),
            Ordering::Relaxed,
        );
    }
}

/// Where a walk through a feed gets its ids from: the window first, then the authors' own lists.
struct Source<'a> {
    feeds: &'a Feeds,
    caller: &'a UserId,
    window: Option<PostWindow>,
    ahead: Ahead,
    /// Whose lists are read, once they are.
    authors: OnceCell<Authors>,
}

impl Source<'_> {
    async fn read(
        &self,
        position: Option<PostId>,
        most: usize,
    ) -> Result<Stretch<PostView, PostId>, store::Error> {
        let ids = self.older_than(position, most).await?;
        let shown = self.authors.get().map(Authors::ids);
        let visible = self.feeds.visible(self.caller, &ids, shown, &self.ahead);
        Ok(Stretch::new(visible.await?, ids.last().copied(), |view| {
            view.id
        }))
    }

    async fn older_than(
        &self,
        position: Option<PostId>,
        most: usize,
    ) -> Result<Vec<PostId>, store::Error> {
        if let Some(window) = &self.window {
            let ids = window.after(position).iter().copied();
            let ids: Vec<PostId> = ids.take(most.saturating_add(SPARE)).collect();
            if !ids.is_empty() || window.floor().is_none() || planted("floor-ignored") {
                return Ok(ids);
            }
        }
        let Self { feeds, caller, .. } = self;
        let read = || Authors::of(&feeds.store, caller);
        let authors = self.authors.get_or_try_init(read).await?;
        let posts = authors.newest(&feeds.store, position, most).await?;
        Ok(posts.ids().to_vec())
    }
}
