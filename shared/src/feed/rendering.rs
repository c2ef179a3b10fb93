//! Rendering: the JSON of posts and authors, written once and used until they change.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::domain::{
    Author, HydratedPosts, ImageHost, Post, PostId, PostJson, RenderedPost, UserId, present_each,
};
use crate::memo::Memo;

/// The memory for posts and their JSON, in bytes: for some 5,000 short posts with a picture each.
const POSTS: usize = 16 * 1024 * 1024;
/// The memory for authors and their JSON, in bytes.
const AUTHORS: usize = 4 * 1024 * 1024;

/// The JSON of the posts and authors that this process showed last.
#[derive(Debug)]
pub(super) struct Renderer {
    images: ImageHost,
    posts: Memo<PostId, Arc<Post>, Arc<PostJson>>,
    authors: Memo<UserId, Arc<Author>, Arc<RawValue>>,
}

impl Renderer {
    pub(super) fn new(images: ImageHost) -> Self {
        Self {
            images,
            posts: Memo::new(POSTS),
            authors: Memo::new(AUTHORS),
        }
    }

    /// Presents visible posts, as [`present_posts`](crate::domain::present_posts) does.
    pub(super) fn present<'p>(
        &self,
        visible: impl IntoIterator<Item = &'p Arc<Post>>,
        known: &HydratedPosts,
    ) -> Vec<RenderedPost> {
        present_each(visible, known, |post, author, counts, viewer| {
            RenderedPost {
                id: post.id,
                author: self.author(author),
                json: self.post(post),
                counts,
                viewer,
            }
        })
    }

    fn post(&self, post: &Arc<Post>) -> Arc<PostJson> {
        let written = self.posts.get(&post.id, |known| Arc::ptr_eq(known, post));
        written.unwrap_or_else(|| {
            let json = Arc::new(PostJson::new(post, &self.images));
            let (source, result) = (Arc::clone(post), Arc::clone(&json));
            // The post itself takes about as much as its JSON.
            let weight = json.size().saturating_mul(2);
            self.posts.put(post.id, source, result, weight);
            json
        })
    }

    fn author(&self, author: &Arc<Author>) -> Arc<RawValue> {
        let written = self
            .authors
            .get(&author.id, |known| Arc::ptr_eq(known, author));
        written.unwrap_or_else(|| {
            let json: Arc<RawValue> = author.json(&self.images).into();
            let (source, result) = (Arc::clone(author), Arc::clone(&json));
            let weight = json.get().len().saturating_mul(2);
            self.authors.put(author.id.clone(), source, result, weight);
            json
        })
    }
}
