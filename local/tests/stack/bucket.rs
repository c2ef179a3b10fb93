use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{Tag, Tagging};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use purrline_local::Stack;
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::{bucket_client, start};

const BUCKET: &str = "pictures";
const KEY: &str = "uploads/nabi/1.jpg";
const BODY: &[u8] = b"\xff\xd8cat";

fn client(stack: &Stack) -> Client {
    bucket_client(stack, &stack.endpoints().bucket)
}

/// Presigns an upload. Returns its URL and the signed headers.
async fn presigned(stack: &Stack, key: &str) -> (String, Vec<(String, String)>) {
    let expires = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
    let request = client(stack)
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .content_type("image/jpeg")
        .content_length(5)
        .checksum_sha256(STANDARD.encode(Sha256::digest(BODY)))
        .if_none_match("*")
        .tagging("state=unused")
        .presigned(expires)
        .await
        .unwrap();
    let headers = request
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (request.uri().to_owned(), headers)
}

async fn upload(
    url: &str,
    headers: &[(String, String)],
    change: Option<(&str, &str)>,
    body: &[u8],
) -> StatusCode {
    let mut request = reqwest::Client::new().put(url);
    for (name, value) in headers.iter().filter(|(name, _)| name != "content-length") {
        let value = change
            .filter(|(changed, _)| changed == name)
            .map_or(value.as_str(), |(_, value)| value);
        request = request.header(name, value);
    }
    request.body(body.to_vec()).send().await.unwrap().status()
}

async fn exists(stack: &Stack, key: &str) -> bool {
    client(stack)
        .head_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .is_ok()
}

#[tokio::test]
async fn presigned_upload_accepts_only_what_was_signed() {
    let stack = start().await;
    let (url, headers) = presigned(&stack, KEY).await;
    assert_eq!(
        upload(&url, &headers, Some(("content-type", "image/png")), BODY).await,
        403
    );
    assert_eq!(
        upload(&url, &headers, Some(("x-amz-tagging", "state=used")), BODY).await,
        403
    );
    assert_eq!(upload(&url, &headers, None, b"longer than that").await, 403);
    assert_eq!(
        upload(&url, &headers, None, b"\xff\xd8dog").await,
        400,
        "same length, other checksum"
    );
    assert!(!exists(&stack, KEY).await, "refused uploads leave nothing");
    assert_eq!(upload(&url, &headers, None, BODY).await, 200);
    assert_eq!(
        upload(&url, &headers, None, BODY).await,
        412,
        "it can't be overwritten"
    );
    let got = client(&stack)
        .get_object()
        .bucket(BUCKET)
        .key(KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(got.content_type(), Some("image/jpeg"));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), BODY);
    let read = reqwest::get(format!("{}/media/{KEY}", stack.url()))
        .await
        .unwrap();
    assert_eq!(read.headers()["content-type"], "image/jpeg");
    assert_eq!(read.bytes().await.unwrap(), BODY);
    assert_eq!(
        reqwest::get(format!("{}/media/uploads/none", stack.url()))
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(
        reqwest::get(format!("{}/{BUCKET}/{KEY}", stack.endpoints().bucket))
            .await
            .unwrap()
            .status(),
        403
    );
}

#[tokio::test]
async fn presigned_upload_expires() {
    let stack = start().await;
    let (url, headers) = presigned(&stack, KEY).await;
    let start = std::time::SystemTime::now() - Duration::from_mins(2);
    let expires = PresigningConfig::builder()
        .start_time(start)
        .expires_in(Duration::from_mins(1))
        .build()
        .unwrap();
    let old = client(&stack)
        .put_object()
        .bucket(BUCKET)
        .key(KEY)
        .presigned(expires)
        .await
        .unwrap();
    assert_eq!(upload(old.uri(), &[], None, BODY).await, 403);
    assert_eq!(
        upload(
            &url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
            &headers,
            None,
            BODY
        )
        .await,
        403
    );
    assert!(!exists(&stack, KEY).await);
}

