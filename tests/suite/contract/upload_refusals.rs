//! Uploads that the bucket itself refuses: everything but exactly what was signed.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Reply, User, World};

const BYTES: &[u8] = b"a cat, as far as anybody can tell";

async fn request_upload(user: &User) -> Value {
    let body = json!({ "content_type": "image/png", "size": BYTES.len() });
    user.create("/v1/uploads", &body).await.expect(201).json()
}

/// Returns whether the upload's object exists.
async fn is_there(world: &World, upload: &Value) -> bool {
    let key = upload["key"].as_str().unwrap();
    world.stored(key).await.is_some()
}

#[track_caller]
fn assert_refused(reply: &Reply, why: &str) {
    assert!(
        [400, 403, 411, 412].contains(&reply.status),
        "{why}: {} {} {}",
        reply.request,
        reply.status,
        reply.text()
    );
}

#[tokio::test]
async fn other_bytes_types_or_headers_are_refused_and_leave_nothing() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let upload = request_upload(&nabi).await;

    assert_refused(&nabi.put_bytes(&upload, &BYTES[1..]).await, "shorter");
    assert_refused(
        &nabi.put_bytes(&upload, &[BYTES, b"!"].concat()).await,
        "longer",
    );
    assert_refused(&nabi.put_bytes(&upload, b"").await, "empty");
    for name in upload["headers"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| *name != "content-length")
    {
        let mut without = upload.clone();
        without["headers"].as_object_mut().unwrap().remove(name);
        assert_refused(
            &nabi.put_bytes(&without, BYTES).await,
            &format!("without {name}"),
        );
        let mut other = upload.clone();
        other["headers"][name] = json!(if name == "content-type" {
            "text/html"
        } else {
            "state=other"
        });
        assert_refused(
            &nabi.put_bytes(&other, BYTES).await,
            &format!("another {name}"),
        );
    }
    assert!(!is_there(&world, &upload).await);
    // The URL is still valid for what was signed.
    nabi.put_bytes(&upload, BYTES).await.expect(200);
    assert!(is_there(&world, &upload).await);
}

#[tokio::test]
async fn an_object_that_exists_is_never_overwritten() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let upload = request_upload(&nabi).await;
    nabi.put_bytes(&upload, BYTES).await.expect(200);
    let other: Vec<u8> = BYTES.iter().rev().copied().collect();
    assert_eq!(nabi.put_bytes(&upload, &other).await.status, 412);
    let key = upload["key"].as_str().unwrap();
    let (stored, _) = world.stored(key).await.unwrap();
    assert_eq!(stored, BYTES);
}

#[tokio::test]
async fn bytes_of_another_checksum_are_refused_and_leave_nothing() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let sha256 = STANDARD.encode(Sha256::digest(BYTES));
    let body = json!({ "content_type": "image/png", "size": BYTES.len(), "sha256": sha256 });
    let upload = nabi.create("/v1/uploads", &body).await.expect(201).json();
    let other: Vec<u8> = BYTES.iter().rev().copied().collect();
    assert_refused(&nabi.put_bytes(&upload, &other).await, "other bytes");
    assert!(!is_there(&world, &upload).await);
    nabi.put_bytes(&upload, BYTES).await.expect(200);
}

#[tokio::test]
async fn a_changed_or_misused_url_is_refused() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let upload = request_upload(&nabi).await;
    let url = upload["url"].as_str().unwrap();
    let key = upload["key"].as_str().unwrap();
    let another_key = key.replace(&nabi.id, "somebody");
    for (why, changed) in [
        ("another key", url.replace(key, &another_key)),
        (
            "longer to live",
            url.replace("X-Amz-Expires=900", "X-Amz-Expires=90000"),
        ),
        ("no signature", url.split('?').next().unwrap().to_owned()),
    ] {
        assert_ne!(changed, url, "{why}");
        let mut changed_upload = upload.clone();
        changed_upload["url"] = json!(changed);
        assert_refused(&nabi.put_bytes(&changed_upload, BYTES).await, why);
    }
    for method in ["GET", "DELETE", "POST"] {
        let mut other = upload.clone();
        other["method"] = json!(method);
        let reply = nabi.put_bytes(&other, BYTES).await;
        assert!(
            (400..500).contains(&reply.status),
            "{method}: {}",
            reply.status
        );
    }
    assert!(!is_there(&world, &upload).await);
}

/// A URL is signed as by `upload-url`, but a quarter of an hour ago.
#[tokio::test]
async fn an_expired_url_is_refused() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let client = world.s3();
    for (ago, status) in [(901, 403), (60, 200)] {
        let presigning = PresigningConfig::builder()
            .start_time(SystemTime::now() - Duration::from_secs(ago))
            .expires_in(Duration::from_mins(15))
            .build()
            .unwrap();
        let put = client
            .put_object()
            .bucket(world.bucket_name("UploadsBucket").unwrap())
            .key(format!("uploads/{}/expiry-{ago}.png", nabi.id))
            .content_type("image/png")
            .content_length(i64::try_from(BYTES.len()).unwrap())
            .presigned(presigning)
            .await
            .unwrap();
        let headers: serde_json::Map<String, Value> = put
            .headers()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let upload = json!({ "method": "PUT", "url": put.uri(), "headers": headers });
        assert_eq!(
            nabi.put_bytes(&upload, BYTES).await.status,
            status,
            "signed {ago} s ago"
        );
    }
}

/// Pages upload from the browser, so the bucket answers preflights too.
#[tokio::test]
async fn the_bucket_lets_pages_upload() {
    let nabi = World::shared().await.user("nabi");
    let upload = request_upload(&nabi).await;
    let headers: Vec<&str> = upload["headers"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let request = nabi
        .http()
        .request(reqwest::Method::OPTIONS, upload["url"].as_str().unwrap())
        .header("origin", "https://purrline.example")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", headers.join(","));
    let reply = nabi.send(request).await;
    assert!([200, 204].contains(&reply.status), "{}", reply.status);
    assert!(reply.header("access-control-allow-origin").is_some());
    let allowed = reply
        .header("access-control-allow-headers")
        .unwrap()
        .to_lowercase();
    for name in headers {
        assert!(allowed.contains(name), "{name} is not among {allowed}");
    }
}
