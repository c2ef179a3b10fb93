//! Reading a feed: from the cache where it is, rebuilt where it is gone, from the store where the
//! cache can't be used. The answer is the same each way.
//!
//! A position in a feed is a post's id, so it means the same in the cache and in the store, and in a
//! feed that was rebuilt between two pages.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use crate::cache::{self, Cache, Feed, Known, Missing, Rebuild};
use crate::domain::{
    Author, FEED_CAP, FeedWindow, ImageHost, Post, PostId, PostView, Stretch, Timestamp, UserId,
};
use crate::full_page::full_page;
use crate::store::{self, Store};

/// How many authors' lists are read at a time.
const LISTS_AT_ONCE: usize = 32;
/// How often a rebuild is tried that a change of the user's follows undid.
const REBUILD_TRIES: u32 = 3;
/// How long, and how often, to look whether somebody else's rebuild is done.
const REBUILD_WAITS: u32 = 60;
const REBUILD_WAIT: Duration = Duration::from_millis(20);

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
    /// Until when the cache is left alone, in milliseconds since the epoch.
    paused_until: AtomicI64,
}

impl Feeds {
    /// From its parts.
    pub const fn new(store: Store, cache: Cache, images: ImageHost) -> Self {
        Self {
            store,
            cache,
            images,
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
        let source = Source {
            feeds: self,
            caller,
            window: self.window(caller).await?,
            authors: OnceCell::new(),
        };
        full_page(size, after, |position, most| source.read(position, most)).await
    }

    fn cache_is_paused(&self) -> bool {
        Timestamp::now().millis() < self.paused_until.load(Ordering::Relaxed)
    }

    /// Leaves the cache alone for a while: waiting for it again and again would cost more than it saves.
    fn without_cache(&self, error: &cache::Error) -> Option<FeedWindow> {
        tracing::warn!(%error, "reading feeds without the cache");
        self.paused_until.store(
            Timestamp::now().plus_millis(CACHE_PAUSE_MILLIS).millis(),
            Ordering::Relaxed,
        );
        None
    }

    /// The cached part of the feed, rebuilt if need be; `None` where the cache can't be used.
    async fn window(&self, caller: &UserId) -> Result<Option<FeedWindow>, store::Error> {
        if self.cache_is_paused() {
            return Ok(None);
        }
        match self.cache.feed(caller).await {
            Ok(Feed::Here(window)) => Ok(Some(window)),
            Ok(Feed::Gone) => self.rebuild(caller).await,
            Err(error) => Ok(self.without_cache(&error)),
        }
    }

    async fn rebuild(&self, caller: &UserId) -> Result<Option<FeedWindow>, store::Error> {
        for _ in 0..REBUILD_TRIES {
            let lease = match self.cache.begin_rebuild(caller).await {
                Ok(Rebuild::Ours(lease)) => lease,
                Ok(Rebuild::Done | Rebuild::Others) => match self.wait_for_rebuild(caller).await {
                    Ok(Some(window)) => return Ok(Some(window)),
                    Ok(None) => continue,
                    Err(error) => return Ok(self.without_cache(&error)),
                },
                Err(error) => return Ok(self.without_cache(&error)),
            };
            let following = self.store.following(caller).await?;
            let posts = self
                .newest_of(&authors(caller, &following), None, FEED_CAP)
                .await?;
            match self
                .cache
                .finish_rebuild(caller, &lease, &posts, &following)
                .await
            {
                Ok(true) => return Ok(Some(FeedWindow::new(posts))),
                Ok(false) => tracing::info!("a feed changed while it was rebuilt"),
                Err(error) => return Ok(self.without_cache(&error)),
            }
        }
        Ok(None)
    }

    async fn wait_for_rebuild(&self, caller: &UserId) -> Result<Option<FeedWindow>, cache::Error> {
        for _ in 0..REBUILD_WAITS {
            if let Feed::Here(window) = self.cache.feed(caller).await? {
                return Ok(Some(window));
            }
            tokio::time::sleep(REBUILD_WAIT).await;
        }
        Ok(None)
    }

    /// The newest posts of these authors older than a position, newest first.
    async fn newest_of(
        &self,
        authors: &HashSet<UserId>,
        before: Option<PostId>,
        most: usize,
    ) -> Result<Vec<PostId>, store::Error> {
        let lists: Vec<Vec<PostId>> =
            futures::stream::iter(authors.iter().cloned().collect::<Vec<_>>())
                .map(|author| async move { self.store.posts_by(&author, before, most).await })
                .buffer_unordered(LISTS_AT_ONCE)
                .try_collect()
                .await?;
        let mut posts = lists.concat();
        posts.sort_unstable_by(|a, b| b.cmp(a));
        posts.dedup();
        posts.truncate(most);
        Ok(posts)
    }

    /// Those of these posts that the caller's feed shows: not deleted, not of an author unfollowed.
    /// Whose posts are shown is in `shown`, where it was read from the store for this page.
    async fn visible(
        &self,
        caller: &UserId,
        ids: &[PostId],
        shown: Option<&HashSet<UserId>>,
    ) -> Result<Vec<PostView>, store::Error> {
        if !self.cache_is_paused() {
            match self.visible_by_cache(caller, ids, shown).await {
                Ok(views) => return Ok(views),
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Cache(error)) => self.without_cache(&error),
            };
        }
        self.visible_by_store(caller, ids, shown).await
    }

