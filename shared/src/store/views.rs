//! Posts as a caller sees them, all from the store.

use std::collections::{HashMap, HashSet};

use super::{Error, Readable, Shown, Store};
use crate::domain::{ImageHost, Post, PostCounts, PostId, PostView, UserId, ViewerState};

/// Posts as a caller sees them.
struct Views {
    seen: Vec<PostView>,
    /// The number of posts or authors of which a part could not be read.
    unread: usize,
}

impl Store {
    /// Those of these posts that the caller may see, as the caller sees them, in their order. Counts that can't be
    /// read are as this process knew them last, and posts whose author can't be read are left out: one busy item must
    /// not cost a page.
    pub async fn views(
        &self,
        caller: &UserId,
        posts: Vec<Post>,
        images: &ImageHost,
    ) -> Result<Vec<PostView>, Error> {
        let Views { seen, unread } = self.readable_views(caller, posts, images).await?;
        if unread > 0 {
            tracing::warn!(unread, "posts are shown without what can't be read of them");
        }
        Ok(seen)
    }

    /// A post as the caller sees it; nothing if the caller may not see it. Anything of it that can't be read is an error.
    pub async fn view(
        &self,
        caller: &UserId,
        post: Post,
        images: &ImageHost,
    ) -> Result<Option<PostView>, Error> {
        let mut views = self.readable_views(caller, vec![post], images).await?;
        if views.unread > 0 {
            let why = "throttled: a part of the post can't be read";
            return Err(Error::Unavailable(why.to_owned()));
        }
        Ok(views.seen.pop())
    }

    async fn readable_views(
        &self,
        caller: &UserId,
        posts: Vec<Post>,
        images: &ImageHost,
    ) -> Result<Views, Error> {
        let ids: Vec<PostId> = posts.iter().map(|post| post.id).collect();
        let authors: HashSet<UserId> = posts.iter().map(|post| post.author.clone()).collect();
        let authors: Vec<UserId> = authors.into_iter().collect();
        let (counts, viewer, shown) = futures::try_join!(
            self.readable_counts(&ids),
            self.readable_viewer_states(caller, &ids),
            self.readable_shown(caller, &authors)
        )?;
        let unread = [counts.unread.len(), viewer.unread.len(), shown.unread.len()];
        let (counts, viewer, shown) = (counts.found, viewer.found, shown.found);
        let view = |post: Post| {
            let author = shown.author(&post.author)?;
            let counts: PostCounts = counts.get(&post.id).copied().unwrap_or_default();
            let viewer = viewer.get(&post.id).copied().unwrap_or_default();
            Some(post.view(author, counts, viewer, images))
        };
        Ok(Views {
            seen: posts.into_iter().filter_map(view).collect(),
            unread: unread.into_iter().max().unwrap_or_default(),
        })
    }

    /// Returns the user's state of each of these posts, as far as that can be read; nothing to the others, which are in `unread`.
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

    /// Those of these posts that are there and the caller may see, in their order, as far as they can be read.
    pub async fn seen(
        &self,
        caller: &UserId,
        ids: &[PostId],
        images: &ImageHost,
    ) -> Result<Vec<PostView>, Error> {
        let Readable { mut found, unread } = self.readable_posts(ids).await?;
        if !unread.is_empty() {
            let unread = unread.len();
            tracing::warn!(unread, "posts that can't be read are left out");
        }
        let posts = ids.iter().filter_map(|id| found.remove(id)).collect();
        self.views(caller, posts, images).await
    }

    /// A post as the caller sees it; nothing if there is none that the caller may see. Anything of it that can't be read
    /// is an error.
    pub async fn seen_view(
        &self,
        caller: &UserId,
        id: PostId,
        images: &ImageHost,
    ) -> Result<Option<PostView>, Error> {
        match self.post(id).await? {
            Some(post) => self.view(caller, post, images).await,
            None => Ok(None),
        }
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
