//! The JSON objects of `api.md`: every field, its type and its format.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::User;

/// Fails unless this is a picture with every field that `api.md` names, and no other.
#[track_caller]
fn assert_picture(picture: &Value) {
    assert_fields(
        picture,
        &["key", "url", "width", "height", "alt", "thumbhash", "sizes"],
    );
    let sizes = picture["sizes"].as_array().unwrap();
    assert!((1..=3).contains(&sizes.len()), "{picture}");
    for size in sizes {
        assert_fields(size, &["url", "width", "height"]);
        let url = size["url"].as_str();
        assert!(url.is_some_and(|url| url.starts_with("http")), "{picture}");
        let (width, height) = (&size["width"], &size["height"]);
        assert!(width.is_u64() && height.is_u64(), "{picture}");
    }
    for same in ["url", "width", "height"] {
        assert_eq!(picture[same], sizes[sizes.len() - 1][same], "{same}");
    }
    assert!(sizes.is_sorted_by_key(|size| size["width"].as_u64()));
    let thumbhash = STANDARD.decode(picture["thumbhash"].as_str().unwrap());
    assert!((5..40).contains(&thumbhash.unwrap().len()), "{picture}");
    let alt = &picture["alt"];
    assert!(alt.is_null() || alt.is_string(), "{picture}");
}

/// Fails unless this is a post with every field that `api.md` names, and no other.
#[track_caller]
pub(crate) fn assert_post(post: &Value) {
    assert_fields(
        post,
        &[
            "id",
            "author",
            "text",
            "tags",
            "images",
            "cats",
            "created_at",
            "edited_at",
            "likes",
            "comments",
            "liked",
            "saved",
        ],
    );
    assert_id(&post["id"]);
    assert_author(&post["author"]);
    assert!(post["text"].is_string(), "{post}");
    for tag in post["tags"].as_array().unwrap() {
        assert!(
            tag.as_str()
                .is_some_and(|tag| !tag.is_empty() && !tag.starts_with('#')),
            "{post}"
        );
    }
    for image in post["images"].as_array().unwrap() {
        assert_picture(image);
    }
    assert!(
        post["cats"]
            .as_array()
            .unwrap()
            .iter()
            .all(Value::is_string),
        "{post}"
    );
    assert_time(&post["created_at"]);
    if !post["edited_at"].is_null() {
        assert_time(&post["edited_at"]);
    }
    assert!(
        post["likes"].is_u64() && post["comments"].is_u64(),
        "{post}"
    );
    for flag in ["liked", "saved"] {
        assert!(post[flag].is_boolean(), "{post}");
    }
}

/// Fails unless this is a comment with every field that `api.md` names, and no other.
#[track_caller]
pub(crate) fn assert_comment(comment: &Value) {
    assert_fields(comment, &["id", "post_id", "author", "text", "created_at"]);
    assert_id(&comment["id"]);
    assert_id(&comment["post_id"]);
    assert_author(&comment["author"]);
    let text = comment["text"].as_str().unwrap();
    assert!((1..=1000).contains(&text.chars().count()), "{comment}");
    assert_time(&comment["created_at"]);
}

/// An author, as shown with a post or comment.
#[track_caller]
fn assert_author(author: &Value) {
    assert_fields(author, &["id", "handle", "name", "avatar_url"]);
    assert_id(&author["id"]);
    assert_handle(&author["handle"]);
    let name = author["name"].as_str();
    assert!(name.is_some_and(|name| !name.is_empty()), "{author}");
    let avatar = &author["avatar_url"];
    assert!(avatar.is_null() || avatar.is_string(), "{author}");
}

