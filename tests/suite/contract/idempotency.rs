//! `Idempotency-Key` on `POST /v1/posts`.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::json;

use crate::support::World;
use crate::support::backstage::Backstage;

#[tokio::test]
async fn the_same_request_again_gets_the_same_answer_again() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let body = json!({ "text": "once" });
    let first = nabi
        .create_once("/v1/posts", "key", &body)
        .await
        .expect(201);
    for _ in 0..3 {
        let again = nabi
            .create_once("/v1/posts", "key", &body)
            .await
            .expect(201);
        assert_eq!(again.json(), first.json());
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    }
    assert_eq!(nabi.me().await["posts"], 1);

    let mismatch = nabi
        .create_once("/v1/posts", "key", &json!({ "text": "twice" }))
        .await
        .problem(422);
    assert_eq!(mismatch["type"], "/problems/idempotency-mismatch");
    // Another key, no key or another caller each create a post.
    let others = [
        nabi.create_once("/v1/posts", "KEY", &body)
            .await
            .expect(201)
            .json(),
        nabi.create("/v1/posts", &body).await.expect(201).json(),
        other
            .create_once("/v1/posts", "key", &body)
            .await
            .expect(201)
            .json(),
    ];
    assert!(others.iter().all(|post| post["id"] != first.json()["id"]));
    assert_eq!(nabi.me().await["posts"], 3);
    // The answer is remembered even after the post is deleted.
    nabi.delete_post(first.json()["id"].as_str().unwrap()).await;
    assert_eq!(
        nabi.create_once("/v1/posts", "key", &body)
            .await
            .expect(201)
            .json(),
        first.json()
    );
    assert_eq!(nabi.me().await["posts"], 2);
}

#[tokio::test]
async fn a_key_never_gets_the_answer_of_another_path() {
    let nabi = World::shared().await.user("nabi");
    nabi.create_once("/v1/posts", "shared", &json!({ "text": "x" }))
        .await
        .expect(201);
    // On this route the key may either belong to the other request or be independent, but it never gets the other
    // request's answer.
    let reply = nabi
        .create_once(
            "/v1/uploads",
            "shared",
            &json!({ "content_type": "image/png", "size": 1 }),
        )
        .await;
    match reply.status {
        201 => assert!(reply.json()["url"].is_string()),
        _ => drop(reply.problem(422)),
    }
}

#[tokio::test]
async fn keys_must_be_within_both_limits_and_their_alphabet() {
    let nabi = World::shared().await.user("nabi");
    let visible: String = (b'!'..=b'~').map(char::from).collect();
    for (n, key) in [
        "k",
        &"k".repeat(64),
        &visible[..64],
        &visible[visible.len() - 64..],
    ]
    .into_iter()
    .enumerate()
    {
        nabi.create_once("/v1/posts", key, &json!({ "text": n.to_string() }))
            .await
            .expect(201);
    }
    let bad: [&[u8]; 7] = [
        b"",
        &[b'k'; 65],
        b"a b",
        b"a\tb",
        "열쇠".as_bytes(),
        b"caf\xe9",
        &[b'k'; 500],
    ];
    for key in bad {
        let key = reqwest::header::HeaderValue::from_bytes(key).unwrap();
        for (path, body) in [
            ("/v1/posts", json!({ "text": "x" })),
            (
                "/v1/uploads",
                json!({ "content_type": "image/png", "size": 1 }),
            ),
        ] {
            let request = nabi
                .request(Method::POST, path)
                .header("idempotency-key", key.clone())
                .json(&body);
            nabi.send(request)
                .await
                .bad_fields(400, &["/Idempotency-Key"]);
        }
    }
    let twice = nabi
        .request(Method::POST, "/v1/posts")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    nabi.send(twice.json(&json!({ "text": "x" })))
        .await
        .problem(400);
    assert_eq!(nabi.me().await["posts"], 4);
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let theirs = other.upload_photo().await;
    nabi.create_once("/v1/posts", "key", &json!({ "text": "" }))
        .await
        .problem(400);
    nabi.create_once(
        "/v1/posts",
        "key",
        &json!({ "text": "x", "images": [theirs] }),
    )
    .await
    .problem(422);
    nabi.create_once("/v1/posts", "key", &json!({ "text": "x" }))
        .await
        .expect(201);
}

#[tokio::test]
async fn ten_concurrent_requests_with_one_key_make_one_post() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let body = json!({ "text": "at once" });
    let replies =
        futures::future::join_all((0..10).map(|_| nabi.create_once("/v1/posts", "race", &body)))
            .await;
    let posts: Vec<_> = replies
        .into_iter()
        .map(|reply| reply.expect(201).json())
        .collect();
    assert!(posts.iter().all(|post| *post == posts[0]), "{posts:#?}");
    assert_eq!(nabi.me().await["posts"], 1);
    assert_eq!(
        nabi.walk_ids(&format!("/v1/users/{}/posts", nabi.id), 20)
            .await
            .len(),
        1
    );
}

/// The store's time to live is a day, and an expired key counts as gone even before it is removed.
#[tokio::test]
async fn a_key_is_remembered_for_a_day() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let body = json!({ "text": "daily" });
    let first = nabi
        .create_once("/v1/posts", "day", &body)
        .await
        .expect(201)
        .json();
    let client = Backstage::of(&world).await.tables;
    let table = world.table_name("IdempotencyTable").unwrap();
    let [user, key] = [nabi.id.as_str(), "day"].map(|part| AttributeValue::S(part.to_owned()));
    let found = client
        .get_item()
        .table_name(table)
        .key("user", user.clone())
        .key("key", key.clone())
        .send()
        .await
        .unwrap();
    let expires: u64 = found.item.unwrap()["expires_at"]
        .as_n()
        .unwrap()
        .parse()
        .unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(
        (now + 86_300..=now + 86_400).contains(&expires),
        "in {} s",
        expires - now
    );

    let over = AttributeValue::N((now - 1).to_string());
    let update = client
        .update_item()
        .table_name(table)
        .key("user", user)
        .key("key", key);
    update
        .update_expression("SET expires_at = :over")
        .expression_attribute_values(":over", over)
        .send()
        .await
        .unwrap();
    let second = nabi
        .create_once("/v1/posts", "day", &body)
        .await
        .expect(201)
        .json();
    assert_ne!(second["id"], first["id"]);
    assert_eq!(
        nabi.create_once("/v1/posts", "day", &body)
            .await
            .expect(201)
            .json(),
        second
    );
    assert_eq!(nabi.me().await["posts"], 2);
}
