//! Presentation: builds the JSON of answers from the data of the store and the cache.
//!
//! Only this module makes the URLs of pictures.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    Author, AuthorView, BlockedView, BreedName, Cat, CatView, Comment, CommentView, HydratedPosts,
    Picture, PictureName, PictureView, Post, PostCounts, PostId, PostImage, PostView, Profile,
    Relation, SizeView, UserView, ViewerState,
};

/// The base URL that pictures are served from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageHost(String);

impl ImageHost {
    /// Creates a host from its base URL, with or without a slash at the end.
    pub fn new(base: &str) -> Self {
        Self(base.trim_end_matches('/').to_owned())
    }

    fn url(&self, file: &str) -> String {
        format!("{}/{file}", self.0)
    }

    /// Returns the URL of a picture's smallest size.
    fn smallest(&self, name: &PictureName) -> String {
        self.url(&name.smallest())
    }

    fn view(&self, PostImage { picture, alt }: PostImage) -> PictureView {
        let url = self.url(&picture.largest());
        let Picture {
            key,
            name,
            sizes,
            thumbhash,
        } = picture;
        let files = name.files();
        let sizes = files.iter().zip(sizes.get());
        let sizes: Vec<SizeView> = sizes
            .map(|(file, size)| SizeView {
                url: self.url(file),
                width: size.width,
                height: size.height,
            })
            .collect();
        let (width, height) = sizes
            .last()
            .map_or((0, 0), |largest| (largest.width, largest.height));
        PictureView {
            key,
            url,
            width,
            height,
            alt,
            thumbhash,
            sizes,
        }
    }
}

/// Presents visible posts, in their order. Posts of an unknown author are left out, since the author may have
/// withdrawn.
pub fn present_posts<'p>(
    visible: impl IntoIterator<Item = &'p Arc<Post>>,
    known: &HydratedPosts,
    images: &ImageHost,
) -> Vec<PostView> {
    present_each(visible, known, |post, author, counts, viewer| {
        let post = Post::clone(post);
        post.view(Author::clone(author), counts, viewer, images)
    })
}

/// Presents visible posts as [`present_posts`] does, each by `present`.
pub fn present_each<'p, V>(
    visible: impl IntoIterator<Item = &'p Arc<Post>>,
    known: &HydratedPosts,
    present: impl Fn(&Arc<Post>, &Arc<Author>, PostCounts, ViewerState) -> V,
) -> Vec<V> {
    let view = |post: &'p Arc<Post>| {
        let author = known.authors.get(&post.author)?.as_ref()?;
        let counts = known.counts.get(&post.id).copied().unwrap_or_default();
        let viewer = known.viewer.get(&post.id).copied().unwrap_or_default();
        Some(present(post, author, counts, viewer))
    };
    visible.into_iter().filter_map(view).collect()
}

/// The JSON of those parts of a [`PostView`] that only an edit of the post changes.
#[derive(Debug)]
pub struct PostJson {
    text: Box<RawValue>,
    tags: Box<RawValue>,
    images: Box<RawValue>,
    cats: Box<RawValue>,
    created_at: Box<RawValue>,
    edited_at: Box<RawValue>,
}

impl PostJson {
    /// Writes the JSON of a post.
    pub fn new(post: &Post, images: &ImageHost) -> Self {
        let shown = post.draft.images().iter().cloned();
        let shown: Vec<PictureView> = shown.map(|image| images.view(image)).collect();
        Self {
            text: json(post.draft.text()),
            tags: json(&post.tags()),
            images: json(&shown),
            cats: json(post.draft.cats()),
            created_at: json(&post.id.created_at()),
            edited_at: json(&post.edited_at),
        }
    }

    /// Returns its size in bytes.
    pub fn size(&self) -> usize {
        let parts = [
            &self.text,
            &self.tags,
            &self.images,
            &self.cats,
            &self.created_at,
            &self.edited_at,
        ];
        parts.map(|part| part.get().len()).iter().sum()
    }
}

/// A post that serializes as its [`PostView`] does, from JSON that was written before.
#[derive(Debug, Clone)]
pub struct RenderedPost {
    /// Its id.
    pub id: PostId,
    /// The author's [`AuthorView`].
    pub author: Arc<RawValue>,
    /// The parts that only an edit changes.
    pub json: Arc<PostJson>,
    /// Its counts.
    pub counts: PostCounts,
    /// The viewer's state.
    pub viewer: ViewerState,
}

