//! From ids to what is shown: posts, counts, authors and the viewer's state, by the cache and what it lacks from the
//! store.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::Feeds;
use crate::cache::{self, Known, KnownAuthors, Missing};
use crate::domain::{Author, Post, PostId, PostView, PostWindow, UserId};
use crate::planted::planted;
use crate::store;

impl Feeds {
    /// Those of these posts that the caller's feed shows: not deleted, not of an author unfollowed.
    /// Whose posts are shown is in `shown`, where it was read from the store for this page.
    pub(super) async fn visible(
        &self,
        caller: &UserId,
        ids: &[PostId],
        shown: Option<&HashSet<UserId>>,
        ahead: &Ahead,
    ) -> Result<Vec<PostView>, store::Error> {
        if !self.cache_is_paused() {
            match self.visible_by_cache(caller, ids, shown, ahead).await {
                Ok(views) => return Ok(views),
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Cache(error)) => self.without_cache(&error),
            }
        }
        self.visible_by_store(caller, ids, shown).await
    }

    async fn visible_by_store(
        &self,
        caller: &UserId,
        ids: &[PostId],
        shown: Option<&HashSet<UserId>>,
    ) -> Result<Vec<PostView>, store::Error> {
        let mut posts = self.store.readable_posts(ids).await?.found;
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
        ahead: &Ahead,
    ) -> Result<Vec<PostView>, Failure> {
        let asked =
            |id: &PostId| ahead.known.posts.contains_key(id) || ahead.known.gone.contains(id);
        let others: Vec<PostId> = ids.iter().filter(|id| !asked(id)).copied().collect();
        // Those whose authors are known before their posts are don't cost another round trip.
        let posts = ids.iter().filter_map(|id| ahead.known.posts.get(id));
        let early = posts.map(|post| post.author.clone());
        let early = early.chain(ahead.authors_of(&others));
        let early: HashSet<UserId> = early.chain(self.writers.of(&others)).collect();
        let early: Vec<UserId> = early.into_iter().collect();
        let (known, authors) = self.cache.known(caller, &others, &early).await?;
        self.store.remember_counts(&known.counts);
        let mut known = self.all_posts(caller, &others, known).await?;
        self.writers.remember(known.posts.values());
        self.writers.forget(&known.gone);
        known.add(&ahead.known);
        // Without whom the caller follows, what else is known of authors is of no use.
        let (mut cards, mut followed) = match authors.shown {
            Some(shown) => (authors.cards, shown),
            None => (HashMap::new(), HashSet::new()),
        };
        // Only authors of posts that are there are filled in: of one who left, nothing is to come back.
        let wrote = known.posts.values().map(|post| &post.author);
        let late: HashSet<&UserId> = wrote.filter(|id| !cards.contains_key(*id)).collect();
        let late: Vec<UserId> = late.into_iter().cloned().collect();
        let (more_cards, more_followed) = self.known_authors(caller, &late).await?;
        cards.extend(more_cards);
        followed.extend(more_followed);
        let shown = shown.unwrap_or(&followed);
        let view = |id: &PostId| {
            let post = known.posts.get(id)?.clone();
            let unfollowed = !shown.contains(&post.author) && post.author != *caller;
            if unfollowed && !planted("unfollowed-shown") {
                return None;
            }
            let author = cards.get(&post.author)?.clone()?;
            let counts = known.counts.get(id).copied().unwrap_or_default();
            let viewer = known.viewer.get(id).copied().unwrap_or_default();
            Some(post.view(author, counts, viewer, &self.images))
        };
        Ok(ids.iter().filter_map(view).collect())
    }

    /// What is known of posts that will probably be shown; nothing where the cache can't be used.
    pub(super) async fn look_ahead(
        &self,
        caller: &UserId,
        ids: &[PostId],
    ) -> Result<Known, store::Error> {
        match self.known_posts(caller, ids).await {
            Ok(known) => Ok(known),
            Err(Failure::Store(error)) => Err(error),
            Err(Failure::Cache(error)) => {
                self.without_cache(&error);
                Ok(Known::default())
            }
        }
    }

    async fn known_posts(&self, caller: &UserId, ids: &[PostId]) -> Result<Known, Failure> {
        let (known, _) = self.cache.known(caller, ids, &[]).await?;
        self.all_posts(caller, ids, known).await
    }

    /// What is known of posts, with what is missing from the store.
    async fn all_posts(
        &self,
        caller: &UserId,
        ids: &[PostId],
        mut known: Known,
    ) -> Result<Known, Failure> {
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
            viewer: ids
                .iter()
                .filter(alive)
                .filter(|id| !known.viewer.contains_key(id))
                .copied()
                .collect(),
            authors: Vec::new(),
        };
        if missing.is_empty() {
            return Ok(known);
        }
        let lease = self.cache.lease(caller, &missing).await?;
        let (posts, counts, viewer) = futures::try_join!(
            self.store.readable_posts(&missing.posts),
            self.store.readable_counts(&missing.counts),
            self.store.readable_viewer_states(caller, &missing.viewer),
        )?;
        let unread = posts.unread.len() + counts.unread.len() + viewer.unread.len();
        if unread > 0 {
            // One item that can't be read must not cost the page.
            tracing::warn!(unread, "a feed is shown without what can't be read");
        }
        let found = Known {
            posts: posts.found,
            gone: HashSet::new(),
            counts: counts.found,
            viewer: viewer.found,
        };
        let read = Missing {
            posts: without(missing.posts, &posts.unread),
            counts: without(missing.counts, &counts.unread),
            viewer: without(missing.viewer, &viewer.unread),
            authors: Vec::new(),
        };
        self.cache
            .fill(caller, &lease, &read, &found, &HashMap::new())
            .await?;
        known.posts.extend(found.posts);
        known.counts.extend(found.counts);
        known.viewer.extend(found.viewer);
        Ok(known)
    }

    async fn known_authors(&self, caller: &UserId, authors: &[UserId]) -> Result<Cards, Failure> {
        let (_, known) = self.cache.known(caller, &[], authors).await?;
        let KnownAuthors { mut cards, shown } = known;
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
            let profiles = self.store.readable_profiles(&missing.authors).await?;
            // Of whom nothing can be read, it isn't known whether they have left: their posts wait.
            let missing = Missing {
                authors: without(missing.authors, &profiles.unread),
                ..Missing::default()
            };
            if !profiles.unread.is_empty() {
                let unread = profiles.unread.len();
                tracing::warn!(unread, "a feed is shown without authors that can't be read");
            }
            let profiles = profiles.found;
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

/// These without those.
fn without<T: Eq + Hash>(all: Vec<T>, those: &HashSet<T>) -> Vec<T> {
    all.into_iter().filter(|it| !those.contains(it)).collect()
}

/// Authors as they are shown, nothing of one who has left, and those of them that the feed shows.
type Cards = (HashMap<UserId, Option<Author>>, HashSet<UserId>);

/// What was asked for before it was known what a page shows, while other things were.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// What is known of some of the posts.
    pub(super) known: Known,
    /// Who wrote which, of those that are merged in.
    pub(super) merged: Vec<(UserId, PostWindow)>,
}

impl Ahead {
    /// Those of the merged authors who wrote some of these posts.
    fn authors_of(&self, ids: &[PostId]) -> impl Iterator<Item = UserId> {
        let wrote = |(_, posts): &&(UserId, PostWindow)| ids.iter().any(|id| posts.has(*id));
        self.merged
            .iter()
            .filter(wrote)
            .map(|(author, _)| author.clone())
    }
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
