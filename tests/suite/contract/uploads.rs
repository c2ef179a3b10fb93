//! `POST /v1/uploads`, and the PUT it allows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::shapes::{assert_fields, clock};
use crate::support::backstage::Backstage;
use crate::support::{Reply, User, World};

/// 10 MiB.
const MOST: u64 = 10 * 1024 * 1024;

fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

async fn request_upload(
    user: &User,
    content_type: &str,
    bytes: &[u8],
    sha256: Option<&str>,
) -> Value {
    let mut wanted = json!({ "content_type": content_type, "size": bytes.len() });
    if let Some(sha256) = sha256 {
        wanted["sha256"] = json!(sha256);
    }
    user.create("/v1/uploads", &wanted).await.expect(201).json()
}

#[tokio::test]
async fn an_upload_answer_is_enough_to_send_the_bytes() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    for (content_type, sha256) in [
        ("image/jpeg", None),
        ("image/png", Some(sha256(b"meow"))),
        ("image/webp", None),
    ] {
        let upload = request_upload(&nabi, content_type, b"meow", sha256.as_deref()).await;
        assert_fields(&upload, &["key", "method", "url", "headers", "expires_at"]);
        assert_eq!(upload["method"], "PUT");
        assert!(
            upload["key"].as_str().unwrap().contains(&nabi.id),
            "bound to the caller: {upload}"
        );
        let headers = upload["headers"].as_object().unwrap();
        assert_eq!(headers["content-type"], content_type);
        assert_eq!(headers["content-length"], "4");
        assert_eq!(headers["if-none-match"], "*");
        assert_eq!(
            headers.get("x-amz-checksum-sha256").and_then(Value::as_str),
            sha256.as_deref()
        );
        // At most 15 minutes, and long enough to be useful.
        let expires = upload["expires_at"].as_str().unwrap();
        let minutes = |minutes: u64| {
            clock(
                std::time::Duration::ZERO,
                std::time::Duration::from_secs(minutes * 60),
            )
        };
        assert!(
            minutes(5).as_str() < expires && expires <= minutes(15).as_str(),
            "{upload}"
        );

        nabi.put_bytes(&upload, b"meow").await.expect(200);
        let stored = world.stored(upload["key"].as_str().unwrap()).await;
        assert_eq!(stored, Some((b"meow".to_vec(), content_type.to_owned())));
    }
}

#[tokio::test]
async fn keys_are_the_servers_choice_and_never_the_same() {
    let nabi = World::shared().await.user("nabi");
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(
            request_upload(&nabi, "image/png", b"meow", None).await["key"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 5);
    let body = json!({ "content_type": "image/png", "size": 4, "key": "uploads/mine.png" });
    nabi.create("/v1/uploads", &body)
        .await
        .bad_fields(400, &["/key"]);
}

#[tokio::test]
async fn sizes_must_be_within_both_limits() {
    let nabi = World::shared().await.user("nabi");
    for size in [1, MOST] {
        let body = json!({ "content_type": "image/jpeg", "size": size });
        assert_eq!(
            nabi.create("/v1/uploads", &body).await.expect(201).json()["headers"]["content-length"],
            size.to_string()
        );
    }
    for size in [json!(0), json!(MOST + 1), json!(u64::MAX), json!(1e30)] {
        let body = json!({ "content_type": "image/jpeg", "size": size });
        nabi.create("/v1/uploads", &body).await.problem(413);
    }
    // A file of the largest size can really be uploaded.
    let largest = vec![7; usize::try_from(MOST).unwrap()];
    let upload = request_upload(&nabi, "image/jpeg", &largest, None).await;
    nabi.put_bytes(&upload, &largest).await.expect(200);
}

#[tokio::test]
async fn only_three_types_are_accepted() {
    let nabi = World::shared().await.user("nabi");
    for content_type in [
        "",
        "image/gif",
        "image/svg+xml",
        "image/*",
        "text/html",
        "image/jpeg; charset=utf-8",
        "png",
        " image/png",
    ] {
        nabi.create(
            "/v1/uploads",
            &json!({ "content_type": content_type, "size": 3 }),
        )
        .await
        .problem(415);
    }
}

#[tokio::test]
async fn a_checksum_is_a_sha_256_in_base64() {
    let nabi = World::shared().await.user("nabi");
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for bad in [
        "",
        "x",
        hex,
        &STANDARD.encode([7; 31]),
        &STANDARD.encode([7; 33]),
        &STANDARD.encode([7; 32])[..43],
        "ÄÖÜ",
    ] {
        let body = json!({ "content_type": "image/png", "size": 3, "sha256": bad });
        nabi.create("/v1/uploads", &body)
            .await
            .bad_fields(400, &["/sha256"]);
    }
}

#[tokio::test]
async fn the_same_key_gives_the_same_upload_again() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let body = json!({ "content_type": "image/png", "size": 3 });
    let first = nabi
        .create_once("/v1/uploads", "k", &body)
        .await
        .expect(201);
    let again = nabi
        .create_once("/v1/uploads", "k", &body)
        .await
        .expect(201);
    assert_eq!(first.json(), again.json());
    nabi.create_once(
        "/v1/uploads",
        "k",
        &json!({ "content_type": "image/png", "size": 4 }),
    )
    .await
    .problem(422);
    let others = other
        .create_once("/v1/uploads", "k", &body)
        .await
        .expect(201)
        .json();
    assert_ne!(others["key"], first.json()["key"]);
    assert_ne!(
        nabi.create("/v1/uploads", &body).await.expect(201).json()["key"],
        first.json()["key"]
    );
}

