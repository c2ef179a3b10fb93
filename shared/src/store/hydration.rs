//! Hydration of posts from the store alone: from their ids to everything a viewer is shown with them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Error, Readable, Store};
use crate::domain::{HydratedPosts, Post, PostId, UserId, ViewerState, Visibility};

impl Store {
    /// Hydrates these posts, as far as they exist, for a page that a viewer is shown, and tells which of their authors
    /// the viewer sees. A post that can't be read is left out.
    pub async fn hydrate(
        &self,
        viewer: &UserId,
        ids: &[PostId],
    ) -> Result<(HydratedPosts, Visibility), Error> {
        let Readable { found, unread } = self.readable_posts(ids).await?;
        if !unread.is_empty() {
            let unread = unread.len();
            tracing::warn!(unread, "posts that can't be read are left out");
        }
        self.hydrate_posts(viewer, found).await
    }

    /// Hydrates posts of a page. Uses the last counts that this process knew where the current ones can't be read, and
    /// hides posts whose author can't be read: one busy item must not cost a page.
    pub async fn hydrate_posts(
        &self,
        viewer: &UserId,
        posts: HashMap<PostId, Arc<Post>>,
    ) -> Result<(HydratedPosts, Visibility), Error> {
        let (known, visibility, unread) = self.hydrate_readable(viewer, posts).await?;
        if unread > 0 {
            tracing::warn!(unread, "posts are shown without what can't be read of them");
        }
        Ok((known, visibility))
    }

    /// Hydrates a single post, of which everything must be readable.
    pub async fn hydrate_one(
        &self,
        viewer: &UserId,
        post: Post,
    ) -> Result<(HydratedPosts, Visibility), Error> {
        let post = HashMap::from([(post.id, Arc::new(post))]);
        let (known, visibility, unread) = self.hydrate_readable(viewer, post).await?;
        if unread > 0 {
            let why = "throttled: a part of the post can't be read";
            return Err(Error::Unavailable(why.to_owned()));
        }
        Ok((known, visibility))
    }

    /// Hydrates posts as far as they can be read, and counts the posts and authors that can't be read in full.
    async fn hydrate_readable(
        &self,
        viewer: &UserId,
        posts: HashMap<PostId, Arc<Post>>,
    ) -> Result<(HydratedPosts, Visibility, usize), Error> {
        let ids: Vec<PostId> = posts.keys().copied().collect();
        let authors: HashSet<UserId> = posts.values().map(|post| post.author.clone()).collect();
        let authors: Vec<UserId> = authors.into_iter().collect();
        let (counts, states, visibility) = futures::try_join!(
            self.readable_counts(&ids),
            self.readable_viewer_states(viewer, &ids),
            self.readable_visibility(viewer, &authors)
        )?;
        let unread = [
            counts.unread.len(),
            states.unread.len(),
            visibility.unread.len(),
        ];
        let visibility = visibility.found;
        let card = |id: UserId| {
            let author = visibility.author(&id).map(Arc::new);
            (id, author)
        };
        let known = HydratedPosts {
            posts,
            gone: HashSet::new(),
            counts: counts.found,
            viewer: states.found,
            authors: authors.into_iter().map(card).collect(),
        };
        let unread = unread.into_iter().max().unwrap_or_default();
        Ok((known, visibility, unread))
    }

    /// Returns the user's state of each of these posts. What can't be read is false; such posts are in `unread`.
    pub async fn readable_viewer_states(
        &self,
        user: &UserId,
        posts: &[PostId],
    ) -> Result<Readable<HashMap<PostId, ViewerState>, PostId>, Error> {
        let (liked, saved) = futures::try_join!(
            self.readable_likes(user, posts),
            self.readable_saves(user, posts)
        )?;
        let state = |post: &PostId| ViewerState {
            liked: liked.found.contains(post),
            saved: saved.found.contains(post),
        };
        Ok(Readable {
            found: posts.iter().map(|post| (*post, state(post))).collect(),
            unread: liked.unread.union(&saved.unread).copied().collect(),
        })
    }
}
