//! One of each thing. Tests hold them against the schemas.

use serde_json::{Value, json};

use crate::domain::BREEDS;

pub(super) const POST: &str = "0apy9g1rzcd0v";
pub(super) const COMMENT: &str = "0apy9hm8v5e1q";
pub(super) const CAT: &str = "0apy9c40x2jw7";
const REGISTERED: &str = "2026-11-01T09:00:00.000Z";
const KEY: &str = "uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg";
const URL: &str = "https://images.purrline.example/uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg";

/// The definitions' examples, by their names.
pub(super) fn all() -> [(&'static str, Value); 9] {
    [
        ("Post", post()),
        ("Author", author()),
        ("User", user()),
        ("Cat", cat()),
        ("Comment", comment()),
        ("Tag", tag()),
        ("Breed", breed()),
        ("Classification", classification()),
        ("Upload", upload()),
    ]
}

fn author() -> Value {
    json!({ "id": "nabi", "handle": "nabi", "name": "나비 집사", "avatar_url": URL })
}

pub(super) fn post() -> Value {
    json!({
        "id": POST,
        "author": author(),
        "text": "오늘의 #고양이",
        "tags": ["고양이"],
        "images": [{ "key": KEY, "url": URL }],
        "cats": [CAT],
        "created_at": "2026-11-21T08:30:00.123Z",
        "edited_at": null,
        "likes": 3,
        "comments": 1,
        "liked": false,
        "saved": true,
    })
}

pub(super) fn new_post() -> Value {
    json!({ "text": "오늘의 #고양이", "images": [KEY], "cats": [CAT] })
}

pub(super) fn comment() -> Value {
    json!({
        "id": COMMENT,
        "post_id": POST,
        "author": author(),
        "text": "귀여워!",
        "created_at": "2026-11-21T08:31:00.456Z",
    })
}

pub(super) fn user() -> Value {
    json!({
        "id": "nabi",
        "handle": "nabi",
        "name": "나비 집사",
        "bio": "고양이 세 마리",
        "avatar_url": URL,
        "followers": 12,
        "following": 7,
        "posts": 34,
        "followed": true,
        "follows_me": false,
        "created_at": "2026-11-01T00:00:00.000Z",
    })
}

pub(super) fn blocked_user() -> Value {
    json!({ "id": "kong", "handle": "kong", "name": "콩이", "blocked": true })
}

pub(super) fn profile() -> Value {
    json!({ "handle": "nabi", "name": "나비 집사", "bio": "고양이 세 마리", "avatar": KEY })
}

pub(super) fn cat() -> Value {
    json!({
        "id": CAT,
        "owner": "nabi",
        "name": "나비",
        "breed": "russian-blue",
        "breed_name": { "en": "Russian Blue", "ko": "러시안 블루" },
        "birth_date": "2022-04-01",
        "photo_url": URL,
        "bio": null,
        "created_at": REGISTERED,
    })
}

pub(super) fn new_cat() -> Value {
    json!({ "name": "나비", "birth_date": "2022-04-01", "photo": KEY })
}

/// Registered with a photo and without a breed.
pub(super) fn registered_cat() -> Value {
    json!({
        "id": CAT,
        "owner": "nabi",
        "name": "나비",
        "breed": null,
        "breed_name": null,
        "birth_date": "2022-04-01",
        "photo_url": URL,
        "bio": null,
        "created_at": REGISTERED,
        "breed_suggestions": probabilities(),
    })
}

pub(super) fn tag() -> Value {
    json!({ "tag": "고양이", "posts": 12 })
}

pub(super) fn breed() -> Value {
    json!(BREEDS.into_iter().find(|breed| breed.id == "russian-blue"))
}

fn probabilities() -> Value {
    let breed = BREEDS.into_iter().find(|breed| breed.id == "russian-blue");
    json!(
        [
            breed
                .map(|breed| json!({ "breed": breed.id, "name": breed.name, "probability": 0.93 }))
        ]
    )
}

pub(super) fn classification() -> Value {
    json!({
        "breeds": probabilities(),
        "model": { "name": "resnet18-cats", "version": "2026-11-20" },
    })
}

pub(super) fn named_image() -> Value {
    json!({ "image": KEY })
}

pub(super) fn new_upload() -> Value {
    json!({
        "content_type": "image/jpeg",
        "size": 123_456,
        "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    })
}

pub(super) fn upload() -> Value {
    json!({
        "key": KEY,
        "method": "PUT",
        "url": "https://purrline-media.s3.eu-west-1.amazonaws.com/uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "headers": {
            "content-type": "image/jpeg",
            "content-length": "123456",
            "if-none-match": "*",
            "x-amz-tagging": "state=unused",
        },
        "expires_at": "2026-11-21T08:45:00.000Z",
    })
}
