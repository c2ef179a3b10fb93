//! `POST /v1/posts` and `GET /v1/posts/{id}`.

use serde_json::{Value, json};

use super::shapes::{assert_post, author};
use crate::support::{User, World};

/// A cat of four bytes.
const CAT: &str = "🐈";

#[tokio::test]
async fn a_post_has_every_field_wherever_it_is_read() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let key = nabi.upload_photo().await;
    let body = json!({ "text": "오늘의 #고양이", "images": [key], "cats": [] });
    let reply = nabi.create("/v1/posts", &body).await.expect(201);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let post = reply.json();
    assert_post(&post);
    let id = post["id"].as_str().unwrap();
    assert_eq!(
        reply.header("location"),
        Some(format!("/v1/posts/{id}").as_str())
    );
    assert_eq!(post["author"], author(&nabi).await);
    assert_eq!(post["author"]["id"], nabi.id);
    assert_eq!(
        (&post["text"], &post["tags"]),
        (&body["text"], &json!(["고양이"]))
    );
    assert_eq!(
        (post["images"][0]["key"].as_str(), &post["cats"]),
        (Some(key.as_str()), &json!([]))
    );
    assert_eq!(
        (&post["likes"], &post["comments"], &post["liked"]),
        (&json!(0), &json!(0), &json!(false))
    );
    assert_eq!(post["edited_at"], Value::Null);

    for caller in [&nabi, &reader] {
        let read = caller.get(&format!("/v1/posts/{id}")).await.expect(200);
        assert_eq!(read.header("content-type"), Some("application/json"));
        assert_eq!(read.json(), post);
        assert_eq!(
            caller
                .walk(&format!("/v1/users/{}/posts", nabi.id), 20)
                .await,
            std::slice::from_ref(&post)
        );
    }
    world.wait_until_drained().await;
    assert_eq!(nabi.feed(20).await, [post]);
}

#[tokio::test]
async fn texts_must_be_within_both_limits_in_characters() {
    let nabi = World::shared().await.user("nabi");
    for text in [
        "x",
        "\u{1}\u{202e}x",
        &"x".repeat(2000),
        &CAT.repeat(2000),
        &"나".repeat(2000),
        "  \n\ttext kept as it is\r\n ",
    ] {
        let post = nabi.post(text).await;
        assert_eq!(post["text"], text);
        assert_eq!(
            nabi.read_post(post["id"].as_str().unwrap()).await["text"],
            text
        );
    }
    for text in [
        "x".repeat(2001),
        CAT.repeat(2001),
        "나".repeat(2001),
        "\0".to_owned(),
        "x\0y".to_owned(),
    ] {
        nabi.create("/v1/posts", &json!({ "text": text }))
            .await
            .bad_fields(400, &["/text"]);
    }
}

#[tokio::test]
async fn an_empty_text_needs_an_image() {
    let nabi = World::shared().await.user("nabi");
    let key = nabi.upload_photo().await;
    for body in [
        json!({}),
        json!({ "text": "" }),
        json!({ "text": "", "images": [] }),
        json!({ "text": " \n\u{3000}" }),
        json!({ "text": "\u{200b}\u{ad}" }),
        json!({ "text": "\u{3164}\u{2800}\u{fe0f}" }),
        json!({ "images": [], "cats": [] }),
    ] {
        nabi.create("/v1/posts", &body)
            .await
            .bad_fields(400, &["/text"]);
    }
    for body in [
        json!({ "text": "", "images": [key] }),
        json!({ "images": [key] }),
    ] {
        let post = nabi.create("/v1/posts", &body).await.expect(201).json();
        assert_eq!(
            (&post["text"], post["images"].as_array().map(Vec::len)),
            (&json!(""), Some(1))
        );
    }
}

async fn uploads(user: &User, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(user.upload_photo().await);
    }
    keys
}

