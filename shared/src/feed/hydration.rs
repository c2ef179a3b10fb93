//! Hydration: reads everything that is shown with posts, and the facts that decide who may see them, by the posts' ids.
//!
//! Posts, counts, authors and the viewer's state come from the cache in one or two round trips. What the cache lacks
//! comes from the store, in batches, and is put into the cache under a lease; without the cache, all of it comes from
//! the store.

use std::collections::HashSet;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::Feeds;
use crate::cache::{self, Missing};
use crate::domain::{Author, HydratedPosts, Post, PostId, PostWindow, UserId, Visibility};
use crate::store;

/// The number of posts whose authors are remembered: under 2 MB.
const REMEMBERED_POSTS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

impl Feeds {
    /// Hydrates posts of the viewer's feed. `followed` are the authors that the feed shows, if they were read from the
    /// store for this page.
    pub(super) async fn hydrate(
        &self,
        viewer: &UserId,
        ids: &[PostId],
        followed: Option<&HashSet<UserId>>,
        prefetched: &Prefetched,
    ) -> Result<(HydratedPosts, Visibility), store::Error> {
        if !self.cache_is_paused() {
            let by_cache = self.hydrate_by_cache(viewer, ids, followed, prefetched);
            match by_cache.await {
                Ok(hydrated) => return Ok(hydrated),
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Cache(error)) => self.pause_cache(&error),
            }
        }
        self.hydrate_by_store(viewer, ids, followed).await
    }

    async fn hydrate_by_store(
        &self,
        viewer: &UserId,
        ids: &[PostId],
        followed: Option<&HashSet<UserId>>,
    ) -> Result<(HydratedPosts, Visibility), store::Error> {
        let posts = self.store.readable_posts(ids).await?.found;
        let authors: HashSet<UserId> = posts.values().map(|post| post.author.clone()).collect();
        let authors: Vec<UserId> = authors.into_iter().collect();
        let followed = async {
            match followed {
                Some(followed) => Ok(followed.clone()),
                None => self.store.followed(viewer, &authors).await,
            }
        };
        let hydrated = self.store.hydrate_posts(viewer, posts);
        let ((known, visibility), followed) = futures::try_join!(hydrated, followed)?;
        Ok((known, visibility.in_feed(followed)))
    }

    async fn hydrate_by_cache(
        &self,
        viewer: &UserId,
        ids: &[PostId],
        followed: Option<&HashSet<UserId>>,
        prefetched: &Prefetched,
    ) -> Result<(HydratedPosts, Visibility), Failure> {
        let others = ids.iter().filter(|id| !prefetched.contains(**id));
        let others: Vec<PostId> = others.copied().collect();
        // Authors that are known before their posts don't cost another round trip.
        let early = prefetched.authors_of(ids, &others);
        let early: HashSet<UserId> = early.chain(self.post_authors.of(&others)).collect();
        let early: Vec<UserId> = early.into_iter().collect();
        let (known, early_followed) = self.cache.hydrate(viewer, &others, &early).await?;
        self.store.remember_counts(&known.counts);
        let mut known = self.fill_posts(viewer, &others, known).await?;
        self.post_authors
            .remember(known.posts.values().map(Arc::as_ref));
        self.post_authors.forget(&known.gone);
        known.add(prefetched.posts.clone());
        // Cached authors are useless without the viewer's follows, so both are asked for again.
        let mut all_followed = early_followed.unwrap_or_else(|| {
            known.authors.clear();
            HashSet::new()
        });
        // Only authors of existing posts are filled in: no data of an author who withdrew may come back.
        let authors = known.posts.values().map(|post| &post.author);
        let late: HashSet<&UserId> = authors
            .filter(|author| !known.authors.contains_key(*author))
            .collect();
        let late: Vec<UserId> = late.into_iter().cloned().collect();
        all_followed.extend(self.hydrate_authors(viewer, &late, &mut known).await?);
        let followed = followed.cloned().unwrap_or(all_followed);
        let visibility = Visibility::of_feed(viewer, &known.authors, followed);
        Ok((known, visibility))
    }

    /// Hydrates posts that will probably be shown, without their authors; returns none if the cache can't be used.
    pub(super) async fn prefetch(
        &self,
        viewer: &UserId,
        ids: &[PostId],
    ) -> Result<HydratedPosts, store::Error> {
        let by_cache = async {
            let (known, _) = self.cache.hydrate(viewer, ids, &[]).await?;
            self.fill_posts(viewer, ids, known).await
        };
        match by_cache.await {
            Ok(known) => Ok(known),
            Err(Failure::Store(error)) => Err(error),
            Err(Failure::Cache(error)) => {
                self.pause_cache(&error);
                Ok(HydratedPosts::default())
            }
        }
    }

    /// Reads the data of posts that the cache lacks from the store, and puts it into the cache.
    async fn fill_posts(
        &self,
        viewer: &UserId,
        ids: &[PostId],
        mut known: HydratedPosts,
    ) -> Result<HydratedPosts, Failure> {
        let alive = || ids.iter().filter(|id| !known.gone.contains(*id)).copied();
        let missing = Missing {
            posts: alive().filter(|id| !known.posts.contains_key(id)).collect(),
            counts: alive()
                .filter(|id| !known.counts.contains_key(id))
                .collect(),
            viewer: alive()
                .filter(|id| !known.viewer.contains_key(id))
                .collect(),
            authors: Vec::new(),
        };
        if missing.is_empty() {
            return Ok(known);
        }
        let lease = self.cache.lease(viewer, &missing).await?;
        let (posts, counts, states) = futures::try_join!(
            self.store.readable_posts(&missing.posts),
            self.store.readable_counts(&missing.counts),
            self.store.readable_viewer_states(viewer, &missing.viewer),
        )?;
        let unread = posts.unread.len() + counts.unread.len() + states.unread.len();
        if unread > 0 {
            // One item that can't be read must not cost the whole page.
            tracing::warn!(unread, "a feed is shown without what can't be read");
        }
        let found = HydratedPosts {
            posts: posts.found,
            counts: counts.found,
            viewer: states.found,
            ..HydratedPosts::default()
        };
        let read = Missing {
            posts: without(missing.posts, &posts.unread),
            counts: without(missing.counts, &counts.unread),
            viewer: without(missing.viewer, &states.unread),
            authors: Vec::new(),
        };
        self.cache.fill(viewer, &lease, &read, &found).await?;
        known.add(found);
        Ok(known)
    }

    /// Hydrates authors of posts from the cache, and missing ones from the store. Returns those whom the viewer follows.
    async fn hydrate_authors(
        &self,
        viewer: &UserId,
        authors: &[UserId],
        known: &mut HydratedPosts,
    ) -> Result<HashSet<UserId>, Failure> {
        let (cached, followed) = self.cache.hydrate(viewer, &[], authors).await?;
        let followed = match followed {
            Some(followed) => followed,
            None => self.store.followed(viewer, authors).await?,
        };
        let unknown = authors
            .iter()
            .filter(|author| !cached.authors.contains_key(*author));
        let missing = Missing {
            authors: unknown.cloned().collect(),
            ..Missing::default()
        };
        known.add(cached);
        if missing.is_empty() {
            return Ok(followed);
        }
        let lease = self.cache.lease(viewer, &missing).await?;
        let profiles = self.store.readable_profiles(&missing.authors).await?;
        if !profiles.unread.is_empty() {
            let unread = profiles.unread.len();
            tracing::warn!(unread, "a feed is shown without authors that can't be read");
        }
        let read = Missing {
            authors: without(missing.authors, &profiles.unread),
            ..Missing::default()
        };
        let card = |id: &UserId| {
            let profile = profiles.found.get(id);
            let withdrawn = profile.is_some_and(|profile| profile.withdrawn);
            let author = (!withdrawn).then(|| Author::of(id, profile));
            (id.clone(), author.map(Arc::new))
        };
        let found = HydratedPosts {
            authors: read.authors.iter().map(card).collect(),
            ..HydratedPosts::default()
        };
        self.cache.fill(viewer, &lease, &read, &found).await?;
        known.add(found);
        Ok(followed)
    }
}

