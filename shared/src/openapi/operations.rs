//! Every operation of the API.

use axum::http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::examples;
use super::operation::{Body, Operation, described};
use super::schemas::ChosenHandle;
use crate::domain::{
    BREEDS, Bio, BirthDate, BlockedView, Breed, CatId, CatView, Classification, CommentId,
    CommentText, CommentView, ContentType, Cursor, ImageKey, MAX_CATS, MAX_IMAGES, Name, PostId,
    PostText, PostView, RegisteredCat, SearchText, SearchType, Tag, TagView, Upload, UploadSize,
    UserRef, UserView,
};
use crate::http::Status;

/// What operations are grouped by.
pub(super) const TAGS: [(&str, &str); 10] = [
    ("Feed", "What those wrote whom the caller follows."),
    ("Posts", "Posts, and lists of them by author, cat and tag."),
    ("Comments", "What people say of a post."),
    (
        "Likes and follows",
        "Queued: they take effect within seconds, and the caller's last word wins.",
    ),
    ("Users", "Profiles, followers, blocks."),
    ("Cats", "The users' cats."),
    ("Saved", "Posts that the caller keeps for later."),
    ("Images", "Uploads, and which breed the cat of an image is."),
    (
        "Search",
        "Posts, users, cats and tags, in Korean and English.",
    ),
    ("Service", "The service itself."),
];

/// Every operation, by group.
pub(super) fn all() -> Vec<Operation> {
    [
        feed(),
        posts(),
        comments(),
        likes_and_follows(),
        users(),
        cats(),
        saved(),
        images(),
        search(),
        service(),
    ]
    .into_iter()
    .zip(TAGS)
    .flat_map(|(operations, (tag, _))| {
        operations
            .into_iter()
            .map(move |operation| operation.tag(tag))
    })
    .collect()
}

fn get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::GET, path, id, summary)
}

fn put(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::PUT, path, id, summary)
}

fn post(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::POST, path, id, summary)
}

fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::PATCH, path, id, summary)
}

fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::DELETE, path, id, summary)
}

fn of_post(operation: Operation) -> Operation {
    operation.path::<PostId>("id", "The post's id.", examples::POST)
}

fn of_cat(operation: Operation) -> Operation {
    operation.path::<CatId>("id", "The cat's id.", examples::CAT)
}

fn of_user(operation: Operation) -> Operation {
    operation.path::<UserRef>("id", "The user's id, or `@` and their handle.", "@nabi")
}

fn list<T: JsonSchema + 'static>(operation: Operation, example: Value) -> Operation {
    operation.paged().page::<T>(example)
}

fn feed() -> Vec<Operation> {
    let feed = get("/v1/feed", "getFeed", "Read the feed")
        .describe_as("Posts by those whom the caller follows, and the caller's own, newest first. A page is full while there is more, unless nearly all that is left is hidden from the caller.");
    vec![list::<PostView>(feed, examples::post())]
}

const WITHDRAWN: &str = "The caller's account was withdrawn.";
const TEXT: &str = "The text; its hashtags become the post's tags.";
const IMAGES: &str = "Keys of images that the caller uploaded, in order, each once.";
const CATS: &str = "Ids of the caller's cats that it shows.";

