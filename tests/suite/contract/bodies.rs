//! Limits of a request's body: its size, type, encoding and fields.

use reqwest::Method;
use serde_json::{Value, json};

use super::routes;
use crate::support::{JPEG, Reply, User, World, image};

/// The largest body that is accepted, in bytes.
const LIMIT: usize = 256 * 1024;

/// Returns every call that takes a body: its method, path and a valid body.
async fn calls_with_bodies(user: &User) -> Vec<(Method, String, Value)> {
    let post = user.post_id("x").await;
    let cat = user.cat_id("x").await;
    let image = user.upload("image/jpeg", &image(JPEG)).await;
    let calls = routes::calls().filter_map(|(method, route, body)| {
        let body = routes::with_handle(routes::with_image(body?, &image), user);
        let path = routes::with_cat(&routes::path(route, &post, &user.id), &cat);
        Some((method, path, body))
    });
    calls.collect()
}

async fn send(
    user: &User,
    method: &Method,
    path: &str,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Reply {
    let mut request = user.request(method.clone(), path).body(body);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    user.send(request).await
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let nabi = World::shared().await.user("nabi");
    for (method, path, body) in calls_with_bodies(&nabi).await {
        let of_size = |size: usize| {
            let text = body.to_string();
            format!("{text}{}", " ".repeat(size - text.len())).into_bytes()
        };
        let taken = send(
            &nabi,
            &method,
            &path,
            Some("application/json"),
            of_size(LIMIT),
        )
        .await;
        assert!(
            [200, 201].contains(&taken.status),
            "{} {}",
            taken.request,
            taken.text()
        );
        for size in [LIMIT + 1, 300_000] {
            send(
                &nabi,
                &method,
                &path,
                Some("application/json"),
                of_size(size),
            )
            .await
            .problem(413);
        }
        // A body beyond the load balancer's own limit gets the load balancer's own answer.
        send(
            &nabi,
            &method,
            &path,
            Some("application/json"),
            of_size(1_200_000),
        )
        .await
        .expect(413);
    }
}

#[tokio::test]
async fn only_json_in_utf_8_is_accepted() {
    let nabi = World::shared().await.user("nabi");
    for (method, path, body) in calls_with_bodies(&nabi).await {
        let body = body.to_string().into_bytes();
        let other = [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "image/png",
            "json",
            "application/jsonp",
            "application/json; charset=iso-8859-1",
            "application/xml",
        ];
        // The classifier takes images too, and this isn't one.
        let is_taken = |kind: &&str| path == "/v1/classify" && kind.starts_with("image/");
        let other = other.into_iter().filter(|kind| !is_taken(kind));
        for content_type in other.map(Some).chain([None]) {
            send(&nabi, &method, &path, content_type, body.clone())
                .await
                .problem(415);
        }
        for content_type in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON;charset=\"UTF-8\"",
        ] {
            let taken = send(&nabi, &method, &path, Some(content_type), body.clone()).await;
            assert!(
                [200, 201].contains(&taken.status),
                "{content_type}: {} {}",
                taken.request,
                taken.text()
            );
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused() {
    let nabi = World::shared().await.user("nabi");
    let bodies: [&[u8]; 15] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"{\"text\":}",
        b"{\"text\":\"x\"",
        b"{text:\"x\"}",
        b"{'text':'x'}",
        b"{\"text\":\"x\"} x",
        b"[]",
        b"[{\"text\":\"x\"}]",
        b"null",
        b"\"x\"",
        b"7",
        b"{\"text\":\"\\ud83d\"}",
    ];
    for (method, path, _) in calls_with_bodies(&nabi).await {
        for body in bodies {
            send(
                &nabi,
                &method,
                &path,
                Some("application/json"),
                body.to_vec(),
            )
            .await
            .problem(400);
        }
        // The load balancer decodes bodies that it takes for text, and passes others on unchanged.
        let request = nabi
            .request(method.clone(), &path)
            .header("content-type", "application/json");
        let request = request
            .header("content-encoding", "identity")
            .body(&b"{\"text\":\"\xff\xfe\"}"[..]);
        nabi.send(request).await.problem(400);
        // Nesting that could exhaust a parser.
        let deep = format!("{{\"text\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
        send(
            &nabi,
            &method,
            &path,
            Some("application/json"),
            deep.into_bytes(),
        )
        .await
        .problem(400);
    }
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let nabi = World::shared().await.user("nabi");
    let post = nabi.post_id("x").await;

    let post_fields = [
        (
            json!({ "text": 7, "images": "x", "cats": {}, "txet": "x" }),
            vec!["/text", "/images", "/cats", "/txet"],
        ),
        (
            json!({ "text": "x".repeat(2001), "images": [1, null], "a/b": 1, "c~d": 2 }),
            vec!["/text", "/images/0", "/images/1", "/a~1b", "/c~0d"],
        ),
        (
            json!({ "text": "x", "cats": ["cat", 7, ["cat"]] }),
            vec!["/cats/1", "/cats/2"],
        ),
        (json!({ "text": "x", "likes": 3 }), vec!["/likes"]),
        (
            json!({ "text": "x", "author": { "id": "somebody" } }),
            vec!["/author"],
        ),
    ];
    for (body, pointers) in post_fields {
        nabi.create("/v1/posts", &body)
            .await
            .bad_fields(400, &pointers);
        nabi.change(&format!("/v1/posts/{post}"), &body)
            .await
            .bad_fields(400, &pointers);
    }

    let comment_fields = [
        (json!({}), vec!["/text"]),
        (
            json!({ "text": null, "post_id": post }),
            vec!["/text", "/post_id"],
        ),
        (json!({ "text": ["x"] }), vec!["/text"]),
        (json!({ "text": "x", "author": "y" }), vec!["/author"]),
    ];
    for (body, pointers) in comment_fields {
        nabi.create(&format!("/v1/posts/{post}/comments"), &body)
            .await
            .bad_fields(400, &pointers);
    }

    // A duplicate field is wrong as well.
    let twice = send(
        &nabi,
        &Method::POST,
        "/v1/posts",
        Some("application/json"),
        b"{\"text\":\"a\",\"text\":\"b\"}".to_vec(),
    )
    .await;
    twice.bad_fields(400, &["/text"]);
    assert_eq!(nabi.me().await["posts"], 1);
}

#[tokio::test]
async fn every_bad_field_of_other_bodies_is_named_at_once() {
    let nabi = World::shared().await.user("nabi");
    let upload_fields = [
        (json!({}), vec!["/content_type", "/size"]),
        (
            json!({ "content_type": 1, "size": "3", "sha256": 5, "name": "x" }),
            vec!["/content_type", "/size", "/sha256", "/name"],
        ),
        (
            json!({ "content_type": "image/png", "size": -1 }),
            vec!["/size"],
        ),
        (
            json!({ "content_type": "image/png", "size": 1.5 }),
            vec!["/size"],
        ),
        (
            json!({ "content_type": "image/png", "size": null }),
            vec!["/size"],
        ),
        (
            json!({ "content_type": null, "size": 3 }),
            vec!["/content_type"],
        ),
    ];
    for (body, pointers) in upload_fields {
        nabi.create("/v1/uploads", &body)
            .await
            .bad_fields(400, &pointers);
    }
    let classify_fields = [
        (json!({}), vec!["/image"]),
        (json!({ "image": null, "top": 3 }), vec!["/image", "/top"]),
        (
            json!({ "image": ["x"], "imag": "x" }),
            vec!["/image", "/imag"],
        ),
    ];
    for (body, pointers) in classify_fields {
        nabi.create("/v1/classify", &body)
            .await
            .bad_fields(400, &pointers);
    }
    let profile_fields = [
        (json!({}), vec!["/handle", "/name"]),
        (
            json!({ "handle": null, "name": null, "bio": 7, "avatar": {}, "id": "x" }),
            vec!["/handle", "/name", "/bio", "/avatar", "/id"],
        ),
        (
            json!({ "handle": "Nabi", "name": " ", "bio": "x".repeat(501), "avatar_url": null }),
            vec!["/handle", "/name", "/bio", "/avatar_url"],
        ),
    ];
    for (body, pointers) in profile_fields {
        nabi.put_me(&body).await.bad_fields(400, &pointers);
    }
}
