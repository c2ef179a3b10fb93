//! The skeleton of a feed: the ids of its posts, newest first.
//!
//! The newest ids are in the cache: in the viewer's own list, and in the timelines of the authors that are merged into
//! it. A list that is gone is rebuilt. Older ids, and all of them if the cache can't be used, are merged from the
//! followed authors' lists in the store.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::Feeds;
use super::hydration::Prefetched;
use crate::cache::{self, Feed, Lease, MAX_MERGED, PostsAndMerged, Rebuild};
use crate::domain::{PostId, PostWindow, UserId};
use crate::metrics;
use crate::store::{self, Delivery, RECENT, Recent, Store};

/// The number of spare ids taken from the window, where they cost little: with them, a few deleted posts on a page
/// don't cost another round.
const SPARE: usize = 3;
/// The number of authors' lists that are read or rebuilt at a time.
const LISTS_AT_ONCE: usize = 32;
/// The maximum number of tries at a rebuild, each of which a change of the user's follows may undo.
const REBUILD_TRIES: u32 = 3;
/// The number of checks whether another process has finished its rebuild, and the time between two.
const REBUILD_WAITS: u32 = 60;
const REBUILD_WAIT: Duration = Duration::from_millis(20);
/// The number of checks for a timeline that another process rebuilds.
const TIMELINE_WAITS: u32 = 20;

/// The ids of a feed's posts: from the cached window first, then from the authors' lists.
pub(super) struct Skeleton<'f> {
    feeds: &'f Feeds,
    viewer: &'f UserId,
    /// The cached part; `None` if the cache can't be used.
    window: Option<PostWindow>,
    /// The authors that the feed shows, with their recent posts; empty until a list is read from the store.
    authors: OnceCell<Authors>,
}

impl<'f> Skeleton<'f> {
    /// Reads the cached part, and prefetches the known posts of the page that begins at a position.
    pub(super) async fn open(
        feeds: &'f Feeds,
        viewer: &'f UserId,
        after: Option<PostId>,
        size: usize,
    ) -> Result<(Self, Prefetched), store::Error> {
        let (window, prefetched) = feeds.window(viewer, after, size).await?;
        let skeleton = Self {
            feeds,
            viewer,
            window,
            authors: OnceCell::new(),
        };
        Ok((skeleton, prefetched))
    }

    /// Returns the next ids after a position: about as many as asked for, and none only at the feed's end.
    pub(super) async fn older_than(
        &self,
        position: Option<PostId>,
        most: usize,
    ) -> Result<Vec<PostId>, store::Error> {
        if let Some(window) = &self.window {
            let ids = window.after(position).iter().copied();
            let ids: Vec<PostId> = ids.take(most.saturating_add(SPARE)).collect();
            if !ids.is_empty() || window.floor().is_none() {
                return Ok(ids);
            }
        }
        let store = &self.feeds.store;
        let read = || Authors::of(store, self.viewer);
        let authors = self.authors.get_or_try_init(read).await?;
        let posts = authors.newest(store, position, most).await?;
        Ok(posts.ids().to_vec())
    }

    /// Returns the authors that the feed shows, the viewer among them, if they were read from the store.
    pub(super) fn followed(&self) -> Option<&HashSet<UserId>> {
        self.authors.get().map(|authors| &authors.ids)
    }
}

/// The outcome of asking for an author's timeline.
enum Timeline {
    Cached(PostWindow),
    /// The timeline must be read from the store; the holder of the lease puts it into the cache.
    Missing(Option<Lease>),
}

impl Feeds {
    /// Returns the cached part of the feed, merged with its influencers' timelines, and the posts prefetched meanwhile;
    /// `None` if the cache can't be used.
    async fn window(
        &self,
        viewer: &UserId,
        after: Option<PostId>,
        size: usize,
    ) -> Result<(Option<PostWindow>, Prefetched), store::Error> {
        if self.cache_is_paused() {
            metrics::feed_miss();
            return Ok((None, Prefetched::default()));
        }
        let cached = self.cache.feed(viewer).await;
        match cached {
            Ok(Feed::Cached(_)) => metrics::feed_hit(),
            Ok(Feed::Missing) | Err(_) => metrics::feed_miss(),
        }
        let feed = match cached {
            Ok(Feed::Cached(feed)) => Some(feed),
            Ok(Feed::Missing) => self.rebuild(viewer).await?,
            Err(error) => {
                self.pause_cache(&error);
                None
            }
        };
        let Some(PostsAndMerged { posts, merged }) = feed else {
            return Ok((None, Prefetched::default()));
        };
        if merged.is_empty() {
            return Ok((Some(posts), Prefetched::default()));
        }
        if merged.len() > MAX_MERGED {
            return Ok((None, Prefetched::default()));
        }
        let page = posts.after(after).iter().copied();
        let page: Vec<PostId> = page.take(size.saturating_add(SPARE)).collect();
        let (known, timelines) =
            futures::try_join!(self.prefetch(viewer, &page), self.author_timelines(merged))?;
        let Some(timelines) = timelines else {
            return Ok((None, Prefetched::default()));
        };
        let lists = timelines.iter().map(|(_, posts)| posts.clone());
        let window = PostWindow::merged(lists.chain([posts]));
        let prefetched = Prefetched {
            posts: known,
            timelines,
        };
        Ok((Some(window), prefetched))
    }