fn posts() -> Vec<Operation> {
    let content = |name| {
        Body::new(name)
            .optional::<PostText>("text", TEXT)
            .distinct_list::<ImageKey>("images", MAX_IMAGES, IMAGES)
            .list::<CatId>("cats", MAX_CATS, CATS)
    };
    // A text is needed where there is no image.
    let with_image = json!({ "properties": { "images": { "type": "array", "minItems": 1 } }, "required": ["images"] });
    let with_text = json!({ "properties": { "text": { "type": "string", "minLength": 1 } }, "required": ["text"] });
    let new = content("NewPost")
        .besides("if", with_image)
        .besides("else", with_text)
        .example("text", json!({ "text": "오늘의 #고양이" }))
        .example("images", examples::new_post());
    let edit = content("PostEdit").example("text", json!({ "text": "어제의 #고양이" }));
    let by_tag = get(
        "/v1/tags/{tag}/posts",
        "listPostsByTag",
        "List the posts with a tag, newest first",
    )
    .path::<Tag>("tag", "The tag without its `#`, in any spelling: letters, digits, marks and `_` of any script, not digits alone, and middle dots between them.", "고양이");
    let trending = get(
        "/v1/tags/trending",
        "listTrendingTags",
        "List the tags that trend",
    )
    .describe_as("By how many different authors used them in the last 24 hours; those that only authors used whom the caller doesn't see are left out. One page, always.")
    .limited()
    .page::<TagView>(examples::tag());
    vec![
        post("/v1/posts", "createPost", "Write a post")
            .body(new)
            .creates::<PostView>("The post.", true, examples::post())
            .problem_when(403, WITHDRAWN)
            .problem_when(422, "An image was not uploaded by the caller, a cat is not the caller's, or the `Idempotency-Key` was used for another request.")
            .leads_to("getPost", "id")
            .leads_to("editPost", "id")
            .leads_to("likePost", "id")
            .leads_to("savePost", "id")
            .leads_to("createComment", "id")
            .leads_to("listComments", "id")
            .leads_to("deletePost", "id"),
        of_post(get("/v1/posts/{id}", "getPost", "Read a post"))
            .answers::<PostView>(200, "The post.", examples::post()),
        of_post(patch("/v1/posts/{id}", "editPost", "Change a post"))
            .describe_as("What is left out stays as it is; where nothing changes, `edited_at` stays too. A post without a text must have an image.")
            .body(edit)
            .answers::<PostView>(200, "The post as it is now.", examples::post())
            .problem_when(403, "Only its author may change a post.")
            .problem_when(422, "An image was not uploaded by the caller, or a cat is not the caller's."),
        of_post(delete("/v1/posts/{id}", "deletePost", "Delete a post"))
            .empty("It is gone from every feed and list.")
            .problem_when(403, "Only its author may delete a post."),
        list::<PostView>(of_user(get("/v1/users/{id}/posts", "listPostsByUser", "List a user's posts, newest first")), examples::post()),
        list::<PostView>(of_cat(get("/v1/cats/{id}/posts", "listPostsByCat", "List the posts that show a cat, newest first")), examples::post()),
        list::<PostView>(by_tag, examples::post()),
        trending,
    ]
}

fn comments() -> Vec<Operation> {
    const ALL: &str = "/v1/posts/{id}/comments";
    let new = Body::new("NewComment")
        .required::<CommentText>("text", "What is said.")
        .example("text", json!({ "text": "귀여워!" }));
    let one = delete(
        "/v1/posts/{id}/comments/{comment_id}",
        "deleteComment",
        "Delete a comment",
    );
    vec![
        of_post(post(ALL, "createComment", "Comment on a post"))
            .body(new)
            .creates::<CommentView>("The comment.", true, examples::comment())
            .problem_when(403, WITHDRAWN)
            .problem_when(422, "The `Idempotency-Key` was used for another request."),
        list::<CommentView>(
            of_post(get(
                ALL,
                "listComments",
                "List a post's comments, newest first",
            )),
            examples::comment(),
        ),
        of_post(one)
            .path::<CommentId>("comment_id", "The comment's id.", examples::COMMENT)
            .empty("It is gone.")
            .describe_as("Its author and the post's may, whoever of them blocks the other.")
            .problem_when(403, "Only its author and the post's may delete a comment, and none whose account was withdrawn."),
    ]
}