#[tokio::test]
async fn refused_overwrite_keeps_the_old_object() {
    let stack = start().await;
    let put = client(&stack).put_object().bucket(BUCKET).key(KEY);
    put.body(BODY.to_vec().into()).send().await.unwrap();
    let wrong = client(&stack)
        .put_object()
        .bucket(BUCKET)
        .key(KEY)
        .checksum_sha256(STANDARD.encode(Sha256::digest(b"x")));
    assert!(wrong.body(b"other".to_vec().into()).send().await.is_err());
    let got = client(&stack)
        .get_object()
        .bucket(BUCKET)
        .key(KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), BODY);
}

#[tokio::test]
async fn objects_expire_by_their_tags() {
    let stack = start().await;
    let client = client(&stack);
    for key in [KEY, "uploads/nabi/2.jpg", "other/3.jpg"] {
        let put = client
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .tagging("state=unused&a=%2B");
        put.body(BODY.to_vec().into()).send().await.unwrap();
    }
    let tags = async |key: &str| {
        let tags = client
            .get_object_tagging()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .unwrap();
        tags.tag_set()
            .iter()
            .map(|tag| format!("{}={}", tag.key(), tag.value()))
            .collect::<Vec<_>>()
    };
    assert_eq!(tags(KEY).await, ["a=+", "state=unused"]);
    let used = Tagging::builder()
        .tag_set(Tag::builder().key("state").value("used").build().unwrap())
        .build()
        .unwrap();
    client
        .put_object_tagging()
        .bucket(BUCKET)
        .key(KEY)
        .tagging(used)
        .send()
        .await
        .unwrap();
    assert_eq!(tags(KEY).await, ["state=used"]);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(stack.expire_objects(days(1)).await.unwrap(), 0);
    assert_eq!(stack.expire_objects(days(2)).await.unwrap(), 1);
    assert!(
        exists(&stack, KEY).await
            && exists(&stack, "other/3.jpg").await
            && !exists(&stack, "uploads/nabi/2.jpg").await
    );
    client
        .delete_object_tagging()
        .bucket(BUCKET)
        .key(KEY)
        .send()
        .await
        .unwrap();
    assert!(tags(KEY).await.is_empty());
    assert!(
        client
            .get_object_tagging()
            .bucket(BUCKET)
            .key("uploads/nabi/2.jpg")
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn keys_cannot_leave_the_bucket() {
    let stack = start().await;
    for key in ["../x", "a//b", "a/../../x", "/a"] {
        let put = client(&stack)
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .body(BODY.to_vec().into());
        assert!(put.send().await.is_err(), "{key}");
    }
}

#[tokio::test]
async fn allowed_origins_may_upload() {
    let stack = start().await;
    let url = format!("{}/{BUCKET}/{KEY}", stack.endpoints().bucket);
    let preflight = async |origin: &str| {
        let request = reqwest::Client::new()
            .request(Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "content-type");
        request.send().await.unwrap().headers().clone()
    };
    for origin in ["https://cats.example", "https://big.dogs.example"] {
        let headers = preflight(origin).await;
        assert_eq!(headers["access-control-allow-origin"], origin);
        assert!(
            headers["access-control-allow-methods"]
                .to_str()
                .unwrap()
                .contains("PUT")
        );
        assert_eq!(headers["access-control-allow-headers"], "content-type");
        assert_eq!(headers["access-control-max-age"], "600");
    }
    assert!(
        !preflight("https://evil.example")
            .await
            .contains_key("access-control-allow-origin")
    );
    let (signed, headers) = presigned(&stack, KEY).await;
    let mut request = reqwest::Client::new()
        .put(signed)
        .header("origin", "https://cats.example");
    for (name, value) in headers.iter().filter(|(name, _)| name != "content-length") {
        request = request.header(name, value);
    }
    let answer = request.body(BODY).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["access-control-allow-origin"],
        "https://cats.example"
    );
    assert!(
        answer.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .eq_ignore_ascii_case("etag")
    );
}

#[tokio::test]
async fn unsigned_amz_headers_are_refused() {
    let stack = start().await;
    let (url, signed) = presigned(&stack, KEY).await;
    let put = async |url: &str, more: Option<(&str, &str)>| {
        let mut request = reqwest::Client::new().put(url);
        let signed = signed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in signed
            .filter(|(name, _)| *name != "content-length")
            .chain(more)
        {
            request = request.header(name, value);
        }
        let request = request.header("origin", "https://cats.example");
        request.body(BODY).send().await.unwrap()
    };
    for header in [
        "x-amz-acl",
        "X-Amz-Grant-Read",
        "x-amz-meta-cat",
        "x-amz-server-side-encryption",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
        "x-amz-whatever-comes",
    ] {
        let answer = put(&url, Some((header, "public-read"))).await;
        assert_eq!(answer.status(), 403, "{header}");
        assert_eq!(
            answer.headers()["access-control-allow-origin"],
            "https://cats.example"
        );
        let error = answer.text().await.unwrap();
        let named = format!(
            "<HeadersNotSigned>{}</HeadersNotSigned>",
            header.to_lowercase()
        );
        assert!(
            error.contains("<Code>AccessDenied</Code>") && error.contains(&named),
            "{error}"
        );
    }
    for parameter in [
        "x-amz-acl=public-read",
        "X-Amz-Acl=public-read",
        "tagging",
        "x=y",
    ] {
        assert_eq!(
            put(&format!("{url}&{parameter}"), None).await.status(),
            403,
            "{parameter}"
        );
    }
    assert!(!exists(&stack, KEY).await);
    // Headers of other kinds needn't be signed, and signed metadata is accepted.
    assert_eq!(put(&url, Some(("x-other", "cat"))).await.status(), 200);
    let with_metadata = client(&stack).put_object().bucket(BUCKET).key("other");
    let with_metadata = with_metadata
        .metadata("cat", "nabi")
        .body(BODY.to_vec().into());
    with_metadata.send().await.unwrap();
}

#[tokio::test]
async fn uploads_work_through_the_load_balancers_port() {
    let stack = start().await;
    let expires = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
    let put = bucket_client(&stack, stack.public_url())
        .put_object()
        .bucket(BUCKET)
        .key(KEY);
    let put = put
        .content_type("image/jpeg")
        .presigned(expires)
        .await
        .unwrap();
    let headers: Vec<_> = put
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(put.uri().starts_with(&format!("{}/{BUCKET}/", stack.url())));
    assert_eq!(upload(put.uri(), &headers, None, BODY).await, 200);
    assert!(exists(&stack, KEY).await);
    let unsigned = format!("{}/{BUCKET}/{KEY}", stack.url());
    assert_eq!(reqwest::get(&unsigned).await.unwrap().status(), 403);
    // Paths outside of buckets belong to the listener.
    let other = reqwest::get(format!("{}/other/{KEY}", stack.url()))
        .await
        .unwrap();
    assert_eq!(other.text().await.unwrap(), "nothing here");
}

#[tokio::test]
async fn preflight_without_a_matching_rule_is_refused() {
    let stack = start().await;
    let preflight = async |method: &str, headers: &str| {
        let request = reqwest::Client::new()
            .request(Method::OPTIONS, format!("{}/{BUCKET}/{KEY}", stack.url()))
            .header("origin", "https://cats.example")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", headers);
        let answer = request.send().await.unwrap();
        let allowed = answer.headers().contains_key("access-control-allow-origin");
        (answer.status().as_u16(), allowed)
    };
    assert_eq!(preflight("PUT", "Content-Type").await, (200, true));
    assert_eq!(preflight("PUT", "").await, (200, true));
    assert_eq!(
        preflight("PUT", "content-type,x-amz-acl").await,
        (403, false)
    );
    assert_eq!(preflight("DELETE", "content-type").await, (403, false));
}