    /// Returns the timelines of these authors; `None` if the cache can't be used.
    async fn author_timelines(
        &self,
        authors: Vec<UserId>,
    ) -> Result<Option<Vec<(UserId, PostWindow)>>, store::Error> {
        let cached = match self.cache.author_timelines(&authors).await {
            Ok(cached) => cached,
            Err(error) => {
                self.pause_cache(&error);
                return Ok(None);
            }
        };
        let gone = authors
            .into_iter()
            .filter(|author| !cached.contains_key(author));
        let read = futures::stream::iter(gone.collect::<Vec<_>>())
            .map(|author| async move {
                let posts = self.rebuild_timeline(&author).await?;
                Ok::<_, store::Error>((author, posts))
            })
            .buffer_unordered(LISTS_AT_ONCE);
        let mut timelines: Vec<(UserId, PostWindow)> = read.try_collect().await?;
        timelines.extend(cached);
        Ok(Some(timelines))
    }

    /// Rebuilds an author's timeline that is gone: one of its readers reads the store, and puts the timeline into the
    /// cache.
    async fn rebuild_timeline(&self, author: &UserId) -> Result<PostWindow, store::Error> {
        let lease = match self.begin_or_await_timeline(author).await {
            Ok(Timeline::Cached(posts)) => return Ok(posts),
            Ok(Timeline::Missing(lease)) => lease,
            Err(error) => {
                self.pause_cache(&error);
                None
            }
        };
        let posts = newest_by(&self.store, author, None, self.cache.feed_length()).await?;
        if let Some(lease) = lease {
            let put = self.cache.finish_author_timeline(author, &lease, &posts);
            if let Err(error) = put.await {
                self.pause_cache(&error);
            }
        }
        Ok(posts)
    }

    async fn begin_or_await_timeline(&self, author: &UserId) -> Result<Timeline, cache::Error> {
        if self.cache_is_paused() {
            return Ok(Timeline::Missing(None));
        }
        if let Rebuild::Ours(lease) = self.cache.begin_author_timeline(author).await? {
            return Ok(Timeline::Missing(Some(lease)));
        }
        for _ in 0..TIMELINE_WAITS {
            let author_alone = std::slice::from_ref(author);
            let mut cached = self.cache.author_timelines(author_alone).await?;
            if let Some(posts) = cached.remove(author) {
                return Ok(Timeline::Cached(posts));
            }
            tokio::time::sleep(REBUILD_WAIT).await;
        }
        Ok(Timeline::Missing(None))
    }