fn likes_and_follows() -> Vec<Operation> {
    const LIKE: &str = "/v1/posts/{id}/like";
    const FOLLOW: &str = "/v1/users/{id}/follow";
    let queued = |operation: Operation| {
        operation
            .says(202, "The queue has it.", Status::Queued)
            .describe_as("It takes effect within seconds; where there is no such thing, or none that the caller may see, it has no effect.")
            .problem_when(404, "There can't be such an id, or nobody has that handle.")
    };
    let user = |operation: Operation| queued(of_user(operation));
    let oneself = "Nobody follows themselves.";
    vec![
        queued(of_post(put(LIKE, "likePost", "Like a post"))),
        queued(of_post(delete(LIKE, "unlikePost", "Like a post no longer"))),
        list::<UserView>(
            of_post(get(
                "/v1/posts/{id}/likes",
                "listLikes",
                "List who likes a post, latest first",
            )),
            examples::user(),
        ),
        user(put(FOLLOW, "followUser", "Follow a user"))
            .problem_when(409, "The caller follows as many users as one may. Where that isn't known yet, the follow is taken and has no effect.")
            .problem_when(422, oneself),
        user(delete(FOLLOW, "unfollowUser", "Follow a user no longer")).problem_when(422, oneself),
        list::<UserView>(
            of_user(get(
                "/v1/users/{id}/followers",
                "listFollowers",
                "List who follows a user, latest first",
            )),
            examples::user(),
        ),
        list::<UserView>(
            of_user(get(
                "/v1/users/{id}/following",
                "listFollowing",
                "List whom a user follows, latest first",
            )),
            examples::user(),
        ),
    ]
}

fn users() -> Vec<Operation> {
    const BLOCK: &str = "/v1/users/{id}/block";
    const HANDLE: &str = "Unique, and none of the reserved ones (`admin`, `support`, `purrline`, `api`, `null` and their like, with \
                          dots or low lines in them too); one that was given up is free for others after 30 days.";
    const NAME: &str = "The name that is shown.";
    let besides = |body: Body| {
        body.clearable::<Bio>(
            "bio",
            "What they say of themselves. Left out, it stays; an empty text takes it away.",
        )
        .clearable::<ImageKey>(
            "avatar",
            "The key of an image that the caller uploaded. Left out, it stays; an empty text takes it away.",
        )
    };
    let profile = Body::new("Profile")
        .required::<ChosenHandle>("handle", HANDLE)
        .required::<Name>("name", NAME);
    let profile = besides(profile).example("profile", examples::profile());
    let edit = Body::new("ProfileEdit")
        .optional::<ChosenHandle>("handle", HANDLE)
        .optional::<Name>("name", NAME);
    let edit = besides(edit).example("bio", json!({ "bio": "고양이 네 마리" }));
    let changes = |operation: Operation| {
        operation
            .problem_when(403, WITHDRAWN)
            .problem_when(409, "Somebody else has this handle (`handle-taken`), or the caller gave up five within 30 days (`handles-too-many`).")
            .problem_when(422, "The avatar was not uploaded by the caller.")
    };
    vec![
        get("/v1/me", "getMe", "Read one's own profile")
            .answers::<UserView>(200, "The caller.", examples::user())
            .problem_when(404, WITHDRAWN),
        changes(put("/v1/me", "putMe", "Set one's profile"))
            .body(profile)
            .answers::<UserView>(200, "The profile as it is now.", examples::user())
            .answers::<UserView>(201, "The profile, set for the first time.", examples::user()),
        changes(patch("/v1/me", "editMe", "Change some of one's profile"))
            .describe_as("What is left out stays as it is.")
            .body(edit)
            .answers::<UserView>(200, "The profile as it is now.", examples::user()),
        delete("/v1/me", "leave", "Withdraw one's account")
            .describe_as("At once its posts, comments and profile are gone for everybody; then its data is erased in the background.")
            .says(202, "The account is withdrawn.", Status::Withdrawn),
        of_user(get("/v1/users/{id}", "getUser", "Read a user's profile"))
            .answers::<UserView>(200, "The user.", examples::user()),
        of_user(put(BLOCK, "blockUser", "Block a user"))
            .describe_as("From then on neither sees the other's profile, posts or comments, and follows between them end. A block outlives the blocked account: should they leave and return, they are still blocked.")
            .empty("The user is blocked.")
            .problem_when(403, WITHDRAWN)
            .problem_when(422, "Nobody blocks themselves."),
        of_user(delete(BLOCK, "unblockUser", "Block a user no longer"))
            .empty("The user is not blocked.")
            .problem_when(422, "Nobody blocks themselves."),
        list::<BlockedView>(
            get("/v1/me/blocked", "listBlocked", "List whom the caller blocks, latest first")
                .describe_as("Those who have left are not listed, and are again when they return."),
            examples::blocked_user(),
        ),
    ]
}