    async fn visible_by_store(
        &self,
        caller: &UserId,
        ids: &[PostId],
        shown: Option<&HashSet<UserId>>,
    ) -> Result<Vec<PostView>, store::Error> {
        let mut posts = self.store.posts(ids).await?;
        let posts: Vec<Post> = ids.iter().filter_map(|id| posts.remove(id)).collect();
        let wrote: HashSet<UserId> = posts.iter().map(|post| post.author.clone()).collect();
        let wrote: Vec<UserId> = wrote.into_iter().collect();
        let followed = match shown {
            Some(_) => HashSet::new(),
            None => self.store.followed(caller, &wrote).await?,
        };
        let shown = shown.unwrap_or(&followed);
        let visible = |post: &Post| post.author == *caller || shown.contains(&post.author);
        self.store
            .views(
                caller,
                posts.into_iter().filter(visible).collect(),
                &self.images,
            )
            .await
    }

    async fn visible_by_cache(
        &self,
        caller: &UserId,
        ids: &[PostId],
        shown: Option<&HashSet<UserId>>,
    ) -> Result<Vec<PostView>, Failure> {
        let known = self.known_posts(caller, ids).await?;
        let wrote: HashSet<UserId> = known
            .posts
            .values()
            .map(|post| post.author.clone())
            .collect();
        let wrote: Vec<UserId> = wrote.into_iter().collect();
        let (cards, followed) = self.known_authors(caller, &wrote).await?;
        let shown = shown.unwrap_or(&followed);
        let view = |id: &PostId| {
            let post = known.posts.get(id)?.clone();
            if !shown.contains(&post.author) && post.author != *caller {
                return None;
            }
            let author = cards.get(&post.author)?.clone()?;
            let counts = known.counts.get(id).copied().unwrap_or_default();
            let liked = known.liked.get(id).copied().unwrap_or(false);
            Some(post.view(author, counts, liked, &self.images))
        };
        Ok(ids.iter().filter_map(view).collect())
    }

    async fn known_posts(&self, caller: &UserId, ids: &[PostId]) -> Result<Known, Failure> {
        let mut known = self.cache.known_posts(caller, ids).await?;
        let unknown = |id: &PostId| !known.posts.contains_key(id) && !known.gone.contains(id);
        let alive = |id: &&PostId| !known.gone.contains(*id);
        let missing = Missing {
            posts: ids.iter().filter(|id| unknown(id)).copied().collect(),
            counts: ids
                .iter()
                .filter(alive)
                .filter(|id| !known.counts.contains_key(id))
                .copied()
                .collect(),
            liked: ids
                .iter()
                .filter(alive)
                .filter(|id| !known.liked.contains_key(id))
                .copied()
                .collect(),
            authors: Vec::new(),
        };
        if missing.is_empty() {
            return Ok(known);
        }
        let lease = self.cache.lease(caller, &missing).await?;
        let (posts, counts, liked) = futures::try_join!(
            self.store.posts(&missing.posts),
            self.store.post_counts(&missing.counts),
            self.store.liked(caller, &missing.liked),
        )?;
        let liked = missing
            .liked
            .iter()
            .map(|id| (*id, liked.contains(id)))
            .collect();
        let found = Known {
            posts,
            gone: HashSet::new(),
            counts,
            liked,
        };
        self.cache
            .fill(caller, &lease, &missing, &found, &HashMap::new())
            .await?;
        known.posts.extend(found.posts);
        known.counts.extend(found.counts);
        known.liked.extend(found.liked);
        Ok(known)
    }

    async fn known_authors(
        &self,
        caller: &UserId,
        authors: &[UserId],
    ) -> Result<(HashMap<UserId, Option<Author>>, HashSet<UserId>), Failure> {
        let (mut cards, shown) = self.cache.known_authors(caller, authors).await?;
        let shown = match shown {
            Some(shown) => shown,
            None => self.store.followed(caller, authors).await?,
        };
        let unknown = authors
            .iter()
            .filter(|author| !cards.contains_key(*author))
            .cloned()
            .collect();
        let missing = Missing {
            authors: unknown,
            ..Missing::default()
        };
        if !missing.is_empty() {
            let lease = self.cache.lease(caller, &missing).await?;
            let profiles = self.store.profiles(&missing.authors).await?;
            let card = |id: &UserId| {
                let profile = profiles.get(id);
                let left = profile.is_some_and(|profile| profile.withdrawn);
                (id.clone(), (!left).then(|| Author::of(id, profile)))
            };
            let found: HashMap<UserId, Option<Author>> = missing.authors.iter().map(card).collect();
            self.cache
                .fill(caller, &lease, &missing, &Known::default(), &found)
                .await?;
            cards.extend(found);
        }
        Ok((cards, shown))
    }
}

/// Where a walk through a feed gets its ids from: the window first, then the authors' own lists.
struct Source<'a> {
    feeds: &'a Feeds,
    caller: &'a UserId,
    window: Option<FeedWindow>,
    /// Whose lists are read, once they are.
    authors: OnceCell<HashSet<UserId>>,
}

impl Source<'_> {
    async fn read(
        &self,
        position: Option<PostId>,
        most: usize,
    ) -> Result<Stretch<PostView, PostId>, store::Error> {
        let ids = self.older_than(position, most).await?;
        let visible = self.feeds.visible(self.caller, &ids, self.authors.get());
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
            let ids: Vec<PostId> = ids.take(most + SPARE).collect();
            if !ids.is_empty() || window.is_whole() {
                return Ok(ids);
            }
        }
        let read = async || {
            let following = self.feeds.store.following(self.caller).await?;
            Ok::<_, store::Error>(authors(self.caller, &following))
        };
        let authors = self.authors.get_or_try_init(read).await?;
        self.feeds.newest_of(authors, position, most).await
    }
}

fn authors(caller: &UserId, following: &[UserId]) -> HashSet<UserId> {
    following.iter().chain([caller]).cloned().collect()
}

/// What stood in the way of an answer by the cache.
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