    async fn rebuild(&self, viewer: &UserId) -> Result<Option<PostsAndMerged>, store::Error> {
        for _ in 0..REBUILD_TRIES {
            match self.rebuild_once(viewer).await? {
                Ok(Some(feed)) => return Ok(Some(feed)),
                Ok(None) => {}
                Err(error) => {
                    self.pause_cache(&error);
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// Returns the feed, rebuilt here or by another process; `None` if neither succeeded.
    async fn rebuild_once(
        &self,
        viewer: &UserId,
    ) -> Result<Result<Option<PostsAndMerged>, cache::Error>, store::Error> {
        let lease = match self.cache.begin_rebuild(viewer).await {
            Ok(Rebuild::Ours(lease)) => lease,
            Ok(Rebuild::Done | Rebuild::Others) => return Ok(self.await_rebuild(viewer).await),
            Err(error) => return Ok(Err(error)),
        };
        let authors = Authors::of(&self.store, viewer).await?;
        let length = self.cache.feed_length();
        let feed = PostsAndMerged {
            posts: authors.newest(&self.store, None, length).await?,
            merged: authors.merged(),
        };
        let too_many = feed.merged.len() > MAX_MERGED;
        let feed = PostsAndMerged {
            // One more is enough to show that there are too many.
            merged: feed
                .merged
                .into_iter()
                .take(MAX_MERGED.saturating_add(1))
                .collect(),
            ..feed
        };
        if too_many {
            tracing::info!("a feed merges too many authors to be read from the cache");
        }
        let put = self
            .cache
            .finish_rebuild(viewer, &lease, &feed, &authors.following)
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

    async fn await_rebuild(&self, viewer: &UserId) -> Result<Option<PostsAndMerged>, cache::Error> {
        for _ in 0..REBUILD_WAITS {
            if let Feed::Cached(feed) = self.cache.feed(viewer).await? {
                return Ok(Some(feed));
            }
            tokio::time::sleep(REBUILD_WAIT).await;
        }
        Ok(None)
    }
}

/// The authors that a feed shows, with their recent posts.
///
/// One read returns the recent posts of a hundred authors. The full list is read only for authors who may have more of the
/// wanted posts: for the newest 200 posts, at most four authors, since each has fifty among them (and those who deleted
/// many of their newest fifty); for a page far down, authors of more than fifty posts.
///
/// A post joins its author's recent posts when it is fanned out, but the author's own feed before that. So the viewer's
/// own list is always read in full.
#[derive(Debug)]
struct Authors {
    following: Vec<UserId>,
    /// The followed authors, and the viewer.
    ids: HashSet<UserId>,
    recent: HashMap<UserId, Recent>,
}

impl Authors {
    async fn of(store: &Store, viewer: &UserId) -> Result<Self, store::Error> {
        let following = store.following(viewer).await?;
        let ids: HashSet<UserId> = following.iter().chain([viewer]).cloned().collect();
        let (mut recent, posts) = futures::try_join!(
            store.recent_posts(&following),
            newest_by(store, viewer, None, RECENT)
        )?;
        // The viewer's own posts are never merged in.
        let delivery = Delivery::Pushed;
        recent.insert(viewer.clone(), Recent { posts, delivery });
        Ok(Self {
            following,
            ids,
            recent,
        })
    }

    /// Returns the authors whose posts are merged in, not pushed. The viewer's own are always pushed.
    fn merged(&self) -> Vec<UserId> {
        let merged = |(_, recent): &(&UserId, &Recent)| recent.delivery != Delivery::Pushed;
        let merged = self.recent.iter().filter(merged);
        merged.map(|(author, _)| author.clone()).collect()
    }

    /// Returns the newest posts of all authors that are older than a position, at most this many.
    async fn newest(
        &self,
        store: &Store,
        before: Option<PostId>,
        most: usize,
    ) -> Result<PostWindow, store::Error> {
        let older =
            |posts: &PostWindow| PostWindow::new(posts.after(before).to_vec(), posts.floor());
        let recent = self.recent.iter();
        let mut lists: HashMap<UserId, PostWindow> = recent
            .map(|(author, recent)| (author.clone(), older(&recent.posts)))
            .collect();
        let last = last_of_newest(lists.values(), most);
        let short = lists.iter().filter(|(_, list)| list.floor() > last);
        let short: Vec<UserId> = short.map(|(author, _)| author.clone()).collect();
        let read = futures::stream::iter(short)
            .map(|author| async move {
                let newest = newest_by(store, &author, before, most).await?;
                Ok::<_, store::Error>((author, newest))
            })
            .buffer_unordered(LISTS_AT_ONCE);
        lists.extend(read.try_collect::<Vec<_>>().await?);
        Ok(PostWindow::merged(lists.into_values()).trimmed(most))
    }
}

/// Returns the last of the newest `most` known posts of these lists; `None` if fewer posts are known. A list whose
/// floor is above that post may hold other posts among the newest.
fn last_of_newest<'a>(lists: impl Iterator<Item = &'a PostWindow>, most: usize) -> Option<PostId> {
    let mut ids: Vec<PostId> = lists.flat_map(PostWindow::ids).copied().collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    most.checked_sub(1).and_then(|last| ids.get(last)).copied()
}

/// Returns the newest posts of an author that are older than a position, at most this many.
async fn newest_by(
    store: &Store,
    author: &UserId,
    before: Option<PostId>,
    most: usize,
) -> Result<PostWindow, store::Error> {
    // One more shows whether there are others.
    let ids = store
        .posts_by(author, before, most.saturating_add(1))
        .await?;
    Ok(PostWindow::new(ids, None).trimmed(most))
}