fn cats() -> Vec<Operation> {
    const BREED: &str = "A breed's id of `GET /v1/breeds`, or any text.";
    const PHOTO: &str = "The key of an image that the caller uploaded.";
    let new = Body::new("NewCat")
        .required::<Name>("name", "What it is called.")
        .optional::<Name>("breed", BREED)
        .optional::<BirthDate>("birth_date", "When it was born; not in the future.")
        .optional::<ImageKey>("photo", PHOTO)
        .optional::<Bio>("bio", "What is to be said of it.")
        .example("cat", examples::new_cat());
    let edit = Body::new("CatEdit")
        .optional::<Name>("name", "What it is called.")
        .clearable::<Name>("breed", BREED)
        .clearable::<BirthDate>("birth_date", "When it was born; not in the future.")
        .clearable::<ImageKey>("photo", PHOTO)
        .clearable::<Bio>("bio", "What is to be said of it.")
        .example("breed", json!({ "breed": "russian-blue" }));
    vec![
        post("/v1/cats", "createCat", "Register a cat")
            .describe_as("With a photo and without a breed, the answer says what the classifier takes it for.")
            .body(new)
            .creates::<RegisteredCat<'static>>("The cat.", true, examples::registered_cat())
            .problem_when(403, WITHDRAWN)
            .problem_when(422, "The photo was not uploaded by the caller, or the `Idempotency-Key` was used for another request.")
            .leads_to("getCat", "id")
            .leads_to("editCat", "id")
            .leads_to("listPostsByCat", "id")
            .leads_to("deleteCat", "id"),
        of_cat(get("/v1/cats/{id}", "getCat", "Read a cat")).answers::<CatView>(200, "The cat.", examples::cat()),
        of_cat(patch("/v1/cats/{id}", "editCat", "Change a cat"))
            .describe_as("What is left out stays as it is; an empty text takes it away, but for the name.")
            .body(edit)
            .answers::<CatView>(200, "The cat as it is now.", examples::cat())
            .problem_when(403, "Only its owner may change a cat.")
            .problem_when(422, "The photo was not uploaded by the caller."),
        of_cat(delete("/v1/cats/{id}", "deleteCat", "Remove a cat"))
            .empty("It is gone, and from the posts that showed it within a minute.")
            .problem_when(403, "Only its owner may remove a cat."),
        list::<CatView>(of_user(get("/v1/users/{id}/cats", "listCatsByUser", "List a user's cats, latest first")), examples::cat()),
    ]
}

fn saved() -> Vec<Operation> {
    const SAVE: &str = "/v1/posts/{id}/save";
    vec![
        of_post(put(SAVE, "savePost", "Save a post"))
            .empty("It is saved.")
            .problem_when(403, WITHDRAWN),
        of_post(delete(SAVE, "unsavePost", "Save a post no longer")).empty("It is not saved."),
        list::<PostView>(
            get(
                "/v1/me/saved",
                "listSaved",
                "List the caller's saved posts, latest saved first",
            ),
            examples::post(),
        ),
    ]
}

