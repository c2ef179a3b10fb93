//! Posts as a caller sees them, all from the store.

use std::collections::HashSet;

use super::{Error, Shown, Store};
use crate::domain::{ImageHost, Post, PostCounts, PostId, PostView, UserId};

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
        let (counts, liked, shown) = futures::try_join!(
            self.post_counts(&ids),
            self.liked(caller, &ids),
            self.shown(caller, &authors)
        )?;
        let view = |post: Post| {
            let author = shown.author(&post.author)?;
            let counts: PostCounts = counts.get(&post.id).copied().unwrap_or_default();
            let liked = liked.contains(&post.id);
            Some(post.view(author, counts, liked, images))
        };
        Ok(posts.into_iter().filter_map(view).collect())
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
        let seen = self.seen_post_with(caller, id).await?;
        Ok(seen.map(|(post, _)| post))
    }

    /// The same, with its author and the caller as far as the caller may see them.
    pub async fn seen_post_with(
        &self,
        caller: &UserId,
        id: PostId,
    ) -> Result<Option<(Post, Shown)>, Error> {
        let Some(post) = self.post(id).await? else {
            return Ok(None);
        };
        let author = std::slice::from_ref(&post.author);
        let shown = self.shown(caller, author).await?;
        Ok(shown.sees(&post.author).then_some((post, shown)))
    }
}
