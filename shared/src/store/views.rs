//! Posts as a caller sees them, all from the store.

use std::collections::HashSet;

use super::{Error, Store};
use crate::domain::{Author, ImageHost, Post, PostCounts, PostId, PostView, UserId};

impl Store {
    /// These posts as the caller sees them, in their order.
    pub async fn views(
        &self,
        caller: &UserId,
        posts: Vec<Post>,
        images: &ImageHost,
    ) -> Result<Vec<PostView>, Error> {
        let ids: Vec<PostId> = posts.iter().map(|post| post.id).collect();
        let authors: HashSet<UserId> = posts.iter().map(|post| post.author.clone()).collect();
        let authors: Vec<UserId> = authors.into_iter().collect();
        let (counts, liked, profiles) = futures::try_join!(
            self.post_counts(&ids),
            self.liked(caller, &ids),
            self.profiles(&authors)
        )?;
        let view = |post: Post| {
            let author = Author::of(&post.author, profiles.get(&post.author));
            let counts: PostCounts = counts.get(&post.id).copied().unwrap_or_default();
            let liked = liked.contains(&post.id);
            post.view(author, counts, liked, images)
        };
        Ok(posts.into_iter().map(view).collect())
    }
}