impl Serialize for RenderedPost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'p> {
            id: PostId,
            author: &'p RawValue,
            text: &'p RawValue,
            tags: &'p RawValue,
            images: &'p RawValue,
            cats: &'p RawValue,
            created_at: &'p RawValue,
            edited_at: &'p RawValue,
            likes: u64,
            comments: u64,
            liked: bool,
            saved: bool,
        }
        let json = &self.json;
        let fields = Fields {
            id: self.id,
            author: &self.author,
            text: &json.text,
            tags: &json.tags,
            images: &json.images,
            cats: &json.cats,
            created_at: &json.created_at,
            edited_at: &json.edited_at,
            likes: self.counts.likes,
            comments: self.counts.comments,
            liked: self.viewer.liked,
            saved: self.viewer.saved,
        };
        fields.serialize(serializer)
    }
}

/// Writes a value as JSON.
pub(super) fn json(value: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|error| {
        // No type here can fail to be written.
        tracing::error!(%error, "a value of an answer can't be written");
        RawValue::NULL.to_owned()
    })
}

impl Post {
    /// Presents the post to a viewer.
    pub fn view(
        self,
        author: Author,
        counts: PostCounts,
        viewer: ViewerState,
        images: &ImageHost,
    ) -> PostView {
        let tags = self.tags();
        let (text, shown, cats) = self.draft.into_parts();
        PostView {
            id: self.id,
            author: author.view(images),
            tags,
            images: shown.into_iter().map(|image| images.view(image)).collect(),
            text,
            cats,
            created_at: self.id.created_at(),
            edited_at: self.edited_at,
            likes: counts.likes,
            comments: counts.comments,
            liked: viewer.liked,
            saved: viewer.saved,
        }
    }
}

impl Author {
    /// Presents the author, the same to every viewer.
    pub fn view(self, images: &ImageHost) -> AuthorView {
        AuthorView {
            id: self.id,
            handle: self.handle,
            name: self.name,
            avatar_url: self.avatar.map(|name| images.smallest(&name)),
        }
    }

    /// Writes the JSON of the author's [`AuthorView`].
    pub fn json(&self, images: &ImageHost) -> Box<RawValue> {
        json(&self.clone().view(images))
    }
}

impl Comment {
    /// Presents the comment with its author.
    pub fn view(self, author: Author, images: &ImageHost) -> CommentView {
        CommentView {
            id: self.id,
            post_id: self.post,
            author: author.view(images),
            text: self.text,
            created_at: self.id.created_at(),
        }
    }
}

impl Cat {
    /// Presents the cat, the same to every viewer.
    pub fn view(self, images: &ImageHost) -> CatView {
        CatView {
            id: self.id,
            owner: self.owner,
            name: self.name,
            breed_name: self.breed.as_ref().and_then(BreedName::of),
            breed: self.breed,
            birth_date: self.birth_date,
            photo_url: self.photo.map(|photo| images.smallest(&photo.name)),
            bio: self.bio,
            created_at: self.id.created_at(),
        }
    }
}

impl Profile {
    /// Presents the user to a viewer in this relation to the user.
    pub fn view(self, relation: Relation, images: &ImageHost) -> UserView {
        let AuthorView {
            id,
            handle,
            name,
            avatar_url,
        } = Author::of(&self.id, Some(&self)).view(images);
        UserView {
            id,
            handle,
            name,
            bio: self.bio,
            avatar_url,
            followers: self.followers,
            following: self.following,
            posts: self.posts,
            followed: relation.followed,
            follows_me: relation.follows_me,
            created_at: self.created_at,
        }
    }