/// Counts the 201 answers, and asserts that the others have the given status.
fn count_granted(replies: &[Reply], otherwise: u16) -> usize {
    let granted = |reply: &&Reply| {
        if reply.status != 201 {
            reply.problem(otherwise);
        }
        reply.status == 201
    };
    replies.iter().filter(granted).count()
}

/// Fails if there is no limit, if concurrent requests exceed it, or if a repeated request counts again.
#[tokio::test]
async fn the_photos_of_a_day_are_bounded() {
    let world = World::with(World::options().parameter("UploadsPerDay", "3")).await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let wanted = json!({ "content_type": "image/png", "size": 1 });
    let first = nabi.create_once("/v1/uploads", "one", &wanted).await;
    let key = first.expect(201).json()["key"].clone();
    let at_once = (0..6).map(|_| nabi.create("/v1/uploads", &wanted));
    let replies = futures::future::join_all(at_once).await;
    assert_eq!(count_granted(&replies, 429), 2);
    let refused = nabi.create("/v1/uploads", &wanted).await;
    let problem = refused.problem(429);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("Too many photos for one day"),
        "{detail}"
    );
    let wait: i64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=24 * 60 * 60).contains(&wait), "{wait}");
    // An upload that was granted stays granted, and other users have limits of their own.
    let again = nabi.create_once("/v1/uploads", "one", &wanted).await;
    assert_eq!(again.expect(201).json()["key"], key);
    other.create("/v1/uploads", &wanted).await.expect(201);
    // The next day.
    let stage = Backstage::of(&world).await;
    stage.backdate_upload_grant(&nabi, "day", 1).await;
    for status in [201, 201, 201, 429] {
        assert_eq!(nabi.create("/v1/uploads", &wanted).await.status, status);
    }
}

/// Fails if there is no limit, if concurrent requests exceed it, or if uploads that were never sent, or are gone, take
/// room for ever.
#[tokio::test]
async fn the_bytes_of_a_user_are_bounded() {
    let world = World::with(World::options().parameter("StoredBytes", "3000")).await;
    let stage = Backstage::of(&world).await;
    let nabi = world.user("nabi");
    let upload = async |size: usize| {
        let wanted = json!({ "content_type": "image/png", "size": size });
        nabi.create("/v1/uploads", &wanted).await
    };
    let sent = nabi.upload("image/png", &[0; 1000]).await;
    nabi.upload("image/png", &[0; 999]).await;
    upload(1002).await.problem(409);
    let replies = futures::future::join_all((0..6).map(|_| upload(501))).await;
    assert_eq!(count_granted(&replies, 409), 1);
    upload(500).await.expect(201);
    upload(1).await.problem(409);

    // The last two were never sent.
    stage.backdate_upload_grant(&nabi, "bytes", 3000).await;
    upload(1002).await.problem(409);
    upload(1001).await.expect(201);
    upload(1).await.problem(409);
    // An upload that may still be sent counts.
    stage.backdate_upload_grant(&nabi, "bytes", 3000).await;
    upload(1).await.expect(201);
    upload(1001).await.problem(409);
    // One of the first two is removed.
    let delete = world.s3().delete_object().key(sent);
    let bucket = world.bucket_name("UploadsBucket").unwrap();
    delete.bucket(bucket).send().await.unwrap();
    upload(1001).await.problem(409);
    stage.backdate_upload_grant(&nabi, "bytes", 3000).await;
    upload(2001).await.expect(201);
    upload(1).await.problem(409);
}