/// Fails unless this is a user with every field that `api.md` names, and no other.
#[track_caller]
pub(crate) fn assert_user(user: &Value) {
    assert_fields(
        user,
        &[
            "id",
            "handle",
            "name",
            "bio",
            "avatar_url",
            "followers",
            "following",
            "posts",
            "followed",
            "follows_me",
            "created_at",
        ],
    );
    assert_id(&user["id"]);
    assert_handle(&user["handle"]);
    assert!(
        user["name"].as_str().is_some_and(|name| !name.is_empty()),
        "{user}"
    );
    for text in ["bio", "avatar_url"] {
        assert!(user[text].is_null() || user[text].is_string(), "{user}");
    }
    for count in ["followers", "following", "posts"] {
        assert!(user[count].is_u64(), "{user}");
    }
    for flag in ["followed", "follows_me"] {
        assert!(user[flag].is_boolean(), "{user}");
    }
    assert_time(&user["created_at"]);
}

/// Fails unless this is a user as shown to a caller who blocks them.
#[track_caller]
pub(crate) fn assert_blocked(user: &Value) {
    assert_fields(user, &["id", "handle", "name", "blocked"]);
    assert_id(&user["id"]);
    assert_handle(&user["handle"]);
    let name = user["name"].as_str();
    assert!(name.is_some_and(|name| !name.is_empty()), "{user}");
    assert_eq!(user["blocked"], true);
}

/// Fails unless this is a cat with every field that `api.md` names, and no other.
#[track_caller]
pub(crate) fn assert_cat(cat: &Value) {
    assert_fields(
        cat,
        &[
            "id",
            "owner",
            "name",
            "breed",
            "breed_name",
            "birth_date",
            "photo_url",
            "bio",
            "created_at",
        ],
    );
    assert_id(&cat["id"]);
    assert_id(&cat["owner"]);
    assert!(
        cat["name"].as_str().is_some_and(|name| !name.is_empty()),
        "{cat}"
    );
    for text in ["breed", "birth_date", "photo_url", "bio"] {
        assert!(cat[text].is_null() || cat[text].is_string(), "{cat}");
    }
    let name = &cat["breed_name"];
    if !name.is_null() {
        assert_fields(name, &["en", "ko"]);
        assert!(name["en"].is_string() && name["ko"].is_string(), "{cat}");
    }
    assert_time(&cat["created_at"]);
}

/// Fails unless the object has exactly these fields.
#[track_caller]
pub(crate) fn assert_fields(object: &Value, names: &[&str]) {
    let mut found: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = names.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{object}");
}

/// Fails unless the id matches `^[0-9A-Za-z_-]{1,40}$`.
#[track_caller]
pub(crate) fn assert_id(id: &Value) {
    let text = id.as_str().unwrap();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(
        (1..=40).contains(&text.len()) && text.chars().all(allowed),
        "{id}"
    );
}

/// Fails unless the handle is 3 to 30 of `a-z 0-9 _ .`
#[track_caller]
fn assert_handle(handle: &Value) {
    let text = handle.as_str().unwrap();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    assert!(
        (3..=30).contains(&text.len()) && text.chars().all(allowed),
        "{handle}"
    );
}

/// Fails unless the time is RFC 3339 in UTC with milliseconds, within the last hour.
#[track_caller]
pub(crate) fn assert_time(time: &Value) {
    let text = time.as_str().unwrap();
    let pattern = "dddd-dd-ddTdd:dd:dd.dddZ";
    let matches = |(c, p): (char, char)| if p == 'd' { c.is_ascii_digit() } else { c == p };
    assert!(
        text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(matches),
        "{time}"
    );
    // Such texts compare as their times do.
    let (from, to) = (
        clock(Duration::from_hours(1), Duration::ZERO),
        clock(Duration::ZERO, Duration::from_secs(1)),
    );
    assert!(
        from.as_str() <= text && text <= to.as_str(),
        "{time} is not between {from} and {to}"
    );
}

/// Returns the present time, moved back or ahead.
pub(crate) fn clock(back: Duration, ahead: Duration) -> String {
    let now = SystemTime::now() - back + ahead;
    let millis = i64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    purrline::domain::Timestamp::from_millis(millis).to_string()
}

/// Returns a post's author, as a user without a profile is shown.
pub(crate) async fn author(user: &User) -> Value {
    let me = user.me().await;
    json!({ "id": me["id"], "handle": me["handle"], "name": me["name"], "avatar_url": me["avatar_url"] })
}