    /// Presents the user to a viewer who blocks the user.
    pub fn blocked_view(self) -> BlockedView {
        let Author {
            id, handle, name, ..
        } = Author::of(&self.id, Some(&self));
        BlockedView {
            id,
            handle,
            name,
            blocked: true,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{
        Alt, CatId, ContentType, Draft, ImageKey, PictureSize, PictureSizes, PostId, PostText,
        Thumbhash, Timestamp, UserId,
    };

    /// Returns an image of two sizes.
    pub(crate) fn image(owner: &str) -> PostImage {
        let sizes = [(320, 240), (640, 480)];
        let sizes = sizes.map(|(width, height)| PictureSize { width, height });
        PostImage {
            picture: Picture {
                key: ImageKey::mint(&UserId::parse(owner).unwrap(), ContentType::Jpeg),
                name: PictureName::mint(),
                sizes: PictureSizes::new(sizes.to_vec()).unwrap(),
                thumbhash: Thumbhash::new(b"cat"),
            },
            alt: None,
        }
    }

    #[test]
    fn pictures_have_urls_on_the_image_host() {
        let nabi = UserId::parse("nabi").unwrap();
        let [photo, avatar] = [(); 2].map(|()| image("nabi"));
        let post = Post {
            id: PostId::parse("0000000000001").unwrap(),
            author: nabi.clone(),
            draft: Draft::new(PostText::default(), vec![photo.clone()], vec![]).unwrap(),
            edited_at: None,
        };
        let author = Author {
            avatar: Some(avatar.picture.name.clone()),
            ..Author::of(&nabi, None)
        };
        for base in ["https://images", "https://images/"] {
            let (counts, viewer) = (PostCounts::default(), ViewerState::default());
            let images = ImageHost::new(base);
            let view = post.clone().view(author.clone(), counts, viewer, &images);
            let url = |name: &PictureName, file: &str| format!("https://images/{name}/{file}.jpg");
            let [shown] = <[_; 1]>::try_from(view.images).unwrap();
            assert_eq!(shown.url, url(&photo.picture.name, "medium"));
            assert_eq!((shown.width, shown.height), (640, 480));
            let sizes = shown.sizes.iter();
            let sizes: Vec<_> = sizes.map(|size| (size.url.clone(), size.width)).collect();
            let expected = [("small", 320), ("medium", 640)];
            let expected = expected.map(|(file, width)| (url(&photo.picture.name, file), width));
            assert_eq!(sizes, expected);
            let avatar_url = url(&avatar.picture.name, "small");
            assert_eq!(view.author.avatar_url, Some(avatar_url));
        }
    }

    #[test]
    fn rendered_posts_are_the_same_json_as_their_views() {
        let nabi = UserId::parse("nabi").unwrap();
        let described = PostImage {
            alt: Alt::parse("a \"cat\"").unwrap(),
            ..image("nabi")
        };
        let text = PostText::parse("\\ \"quoted\" 🐈\n#cats #고양이").unwrap();
        let cats = vec![CatId::parse("0000000000007").unwrap()];
        let full = Post {
            id: PostId::parse("0000000000001").unwrap(),
            author: nabi.clone(),
            draft: Draft::new(text, vec![described, image("nabi")], cats).unwrap(),
            edited_at: Some(Timestamp::from_millis(1_700_000_000_000)),
        };
        let short = Post {
            draft: Draft::new(PostText::parse("meow").unwrap(), vec![], vec![]).unwrap(),
            edited_at: None,
            ..full.clone()
        };
        let author = Author {
            avatar: Some(image("nabi").picture.name),
            ..Author::of(&nabi, None)
        };
        let counts = PostCounts {
            likes: 3,
            comments: 2,
            rev: 5,
        };
        let images = ImageHost::new("https://images");
        for (post, liked) in [(&full, true), (&full, false), (&short, true)] {
            let viewer = ViewerState {
                liked,
                saved: !liked,
            };
            let rendered = RenderedPost {
                id: post.id,
                author: author.json(&images).into(),
                json: PostJson::new(post, &images).into(),
                counts,
                viewer,
            };
            let view = post.clone().view(author.clone(), counts, viewer, &images);
            assert_eq!(json(&rendered).get(), json(&view).get());
        }
    }

    #[test]
    fn posts_with_an_unhydrated_author_are_left_out() {
        let [nabi, mimi] = ["nabi", "mimi"].map(|id| UserId::parse(id).unwrap());
        let post = |id: &str, author: &UserId| {
            Arc::new(Post {
                id: PostId::parse(id).unwrap(),
                author: author.clone(),
                draft: Draft::new(PostText::parse("meow").unwrap(), vec![], vec![]).unwrap(),
                edited_at: None,
            })
        };
        let posts = [post("0000000000002", &nabi), post("0000000000001", &mimi)];
        let author = Author::of(&mimi, None);
        let known = HydratedPosts {
            authors: [(mimi, Some(Arc::new(author)))].into(),
            ..HydratedPosts::default()
        };
        let views = present_posts(&posts, &known, &ImageHost::new("https://images"));
        let ids: Vec<PostId> = views.iter().map(|view| view.id).collect();
        assert_eq!(ids, [posts[1].id]);
    }
}
