//! Presentation: builds the JSON of answers from the data of the store and the cache.
//!
//! Only this module turns an image's key into a URL.

use super::{
    Author, AuthorView, BlockedView, BreedName, Cat, CatView, Comment, CommentView, HydratedPosts,
    Image, ImageKey, Post, PostCounts, PostView, Profile, Relation, UserView, ViewerState,
};

/// The base URL that images are served from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageHost(String);

impl ImageHost {
    /// Creates a host from its base URL, with or without a slash at the end.
    pub fn new(base: &str) -> Self {
        Self(base.trim_end_matches('/').to_owned())
    }

    fn url(&self, key: &ImageKey) -> String {
        format!("{}/{key}", self.0)
    }

    fn image(&self, key: ImageKey) -> Image {
        Image {
            url: self.url(&key),
            key,
        }
    }
}

/// Presents visible posts, in their order. Posts of an unknown author are left out, since the author may have
/// withdrawn.
pub fn present_posts<'p>(
    visible: impl IntoIterator<Item = &'p Post>,
    known: &HydratedPosts,
    images: &ImageHost,
) -> Vec<PostView> {
    let view = |post: &Post| {
        let author = known.authors.get(&post.author)?.clone()?;
        let counts = known.counts.get(&post.id).copied().unwrap_or_default();
        let viewer = known.viewer.get(&post.id).copied().unwrap_or_default();
        Some(post.clone().view(author, counts, viewer, images))
    };
    visible.into_iter().filter_map(view).collect()
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
        let (text, keys, cats) = self.draft.into_parts();
        PostView {
            id: self.id,
            author: author.view(images),
            tags,
            images: keys.into_iter().map(|key| images.image(key)).collect(),
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
            avatar_url: self.avatar.map(|key| images.url(&key)),
        }
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
            photo_url: self.photo.map(|key| images.url(&key)),
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
mod tests {
    use super::*;
    use crate::domain::{ContentType, Draft, PostId, PostText, UserId};

    #[test]
    fn image_keys_become_urls_on_the_image_host() {
        let nabi = UserId::parse("nabi").unwrap();
        let [photo, avatar] = [ContentType::Jpeg; 2].map(|kind| ImageKey::mint(&nabi, kind));
        let post = Post {
            id: PostId::parse("0000000000001").unwrap(),
            author: nabi.clone(),
            draft: Draft::new(PostText::default(), vec![photo.clone()], vec![]).unwrap(),
            edited_at: None,
        };
        let author = Author {
            avatar: Some(avatar.clone()),
            ..Author::of(&nabi, None)
        };
        for base in ["https://images", "https://images/"] {
            let (counts, viewer) = (PostCounts::default(), ViewerState::default());
            let images = ImageHost::new(base);
            let view = post.clone().view(author.clone(), counts, viewer, &images);
            assert_eq!(view.images[0].url, format!("https://images/{photo}"));
            let avatar_url = format!("https://images/{avatar}");
            assert_eq!(view.author.avatar_url, Some(avatar_url));
        }
    }

    #[test]
    fn posts_with_an_unhydrated_author_are_left_out() {
        let [nabi, mimi] = ["nabi", "mimi"].map(|id| UserId::parse(id).unwrap());
        let post = |id: &str, author: &UserId| Post {
            id: PostId::parse(id).unwrap(),
            author: author.clone(),
            draft: Draft::new(PostText::parse("meow").unwrap(), vec![], vec![]).unwrap(),
            edited_at: None,
        };
        let posts = [post("0000000000002", &nabi), post("0000000000001", &mimi)];
        let author = Author::of(&mimi, None);
        let known = HydratedPosts {
            authors: [(mimi, Some(author))].into(),
            ..HydratedPosts::default()
        };
        let views = present_posts(&posts, &known, &ImageHost::new("https://images"));
        let ids: Vec<PostId> = views.iter().map(|view| view.id).collect();
        assert_eq!(ids, [posts[1].id]);
    }
}
