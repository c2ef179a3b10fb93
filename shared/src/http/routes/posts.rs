//! Posts, and lists of them.

use super::super::body::{List, NewImages, Unchecked, body};
use super::Group;
use super::cats::CAT;
use super::operation::{Operation, Parameter, delete, get, patch, post};
use super::users::{USER, WITHDRAWN};
use crate::domain::{CatId, MAX_CATS, PostId, PostText, PostView, Tag, TagView};

pub(super) const GROUP: Group = Group {
    name: "Posts",
    description: "Posts, and lists of them by author, cat and tag.",
    operations: &[
        CREATE_POST,
        GET_POST,
        EDIT_POST,
        DELETE_POST,
        LIST_POSTS_BY_USER,
        LIST_POSTS_BY_CAT,
        LIST_POSTS_BY_TAG,
        LIST_TRENDING_TAGS,
    ],
};

pub(super) const POST: Parameter =
    Parameter::path::<PostId>("id", "The post's id.", "0apy9g1rzcd0v");
const TAG: Parameter = Parameter::path::<Tag>(
    "tag",
    "The tag without its `#`, in any spelling: letters, digits, marks and `_` of any script, not digits alone, and middle dots between them.",
    "고양이",
);

body! {
    /// A post to write. Without an image, it needs a text.
    #[cfg_attr(feature = "openapi", schemars(
        extend(
            "if" = { "properties": { "images": { "type": "array", "minItems": 1 } }, "required": ["images"] },
            "else" = { "properties": { "text": { "type": "string", "minLength": 1 } }, "required": ["text"] },
        ),
        example = serde_json::json!({ "text": "오늘의 #고양이" }),
        example = serde_json::json!({
            "text": "오늘의 #고양이",
            "images": [
                "uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg",
                { "key": "uploads/nabi/Zx0mQ5tR3uYwXv8KcD2fAw.png", "alt": "잠자는 러시안 블루" },
            ],
            "cats": ["0apy9c40x2jw7"],
        }),
    ))]
    pub struct NewPost {
        /// The text; its hashtags become the post's tags.
        pub text: Option<PostText>,
        /// Images that the caller uploaded, in order, each once: by their keys, or with descriptions for those who can't see
        /// them.
        pub images: Option<NewImages>,
        /// The ids of the caller's cats in the post.
        pub cats: Option<List<Unchecked<CatId>, MAX_CATS>>,
    }
}

body! {
    /// The changes to a post.
    #[cfg_attr(feature = "openapi", schemars(
        rename = "PostEdit",
        example = serde_json::json!({ "text": "어제의 #고양이" }),
    ))]
    pub struct EditPost {
        /// The text; its hashtags become the post's tags.
        pub text: Option<PostText>,
        /// Images that the caller uploaded, in order, each once: by their keys, or with descriptions for those who can't see
        /// them.
        pub images: Option<NewImages>,
        /// The ids of the caller's cats in the post.
        pub cats: Option<List<Unchecked<CatId>, MAX_CATS>>,
    }
}

/// `POST /v1/posts`
pub const CREATE_POST: Operation = post("/v1/posts", "createPost", "Write a post")
    .takes::<NewPost>()
    .creates::<PostView>("The post.")
    .problems(&[
        (403, WITHDRAWN),
        (422, "An image was not uploaded by the caller or can't be shown, a cat is not the caller's, or the `Idempotency-Key` was used for another request."),
    ])
    .leads_to(&["getPost", "editPost", "likePost", "savePost", "createComment", "listComments", "deletePost"]);

/// `GET /v1/posts/{id}`
pub const GET_POST: Operation = get("/v1/posts/{id}", "getPost", "Read a post")
    .parameters(&[POST])
    .answers::<PostView>(200, "The post.");

/// `PATCH /v1/posts/{id}`
pub const EDIT_POST: Operation = patch("/v1/posts/{id}", "editPost", "Change a post")
    .description("Omitted fields stay. An edit without a change leaves `edited_at` as it was. A post without a text must have an image.")
    .parameters(&[POST])
    .takes::<EditPost>()
    .answers::<PostView>(200, "The post as it is now.")
    .problems(&[
        (403, "Only its author may change a post."),
        (422, "An image was not uploaded by the caller or can't be shown, or a cat is not the caller's."),
    ]);

/// `DELETE /v1/posts/{id}`
pub const DELETE_POST: Operation = delete("/v1/posts/{id}", "deletePost", "Delete a post")
    .parameters(&[POST])
    .empty("The post is removed from every feed and list.")
    .problems(&[(403, "Only its author may delete a post.")]);

/// `GET /v1/users/{id}/posts`
pub const LIST_POSTS_BY_USER: Operation = get(
    "/v1/users/{id}/posts",
    "listPostsByUser",
    "List a user's posts, newest first",
)
.parameters(&[USER])
.lists::<PostView>();

/// `GET /v1/cats/{id}/posts`
pub const LIST_POSTS_BY_CAT: Operation = get(
    "/v1/cats/{id}/posts",
    "listPostsByCat",
    "List the posts that show a cat, newest first",
)
.parameters(&[CAT])
.lists::<PostView>();

/// `GET /v1/tags/{tag}/posts`
pub const LIST_POSTS_BY_TAG: Operation = get(
    "/v1/tags/{tag}/posts",
    "listPostsByTag",
    "List the posts with a tag, newest first",
)
.parameters(&[TAG])
.lists::<PostView>();

/// `GET /v1/tags/trending`
pub const LIST_TRENDING_TAGS: Operation =
    get("/v1/tags/trending", "listTrendingTags", "List trending tags")
        .description("Orders tags by the number of authors who used them in the last 24 hours. Tags that only hidden authors used are left out. There is always one page.")
        .lists::<TagView>()
        .one_page();
