use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};

use super::*;
use crate::domain::UserId;

mod reading;

fn media() -> Media {
    Media::new(&aws(), "photos".to_owned())
}

fn aws() -> SdkConfig {
    let credentials = Credentials::new(
        "AKIDEXAMPLE",
        "secret",
        Some("session".to_owned()),
        None,
        "test",
    );
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

async fn presign(checksum: Option<Checksum>) -> (String, PresignedPut) {
    let key = ImageKey::mint(&UserId::parse("nabi").unwrap(), ContentType::Jpeg);
    let size = UploadSize::new(123_456).unwrap();
    let put = media()
        .presign(&key, ContentType::Jpeg, size, checksum)
        .await
        .unwrap();
    (key.as_str().to_owned(), put)
}

#[tokio::test]
async fn presigned_url_has_the_clients_address_of_the_bucket() {
    let key = ImageKey::mint(&UserId::parse("nabi").unwrap(), ContentType::Jpeg);
    let size = UploadSize::new(1).unwrap();
    let media = media().reached_at("https://cats.example:8443");
    let put = media.presign(&key, ContentType::Jpeg, size, None).await;
    let url = put.unwrap().url;
    let start = format!("https://cats.example:8443/photos/{}?", key.as_str());
    assert!(url.starts_with(&start), "{url}");
}

fn signed_headers(put: &PresignedPut) -> Vec<String> {
    let (_, rest) = put.url.split_once("X-Amz-SignedHeaders=").unwrap();
    let list = rest.split('&').next().unwrap().replace("%3B", ";");
    list.split(';').map(str::to_owned).collect()
}

#[tokio::test]
async fn presigned_put_allows_one_new_object_of_given_type_size_and_checksum() {
    let before = Timestamp::now();
    let (key, put) = presign(Some(Checksum::new([7; 32]))).await;
    assert!(
        put.url
            .starts_with(&format!("https://photos.s3.eu-west-1.amazonaws.com/{key}?")),
        "{}",
        put.url
    );
    assert!(put.url.contains("X-Amz-Expires=900"), "{}", put.url);
    let headers: Vec<(&str, &str)> = put
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let checksum = STANDARD.encode([7; 32]);
    assert_eq!(
        headers,
        [
            ("content-length", "123456"),
            ("content-type", "image/jpeg"),
            ("if-none-match", "*"),
            ("x-amz-checksum-sha256", checksum.as_str()),
            ("x-amz-tagging", "state=unused"),
        ]
    );
    // The signature covers each of them, and nothing else has to be sent.
    let mut expected: Vec<String> = put.headers.keys().cloned().collect();
    expected.push("host".to_owned());
    expected.sort();
    assert_eq!(signed_headers(&put), expected);
    let earliest = before.plus_seconds(i64::from(VALID_SECONDS) - 1);
    assert!(
        put.expires_at >= earliest
            && put.expires_at <= before.plus_seconds(i64::from(VALID_SECONDS) + 60)
    );
}

#[tokio::test]
async fn presigned_put_without_a_checksum_requires_none() {
    let (_, put) = presign(None).await;
    assert_eq!(put.headers.len(), 4);
    assert!(!put.url.to_lowercase().contains("checksum"), "{}", put.url);
    assert!(!put.url.to_lowercase().contains("crc32"), "{}", put.url);
}

#[test]
fn only_headers_covered_by_the_signature_count_as_signed() {
    let url =
        "https://x/y?X-Amz-Expires=900&X-Amz-SignedHeaders=content-type%3Bhost&X-Amz-Signature=0";
    assert!(is_signed("content-type", url) && is_signed("host", url));
    assert!(!is_signed("x-amzn-trace-id", url) && !is_signed("content", url));
}