#[tokio::test]
async fn a_post_has_at_most_ten_images() {
    let nabi = World::shared().await.user("nabi");
    let keys = uploads(&nabi, 11).await;
    let post = nabi
        .create("/v1/posts", &json!({ "text": "x", "images": keys[..10] }))
        .await
        .expect(201)
        .json();
    let shown: Vec<&str> = post["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["key"].as_str().unwrap())
        .collect();
    assert_eq!(shown, keys[..10]);
    nabi.create("/v1/posts", &json!({ "text": "x", "images": keys }))
        .await
        .bad_fields(400, &["/images"]);
}

#[tokio::test]
async fn images_must_be_uploads_of_the_caller() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let mine = nabi.upload_photo().await;
    let theirs = other.upload_photo().await;
    let never = nabi
        .create(
            "/v1/uploads",
            &json!({ "content_type": "image/png", "size": 3 }),
        )
        .await
        .expect(201)
        .json();
    let never = never["key"].as_str().unwrap();
    for key in [
        theirs.as_str(),
        never,
        "",
        "x",
        "uploads",
        "../secret",
        "https://evil.example/x.png",
        &format!("{mine}x"),
    ] {
        let body = json!({ "text": "x", "images": [mine, key] });
        nabi.create("/v1/posts", &body)
            .await
            .bad_fields(422, &["/images/1"]);
    }
    let body = json!({ "text": "x", "images": [theirs, mine, never] });
    nabi.create("/v1/posts", &body)
        .await
        .bad_fields(422, &["/images/0", "/images/2"]);
    assert_eq!(nabi.me().await["posts"], 0);
    other
        .create("/v1/posts", &json!({ "text": "x", "images": [theirs] }))
        .await
        .expect(201);
}

#[tokio::test]
async fn cats_must_belong_to_the_caller() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let (mine, theirs) = (nabi.cat_id("x").await, other.cat_id("x").await);
    let gone = nabi.cat_id("gone").await;
    nabi.delete(&format!("/v1/cats/{gone}")).await.expect(204);
    nabi.create("/v1/posts", &json!({ "text": "x", "cats": [] }))
        .await
        .expect(201);
    // A malformed id is answered like another user's cat.
    let long = "c".repeat(41);
    for cat in [
        &theirs,
        &gone,
        "0000000000000",
        "cat",
        "",
        "a b",
        &long,
        "나비",
    ] {
        let body = json!({ "text": "x", "cats": [mine, cat] });
        nabi.create("/v1/posts", &body)
            .await
            .bad_fields(422, &["/cats/1"]);
    }
    let body = json!({ "text": "x", "images": ["x"], "cats": [theirs, mine, theirs] });
    nabi.create("/v1/posts", &body)
        .await
        .bad_fields(422, &["/images/0", "/cats/0", "/cats/2"]);
    assert_eq!(nabi.me().await["posts"], 1);
}

#[tokio::test]
async fn a_post_has_at_most_ten_cats() {
    let nabi = World::shared().await.user("nabi");
    let mut cats = Vec::new();
    for n in 0..11 {
        cats.push(nabi.cat_id(&n.to_string()).await);
    }
    let body = json!({ "text": "x", "cats": cats[..10] });
    let post = nabi.create("/v1/posts", &body).await.expect(201).json();
    assert_eq!(post["cats"], body["cats"]);
    assert_eq!(nabi.read_post(post["id"].as_str().unwrap()).await, post);
    nabi.create("/v1/posts", &json!({ "text": "x", "cats": cats }))
        .await
        .bad_fields(400, &["/cats"]);
    // A cat that is named twice is shown once.
    let body = json!({ "text": "x", "cats": [cats[1], cats[0], cats[1]] });
    let post = nabi.create("/v1/posts", &body).await.expect(201).json();
    assert_eq!(post["cats"], json!([cats[1], cats[0]]));
}

#[tokio::test]
async fn ids_sort_by_creation_as_times_do() {
    let nabi = World::shared().await.user("nabi");
    let mut posts = Vec::new();
    for n in 0..5 {
        posts.push(nabi.post(&n.to_string()).await);
    }
    for pair in posts.windows(2) {
        assert!(pair[0]["id"].as_str() < pair[1]["id"].as_str(), "{pair:?}");
        assert!(
            pair[0]["created_at"].as_str() <= pair[1]["created_at"].as_str(),
            "{pair:?}"
        );
    }
}

#[tokio::test]
async fn a_nonexistent_post_is_not_found() {
    let nabi = World::shared().await.user("nabi");
    for id in ["0000000000000", "0000000000001", "7zzzzzzzzzzzz"] {
        nabi.get(&format!("/v1/posts/{id}")).await.problem(404);
        nabi.change(&format!("/v1/posts/{id}"), &json!({ "text": "x" }))
            .await
            .problem(404);
        nabi.delete(&format!("/v1/posts/{id}")).await.problem(404);
    }
}
