//! `POST /v1/classify` and `GET /v1/breeds`.

use serde_json::Value;

use super::shapes::assert_fields;
use crate::support::{JPEG, Reply, World, image, jpeg_of_size, repository};

/// An image of each supported type.
const IMAGES: [(&str, &str); 3] = [
    ("image/jpeg", JPEG),
    ("image/png", "png-rgb-8.png"),
    ("image/webp", "webp-lossy.webp"),
];

/// Returns the content of `model/breeds.json`, which `/v1/breeds` lists.
fn known_breeds() -> Vec<Value> {
    let text = std::fs::read_to_string(repository().join("model/breeds.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Fails unless this is the answer for `count` breeds, most likely first. Returns their probabilities.
#[track_caller]
fn assert_classified(reply: &Reply, count: usize) -> Vec<f64> {
    assert_eq!(reply.status, 200, "{} {}", reply.request, reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let answer = reply.json();
    assert_fields(&answer, &["breeds", "model"]);
    assert_fields(&answer["model"], &["name", "version"]);
    assert_eq!(answer["model"]["name"], "resnet18-cats");
    let version = answer["model"]["version"].as_str().unwrap();
    assert!(!version.is_empty());
    let known = known_breeds();
    let mut seen = Vec::new();
    let mut probabilities = Vec::new();
    for item in answer["breeds"].as_array().unwrap() {
        assert_fields(item, &["breed", "name", "probability"]);
        let mut breed = item.clone();
        let probability = breed.as_object_mut().unwrap().remove("probability");
        let probability = probability.unwrap().as_f64().unwrap();
        assert!((0.0..=1.0).contains(&probability), "{item}");
        assert!(known.contains(&breed), "{breed}");
        assert!(!seen.contains(&breed), "twice: {breed}");
        seen.push(breed);
        probabilities.push(probability);
    }
    assert_eq!(seen.len(), count, "{}", reply.request);
    assert!(
        probabilities.windows(2).all(|pair| pair[0] >= pair[1]),
        "not most likely first: {probabilities:?}"
    );
    probabilities
}

#[tokio::test]
async fn an_image_has_its_breeds_most_likely_first() {
    let nabi = World::shared().await.user("nabi");
    for (content_type, name) in IMAGES {
        let reply = nabi.classify("?top=12", content_type, image(name)).await;
        let all = assert_classified(&reply, 12);
        let sum: f64 = all.iter().sum();
        assert!((sum - 1.0).abs() < 1e-4, "{name}: they sum to {sum}");
    }
}

#[tokio::test]
async fn top_limits_the_breeds_and_is_5_by_default() {
    let nabi = World::shared().await.user("nabi");
    let all = nabi.classify("?top=12", "image/jpeg", image(JPEG)).await;
    let all = assert_classified(&all, 12);
    for (query, count) in [
        ("", 5),
        ("?top=1", 1),
        ("?top=5", 5),
        ("?top=11", 11),
        ("?top=%31", 1),
    ] {
        let reply = nabi.classify(query, "image/jpeg", image(JPEG)).await;
        assert_eq!(assert_classified(&reply, count), all[..count], "{query}");
    }
}

#[tokio::test]
async fn an_invalid_top_and_unknown_parameters_are_named() {
    let nabi = World::shared().await.user("nabi");
    let queries = [
        "0",
        "13",
        "-1",
        "",
        "all",
        "5.0",
        "1e0",
        "%2B5",
        "0x5",
        "99999999999999999999",
        "%EF%BC%95",
    ];
    let mut bad: Vec<(String, Vec<&str>)> = queries
        .map(|top| (format!("?top={top}"), vec!["/top"]))
        .into();
    bad.extend([
        ("?top=5&top=5".to_owned(), vec!["/top"]),
        ("?limit=5".to_owned(), vec!["/limit"]),
        ("?Top=5&top=0".to_owned(), vec!["/top", "/Top"]),
    ]);
    for (query, pointers) in bad {
        // Refused before the image is looked at.
        let reply = nabi.classify(&query, "image/jpeg", b"no image".into());
        reply.await.bad_fields(400, &pointers);
        let reply = nabi.classify_upload(&query, "no key");
        reply.await.bad_fields(400, &pointers);
    }
    // Errors of the query and of the body are reported together.
    let body = serde_json::json!({ "imag": "x" });
    nabi.create("/v1/classify?top=0", &body)
        .await
        .bad_fields(400, &["/top", "/image", "/imag"]);
}

#[tokio::test]
async fn an_upload_is_classified_as_its_bytes_are() {
    let nabi = World::shared().await.user("nabi");
    for (content_type, name) in IMAGES {
        let key = nabi.upload(content_type, &image(name)).await;
        let upload = nabi.classify_upload("?top=12", &key).await;
        assert_classified(&upload, 12);
        let bytes = nabi.classify("?top=12", content_type, image(name)).await;
        assert_eq!(upload.json(), bytes.json(), "{name}");
    }
}

/// The kind of an image is found from its bytes; its declared type must be a supported one, in any spelling.
#[tokio::test]
async fn an_images_type_is_found_from_its_bytes() {
    let nabi = World::shared().await.user("nabi");
    let expected = nabi.classify("", "image/jpeg", image(JPEG)).await.json();
    for content_type in [
        "image/png",
        "image/webp",
        "Image/JPEG",
        "image/jpeg; name=\"cat\"",
    ] {
        let reply = nabi.classify("", content_type, image(JPEG)).await;
        assert_eq!(reply.expect(200).json(), expected, "{content_type}");
    }
    // The load balancer passes on a body whose encoding is `identity`.
    let request = nabi
        .request(reqwest::Method::POST, "/v1/classify")
        .header("content-type", "image/jpeg")
        .header("content-encoding", "identity")
        .body(image(JPEG));
    assert_eq!(nabi.send(request).await.expect(200).json(), expected);
}

/// The load balancer lets 1 MiB through; an upload may have 10 MiB.
#[tokio::test]
async fn images_may_be_as_large_as_the_limits() {
    let nabi = World::shared().await.user("nabi");
    let expected = nabi.classify("", "image/jpeg", image(JPEG)).await.json();
    let reply = nabi
        .classify("", "image/jpeg", jpeg_of_size(1024 * 1024))
        .await;
    assert_eq!(reply.expect(200).json(), expected);
    let key = nabi
        .upload("image/jpeg", &jpeg_of_size(10 * 1024 * 1024))
        .await;
    let reply = nabi.classify_upload("", &key).await;
    assert_eq!(reply.expect(200).json(), expected);
}

#[tokio::test]
async fn concurrent_requests_get_equal_answers() {
    let nabi = World::shared().await.user("nabi");
    let key = nabi.upload("image/jpeg", &image(JPEG)).await;
    let expected = nabi.classify("", "image/jpeg", image(JPEG)).await.json();
    let bytes = (0..12).map(|_| nabi.classify("", "image/jpeg", image(JPEG)));
    let uploads = (0..12).map(|_| nabi.classify_upload("", &key));
    let (bytes, uploads) = futures::join!(
        futures::future::join_all(bytes),
        futures::future::join_all(uploads)
    );
    for reply in bytes.into_iter().chain(uploads) {
        assert_eq!(reply.expect(200).json(), expected);
    }
}

#[tokio::test]
async fn breeds_are_those_of_the_model_in_pages_of_any_size() {
    let nabi = World::shared().await.user("nabi");
    assert_eq!(nabi.page("/v1/breeds").await, (known_breeds(), None));
    for size in [1, 5, 6, 11, 12, 13] {
        assert_eq!(
            nabi.walk("/v1/breeds", size).await,
            known_breeds(),
            "{size}"
        );
    }
}
