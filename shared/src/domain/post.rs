//! Posts.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Author, AuthorView, CatId, Invalid, Picture, PictureView, PostId, PostImage, PostText, Tag,
    Timestamp, UserId, tags_of,
};

/// The maximum number of images of a post.
pub const MAX_IMAGES: usize = 10;
/// The maximum number of cats that a post shows.
pub const MAX_CATS: usize = 10;

/// The content of a post: a text, images and cats. The text may be blank if there is an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    text: PostText,
    images: Vec<PostImage>,
    cats: Vec<CatId>,
}

impl Draft {
    /// Creates a draft, which needs a visible text or an image, and has at most 10 images and 10 cats. An image or a
    /// cat named twice is kept once.
    pub fn new(text: PostText, images: Vec<PostImage>, cats: Vec<CatId>) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        if !text.is_visible() && images.is_empty() {
            invalid.push(
                "/text",
                "must have at least 1 visible character where there is no image",
            );
        }
        if images.len() > MAX_IMAGES {
            invalid.push("/images", "must be at most 10");
        }
        if cats.len() > MAX_CATS {
            invalid.push("/cats", "must be at most 10");
        }
        invalid.into_result()?;
        Ok(Self {
            text,
            images: deduplicated(images, |image| image.picture.key.clone()),
            cats: deduplicated(cats, |cat| *cat),
        })
    }

    /// Restores a stored draft, which may follow older rules.
    pub const fn stored(text: PostText, images: Vec<PostImage>, cats: Vec<CatId>) -> Self {
        Self { text, images, cats }
    }

    /// Replaces the images.
    #[must_use]
    pub fn with_images(mut self, images: Vec<PostImage>) -> Self {
        self.images = images;
        self
    }

    /// Removes a cat from those shown.
    #[must_use]
    pub fn without(mut self, cat: CatId) -> Self {
        self.cats.retain(|shown| *shown != cat);
        self
    }

    /// Splits the draft into text, images and cats.
    pub fn into_parts(self) -> (PostText, Vec<PostImage>, Vec<CatId>) {
        (self.text, self.images, self.cats)
    }

    /// Returns the text.
    pub const fn text(&self) -> &PostText {
        &self.text
    }

    /// Returns the images, in order.
    pub fn images(&self) -> &[PostImage] {
        &self.images
    }

    /// Returns the pictures of the images, in order.
    pub fn pictures(&self) -> Vec<&Picture> {
        self.images.iter().map(|image| &image.picture).collect()
    }

    /// Returns the cats shown, in order.
    pub fn cats(&self) -> &[CatId] {
        &self.cats
    }
}

/// Keeps the first of those with the same key.
fn deduplicated<T, K: Eq + Hash>(mut all: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut before = HashSet::new();
    all.retain(|one| before.insert(key(one)));
    all
}

/// The content in a request: all of a new post, or the fields that an edit changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostEdit {
    /// The new text.
    pub text: Option<PostText>,
    /// The new images.
    pub images: Option<Vec<PostImage>>,
    /// The new cats.
    pub cats: Option<Vec<CatId>>,
}

impl PostEdit {
    /// Returns the draft of a new post.
    pub fn into_draft(self) -> Result<Draft, Invalid> {
        Draft::new(
            self.text.unwrap_or_default(),
            self.images.unwrap_or_default(),
            self.cats.unwrap_or_default(),
        )
    }

    /// Returns the draft after the edit.
    pub fn apply(self, to: Draft) -> Result<Draft, Invalid> {
        Draft::new(
            self.text.unwrap_or(to.text),
            self.images.unwrap_or(to.images),
            self.cats.unwrap_or(to.cats),
        )
    }
}

/// A post as stored. Its tags follow from its text, its time of creation from its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Its id.
    pub id: PostId,
    /// The author's id.
    pub author: UserId,
    /// The content.
    pub draft: Draft,
    /// The time of the last edit.
    pub edited_at: Option<Timestamp>,
}