fn images() -> Vec<Operation> {
    const MEDIA_TYPES: &[&str] = &["image/jpeg", "image/png", "image/webp"];
    let wanted = Body::new("NewUpload")
        .required::<ContentType>("content_type", "What kind of image it is.")
        .required::<UploadSize>("size", "How many bytes it has: at most 10 MiB.")
        .optional::<Checksum>(
            "sha256",
            "Its SHA-256 in base64; with it, no other bytes are taken.",
        )
        .example("jpeg", examples::new_upload());
    let image = Body::new("NamedImage")
        .required::<ImageKey>("image", "The key of an image that the caller uploaded.")
        .example("key", examples::named_image())
        .or_an_image(MEDIA_TYPES);
    vec![
        post("/v1/uploads", "createUpload", "Upload an image")
            .describe_as("Send the file's bytes to `url` by `method` with exactly these `headers`, before `expires_at`. It can't replace an object that is there.")
            .body(wanted)
            .creates::<Upload>("Where to send it.", false, examples::upload())
            .problem_when(403, WITHDRAWN)
            .problem_when(409, "The caller has uploaded as many bytes as one may. Room that is free again is found half an hour after the last upload.")
            .problem_when(413, "The image has more than 10 MiB, or none, or the body is too large.")
            .problem_when(415, "The image, or the body, is of a type that is not taken.")
            .problem_when(422, "The `Idempotency-Key` was used for another request."),
        post("/v1/classify", "classify", "Tell a cat's breed")
            .describe_as("Of an image that the caller uploaded, or of one that is sent itself, at most 1 MiB. Probabilities are calibrated and sum to 1 over all breeds.")
            .query("top", false, top, "How many breeds to name, most likely first.", json!(3))
            .body(image)
            .answers::<Classification>(200, "What it takes the cat for.", examples::classification())
            .problem_when(413, "The image has too many bytes or pixels.")
            .problem_when(422, "It is no image, or a broken one, or was not uploaded by the caller."),
        list::<Breed>(get("/v1/breeds", "listBreeds", "List the breeds that the classifier knows"), examples::breed()),
    ]
}

fn top(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": BREEDS.len(), "default": 5 })
}

/// 32 bytes in base64.
struct Checksum;

impl JsonSchema for Checksum {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Checksum".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9A-Za-z+/]{42}[048AEIMQUYcgkosw]=$" })
    }
}

fn search() -> Vec<Operation> {
    let page = |kind, item| (kind, json!({ "type": kind, "items": [item], "next": null }));
    let examples = vec![
        page("posts", examples::post()),
        page("users", examples::user()),
        page("cats", examples::cat()),
        page("tags", examples::tag()),
    ];
    vec![
        get("/v1/search", "search", "Search, best match first")
            .describe_as("Posts are found by the words of their text, Korean by parts of words and over spaces too; users, cats and tags by what their names begin with, cats by their breed's names too. Width and accents make no difference. Cursors are good for 15 minutes; then they are 400: search again.")
            .query("q", true, SchemaGenerator::subschema_for::<SearchText>, "What to look for.", json!("고양이"))
            .query("type", false, SchemaGenerator::subschema_for::<SearchType>, "What kind of things.", json!("posts"))
            .paged()
            .pages(search_pages, examples),
    ]
}

/// A page of what was found: its `type` says what the items are, so that clients can tell it without the request.
fn search_pages(schemas: &mut SchemaGenerator) -> Schema {
    let kinds = [
        ("posts", "FoundPosts", schemas.subschema_for::<PostView>()),
        ("users", "FoundUsers", schemas.subschema_for::<UserView>()),
        ("cats", "FoundCats", schemas.subschema_for::<CatView>()),
        ("tags", "FoundTags", schemas.subschema_for::<TagView>()),
    ];
    let next = schemas.subschema_for::<Option<Cursor>>();
    let reference = |name: &str| format!("#/components/schemas/{name}");
    for (kind, name, item) in &kinds {
        let page = json!({
            "type": "object",
            "properties": {
                "type": { "type": "string", "const": kind, "description": "What the items are." },
                "items": { "type": "array", "items": item, "description": "The items of this page." },
                "next": described(next.clone().to_value(), "`?cursor=` of the next page; null at the end of the list."),
            },
            "required": ["type", "items", "next"],
        });
        schemas.definitions_mut().insert((*name).to_owned(), page);
    }
    let each = kinds
        .each_ref()
        .map(|(_, name, _)| json!({ "$ref": reference(name) }));
    let mapping = kinds
        .each_ref()
        .map(|(kind, name, _)| ((*kind).to_owned(), json!(reference(name))));
    let mapping: Map<String, Value> = mapping.into_iter().collect();
    json_schema!({
        "oneOf": each,
        "discriminator": { "propertyName": "type", "mapping": mapping },
    })
}

fn service() -> Vec<Operation> {
    vec![
        get("/v1/health", "getHealth", "Ask whether the service answers")
            .public()
            .says(200, "It does.", Status::Ok),
        get("/v1/openapi.json", "getOpenapi", "Read this document")
            .public()
            .answers_object("This document.")
            .revalidated(),
    ]
}
