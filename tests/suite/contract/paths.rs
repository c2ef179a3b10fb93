//! The paths and methods that exist, and the ids that a path may hold.

use reqwest::Method;
use serde_json::json;

use super::routes::{self, PUBLIC, SIGNED_IN};
use crate::support::World;

const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

#[tokio::test]
async fn a_405_names_the_methods_that_are_allowed() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    for route in SIGNED_IN.iter().chain(PUBLIC.iter()) {
        let path = routes::path(route.path, "0000000000000", &nabi.id);
        let path = routes::with_cat(&path, "0000000000000");
        for method in METHODS
            .iter()
            .filter(|method| !route.allowed().contains(&method.to_string()))
        {
            for caller in [&nabi, &world.anonymous()] {
                let reply = caller.call(method.clone(), &path).await.expect(405);
                let mut allow: Vec<&str> = reply.header("allow").unwrap().split(", ").collect();
                allow.sort_unstable();
                assert_eq!(allow, route.allowed(), "{}", reply.request);
                if *method != Method::HEAD {
                    reply.problem(405);
                }
            }
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_not_found_whatever_the_method() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let mut unknown: Vec<String> = [
        "/",
        "/v1",
        "/v1/",
        "/v2/feed",
        "/v1/nothing",
        "/v1//feed",
        "/v1/Feed",
        "/V1/feed",
        "/v1/posts/x/like/y",
        "/v1/posts/x/likes2",
        "/v1/posts//like",
        "/v1/posts//comments",
        "/v1/posts/x/comments/y/z",
        "/v1/posts/x/y/comments",
        "/v1/users//posts",
        "/v1/users",
        "/v1/users/x/y",
        "/v1/users/x/follow/y",
        "/v1/me/me",
        "/v1/feed/x",
        "/v1/health/x",
        "/v1/uploads/x",
        "/v1/posts/x/y/z",
        "/favicon.ico",
        "/v1/feed.json",
    ]
    .map(str::to_owned)
    .into();
    // A trailing slash.
    unknown.extend(
        SIGNED_IN
            .iter()
            .chain(PUBLIC.iter())
            .map(|route| routes::path(route.path, "0000000000000", &nabi.id))
            .map(|path| format!("{}/", routes::with_cat(&path, "0000000000000"))),
    );
    for path in &unknown {
        for method in &METHODS {
            for caller in [&nabi, &world.anonymous()] {
                let reply = caller.call(method.clone(), path).await.expect(404);
                if *method != Method::HEAD {
                    reply.problem(404);
                }
            }
        }
    }
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let post = nabi.post_id("x").await;
    let cat = nabi.cat_id("x").await;
    for route in SIGNED_IN
        .iter()
        .chain(PUBLIC.iter())
        .filter(|route| route.methods.contains(&Method::GET))
    {
        let path = routes::with_cat(&routes::good_path(route.path, &post, &nabi.id), &cat);
        let (get, head) = (
            nabi.get(&path).await.expect(200),
            nabi.call(Method::HEAD, &path).await,
        );
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
        assert!(head.header("x-request-id").is_some(), "{path}");
    }
}

/// Ids that can't exist, percent-encoded where a path needs it.
const NO_IDS: [&str; 12] = [
    "%20",
    "a%20b",
    "a%2Fb",
    "%2F",
    "a%00b",
    "%FF",
    "%EB%82%98",
    "a.b",
    "a~b",
    "a%23b",
    "%7Bid%7D",
    "0123456789012345678901234567890123456789x",
];

#[tokio::test]
async fn malformed_ids_are_not_found() {
    let nabi = World::shared().await.user("nabi");
    let no_posts = [
        "x",
        "zzzzzzzzzzzzz",
        "000000000000",
        "00000000000000",
        "0000000000000I",
        "000000000000U",
        "1",
        "-",
        "_",
    ];
    // A tag is not an id.
    let has_id = |route: &str| route.contains('{') && !route.contains("{tag}");
    for (method, route, body) in routes::calls().filter(|(_, route, _)| has_id(route)) {
        let ids: Vec<&str> = if route.contains("{post}") || route.contains("{cat}") {
            [&NO_IDS[..], &no_posts].concat()
        } else {
            NO_IDS.to_vec()
        };
        for id in ids {
            let path = routes::with_cat(&routes::path(route, id, id), id);
            let mut request = nabi.request(method.clone(), &path);
            if let Some(body) = &body {
                request = request.json(body);
            }
            let reply = nabi.send(request).await;
            // A well-formed post id may be liked without a lookup; these ids are malformed.
            reply.problem(404);
        }
    }
}

/// Percent-encodes every byte.
fn encoded(id: &str) -> String {
    let bytes: Vec<String> = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    bytes.concat()
}

#[tokio::test]
async fn ids_may_be_percent_encoded() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let post = nabi.post_id("encoded").await;
    let post_id = encoded(&post);
    assert_eq!(
        reader
            .get(&format!("/v1/posts/{post_id}"))
            .await
            .expect(200)
            .json()["id"],
        post
    );
    let user_id = encoded(&nabi.id).to_lowercase();
    assert_eq!(
        reader
            .get(&format!("/v1/users/{user_id}"))
            .await
            .expect(200)
            .json()["id"],
        nabi.id
    );
    assert_eq!(
        reader
            .walk_ids(&format!("/v1/users/{user_id}/posts"), 20)
            .await,
        [post]
    );
}

#[tokio::test]
async fn unused_handles_are_not_found() {
    let nabi = World::shared().await.user("nabi");
    for handle in [
        "@nobody_at_all",
        "@ab",
        "@",
        "@NABI",
        "%40nobody",
        "@cat_0000000000000",
    ] {
        for list in ["", "/posts", "/followers", "/following"] {
            nabi.get(&format!("/v1/users/{handle}{list}"))
                .await
                .problem(404);
        }
        nabi.put(&format!("/v1/users/{handle}/follow"))
            .await
            .problem(404);
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let nabi = World::shared().await.user("nabi");
    let mut seen = std::collections::HashSet::new();
    for path in [
        "/v1/health",
        "/v1/me",
        "/v1/feed",
        "/v1/nothing",
        "/v1/posts/x",
        "/v1/feed?limit=0",
        "/v1/me",
    ] {
        let reply = nabi.get(path).await;
        assert!(
            seen.insert(reply.header("x-request-id").unwrap().to_owned()),
            "{path}"
        );
    }
    let created = nabi
        .create("/v1/posts", &json!({ "text": "x" }))
        .await
        .expect(201);
    assert!(seen.insert(created.header("x-request-id").unwrap().to_owned()));
}