impl Post {
    /// Returns the tags of the text.
    pub fn tags(&self) -> Vec<Tag> {
        tags_of(self.draft.text.as_str())
    }
}

/// A post's exact counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostCounts {
    /// The number of likes.
    pub likes: u64,
    /// The number of comments.
    pub comments: u64,
    /// The number of changes of the counts: of two readings, the one with the higher `rev` is the later.
    #[serde(default)]
    pub rev: u64,
}

/// The viewer's own actions on a post.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ViewerState {
    /// Whether the viewer likes it.
    pub liked: bool,
    /// Whether the viewer saved it.
    pub saved: bool,
}

/// Everything needed to present a page of posts to a viewer.
#[derive(Debug, Clone, Default)]
pub struct HydratedPosts {
    /// The posts.
    pub posts: HashMap<PostId, Arc<Post>>,
    /// The ids of posts that never existed or were deleted.
    pub gone: HashSet<PostId>,
    /// Their counts.
    pub counts: HashMap<PostId, PostCounts>,
    /// The viewer's state of each.
    pub viewer: HashMap<PostId, ViewerState>,
    /// Their authors; `None` for one who has withdrawn.
    pub authors: HashMap<UserId, Option<Arc<Author>>>,
}

impl HydratedPosts {
    /// Adds other hydrated posts.
    pub fn add(&mut self, other: Self) {
        self.posts.extend(other.posts);
        self.gone.extend(other.gone);
        self.counts.extend(other.counts);
        self.viewer.extend(other.viewer);
        self.authors.extend(other.authors);
    }
}

/// A post in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Post"))]
pub struct PostView {
    /// Its id.
    pub id: PostId,
    /// The author.
    pub author: AuthorView,
    /// The text as written.
    pub text: PostText,
    /// Its tags, in order.
    pub tags: Vec<Tag>,
    /// Its images, in order.
    pub images: Vec<PictureView>,
    /// The cats shown.
    pub cats: Vec<CatId>,
    /// The time of writing.
    pub created_at: Timestamp,
    /// The time of the last edit.
    pub edited_at: Option<Timestamp>,
    /// The number of likes. It is the same for every caller, even if some likers are hidden.
    pub likes: u64,
    /// The number of comments, also the same for every caller.
    pub comments: u64,
    /// Whether the caller likes it.
    pub liked: bool,
    /// Whether the caller saved it.
    pub saved: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::presentation::tests::image;

    fn images(n: usize) -> Vec<PostImage> {
        (0..n).map(|_| image("nabi")).collect()
    }

    #[test]
    fn an_empty_text_needs_an_image() {
        let empty = PostText::default();
        assert!(Draft::new(empty.clone(), vec![], vec![]).is_err());
        assert!(Draft::new(empty, images(1), vec![]).is_ok());
        let blank = PostText::parse(" \u{200b}\u{3164}").unwrap();
        assert!(Draft::new(blank.clone(), vec![], vec![]).is_err());
        assert!(Draft::new(blank, images(1), vec![]).is_ok());
    }

    #[test]
    fn more_than_ten_images_or_cats_are_refused() {
        let text = PostText::parse("x").unwrap();
        let cats = |n: usize| vec![CatId::parse("0000000000001").unwrap(); n];
        assert!(Draft::new(text.clone(), images(10), cats(10)).is_ok());
        let image = images(1);
        let twice = [image.clone(), image].concat();
        let twice = Draft::new(text.clone(), twice, cats(10)).unwrap();
        assert_eq!((twice.images().len(), twice.cats().len()), (1, 1));
        let refused = Draft::new(text, images(11), cats(11)).unwrap_err();
        assert_eq!(refused.errors.len(), 2);
    }

    #[test]
    fn an_edit_may_not_empty_a_post() {
        let draft = Draft::new(PostText::parse("x").unwrap(), vec![], vec![]).unwrap();
        let edit = PostEdit {
            text: Some(PostText::default()),
            ..PostEdit::default()
        };
        assert!(edit.apply(draft).is_err());
    }
}
