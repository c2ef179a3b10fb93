//! From ids to what is shown: posts, counts, authors and likes, by the cache and what it lacks from the store.

use std::collections::{HashMap, HashSet};

use super::Feeds;
use crate::cache::{self, Known, Missing};
use crate::domain::{Author, Post, PostId, PostView, UserId};
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
    ) -> Result<Vec<PostView>, store::Error> {
        if !self.cache_is_paused() {
            match self.visible_by_cache(caller, ids, shown).await {
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
            let unfollowed = !shown.contains(&post.author) && post.author != *caller;
            if unfollowed && !planted("unfollowed-shown") {
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
