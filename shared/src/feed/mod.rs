//! Reading a feed, in four steps:
//!
//! 1. the skeleton (`skeleton`): the ids of a page's posts, from the cache if it has the feed, rebuilt if the feed is
//!    gone, from the store if the cache can't be used;
//! 2. hydration (`hydration`): everything known about them, from the cache, and what the cache lacks from the store;
//! 3. visibility ([`Visibility`](crate::domain::Visibility)): the posts that the viewer may see;
//! 4. presentation (`rendering`): the answer, from JSON that is written once for each version of a post.
//!
//! The answer is the same whichever way it was read. A position in a feed is a post's id, so it means the same in the
//! cache and in the store, and in a feed that was rebuilt between two pages.

mod hydration;
mod rendering;
mod skeleton;

use std::sync::atomic::{AtomicI64, Ordering};

use hydration::PostAuthors;
use rendering::Renderer;
use skeleton::Skeleton;

use crate::cache::{self, Cache};
use crate::domain::{ImageHost, PostId, RenderedPost, Segment, Timestamp, UserId};
use crate::full_page::full_page;
use crate::store::{self, Store};

/// The time for which the cache is not used after it did not answer.
const CACHE_PAUSE_MILLIS: i64 = 1000;

/// The reader of feeds.
#[derive(Debug)]
pub struct Feeds {
    store: Store,
    cache: Cache,
    renderer: Renderer,
    post_authors: PostAuthors,
    /// The time until which the cache is not used, in milliseconds since 1970.
    paused_until: AtomicI64,
}

impl Feeds {
    /// Creates a reader of feeds in this cache and this store.
    pub fn new(store: Store, cache: Cache, images: ImageHost) -> Self {
        Self {
            store,
            cache,
            renderer: Renderer::new(images),
            post_authors: PostAuthors::new(),
            paused_until: AtomicI64::new(0),
        }
    }

    /// Reads a page of the viewer's feed: the newest `size` posts older than a position. If posts are hidden, reads on
    /// until the page is full (see [`full_page`]).
    pub async fn page(
        &self,
        viewer: &UserId,
        after: Option<PostId>,
        size: usize,
    ) -> Result<Segment<RenderedPost, PostId>, store::Error> {
        let (skeleton, prefetched) = Skeleton::open(self, viewer, after, size).await?;
        let (skeleton, prefetched) = (&skeleton, &prefetched);
        full_page(size, after, |position, most| async move {
            let ids = skeleton.older_than(position, most).await?;
            let hydrated = self.hydrate(viewer, &ids, skeleton.followed(), prefetched);
            let (known, visibility) = hydrated.await?;
            let visible = visibility.visible_posts(&ids, &known.posts);
            let posts = self.renderer.present(visible, &known);
            Ok(Segment::new(posts, ids.last().copied(), |post| post.id))
        })
        .await
    }

    fn cache_is_paused(&self) -> bool {
        Timestamp::now().millis() < self.paused_until.load(Ordering::Relaxed)
    }

    /// Stops using the cache for a while: waiting for it again and again would cost more than it saves.
    fn pause_cache(&self, error: &cache::Error) {
        tracing::warn!(%error, "reading feeds without the cache");
        self.paused_until.store(
            Timestamp::now().plus_millis(CACHE_PAUSE_MILLIS).millis(),
            Ordering::Relaxed,
        );
    }
}