/// Returns the items of `all` that are not in `excluded`.
fn without<T: Eq + Hash>(all: Vec<T>, excluded: &HashSet<T>) -> Vec<T> {
    all.into_iter()
        .filter(|it| !excluded.contains(it))
        .collect()
}

/// Data that was hydrated before the page's posts were known, while other data was read.
#[derive(Debug, Default)]
pub(super) struct Prefetched {
    /// Posts that the page will probably show.
    pub(super) posts: HydratedPosts,
    /// The timelines of the authors that are merged in.
    pub(super) timelines: Vec<(UserId, PostWindow)>,
}

impl Prefetched {
    fn contains(&self, post: PostId) -> bool {
        self.posts.posts.contains_key(&post) || self.posts.gone.contains(&post)
    }

    /// Returns the authors of the prefetched posts among `ids`, and the authors whose timelines contain one of
    /// `others`.
    fn authors_of(&self, ids: &[PostId], others: &[PostId]) -> impl Iterator<Item = UserId> {
        let posts = ids.iter().filter_map(|id| self.posts.posts.get(id));
        let wrote =
            |(_, posts): &&(UserId, PostWindow)| others.iter().any(|id| posts.contains(*id));
        let merged = self.timelines.iter().filter(wrote);
        posts
            .map(|post| post.author.clone())
            .chain(merged.map(|(author, _)| author.clone()))
    }
}

/// The authors of the posts that this process showed last: a post's author never changes. So authors can be asked for
/// together with their posts, rather than after them.
#[derive(Debug)]
pub(super) struct PostAuthors(Mutex<LruCache<PostId, UserId>>);

impl PostAuthors {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED_POSTS)))
    }

    fn remembered(&self) -> MutexGuard<'_, LruCache<PostId, UserId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, posts: &[PostId]) -> Vec<UserId> {
        let mut remembered = self.remembered();
        let authors = posts
            .iter()
            .filter_map(|post| remembered.get(post).cloned());
        authors.collect()
    }

    fn forget<'a>(&self, posts: impl IntoIterator<Item = &'a PostId>) {
        let mut remembered = self.remembered();
        for post in posts {
            remembered.pop(post);
        }
    }

    fn remember<'a>(&self, posts: impl Iterator<Item = &'a Post>) {
        let mut remembered = self.remembered();
        for post in posts {
            remembered.put(post.id, post.author.clone());
        }
    }
}

/// The reason why hydration by the cache failed.
enum Failure {
    Cache(cache::Error),
    Store(store::Error),
}

impl From<cache::Error> for Failure {
    fn from(error: cache::Error) -> Self {
        Self::Cache(error)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}
