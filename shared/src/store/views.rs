//! Posts as a caller sees them, all from the store.

use std::collections::{HashMap, HashSet};

use super::{Error, Store};
use crate::domain::{ImageHost, Post, PostCounts, PostId, PostView, UserId, ViewerState};

impl Store {
    /// Those of these posts that the caller may see, as the caller sees them, in their order.
    pub async fn views(
        &self,
        caller: &UserId,
        posts: Vec<Post>,
        images: &ImageHost,
    ) -> Result<Vec<PostView>, Error> {
        let ids: Vec<PostId> = posts.iter().map(|post| post.id).collect();
        let authors: HashSet<UserId> = posts.iter().map(|post| post.author.clone()).collect();
        let authors: Vec<UserId> = authors.into_iter().collect();
        let (counts, viewer, shown) = futures::try_join!(
            self.post_counts(&ids),
            self.viewer_states(caller, &ids),
            self.shown(caller, &authors)
        )?;
        let view = |post: Post| {
            let author = shown.author(&post.author)?;
            let counts: PostCounts = counts.get(&post.id).copied().unwrap_or_default();
            let viewer = viewer.get(&post.id).copied().unwrap_or_default();
            Some(post.view(author, counts, viewer, images))
        };
        Ok(posts.into_iter().filter_map(view).collect())
    }

    /// What the user did to each of these posts.
    pub async fn viewer_states(
        &self,
        user: &UserId,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, ViewerState>, Error> {
        let (liked, saved) =
            futures::try_join!(self.liked(user, posts), self.saved_of(user, posts))?;
        let state = |post: &PostId| ViewerState {
            liked: liked.contains(post),
            saved: saved.contains(post),
        };
        Ok(posts.iter().map(|post| (*post, state(post))).collect())
    }

    /// Those of these posts that are there and the caller may see, in their order.
    pub async fn seen(
        &self,
        caller: &UserId,
        ids: &[PostId],
        images: &ImageHost,
    ) -> Result<Vec<PostView>, Error> {
        let mut found = self.posts(ids).await?;
        let posts = ids.iter().filter_map(|id| found.remove(id)).collect();
        self.views(caller, posts, images).await
    }

    /// A post that the caller may see; nothing if there is none.
    pub async fn seen_post(&self, caller: &UserId, id: PostId) -> Result<Option<Post>, Error> {
        let Some(post) = self.post(id).await? else {
            return Ok(None);
        };
        let shown = self
            .shown(caller, std::slice::from_ref(&post.author))
            .await?;
        Ok(shown.sees(&post.author).then_some(post))
    }
}
