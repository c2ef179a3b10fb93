//! Requests that `POST /v1/classify` refuses, and its answers to them.

use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{JPEG, User, World, image, jpeg_of_size};

/// Returns bytes that are no image, or a broken one.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let jpeg = image(JPEG);
    let mut beheaded = jpeg.clone();
    beheaded[0] = 0;
    vec![
        ("a text", b"This is no cat.".into()),
        ("zeros", vec![0; 5_000]),
        ("a GIF", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;".into()),
        (
            "a page",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".into(),
        ),
        ("the start of a JPEG", jpeg[..3].into()),
        ("half a JPEG", jpeg[..jpeg.len() / 2].into()),
        ("the end of a JPEG", jpeg[jpeg.len() / 2..].into()),
        ("a JPEG without its first byte", beheaded),
        ("the start of a PNG", b"\x89PNG\r\n\x1a\n".into()),
        (
            "the start of a WebP",
            b"RIFF\x10\x00\x00\x00WEBPVP8 ".into(),
        ),
    ]
}

#[tokio::test]
async fn broken_images_and_other_files_are_refused() {
    let nabi = World::shared().await.user("nabi");
    for (what, bytes) in broken() {
        let problem = nabi
            .classify("", "image/jpeg", bytes.clone())
            .await
            .problem(422);
        assert_eq!(problem.get("errors"), None, "{what}");
        let key = nabi.upload("image/png", &bytes).await;
        let reply = nabi.classify_upload("", &key).await;
        reply.bad_fields(422, &["/image"]);
    }
    // An empty file can't be uploaded.
    nabi.classify("", "image/jpeg", Vec::new())
        .await
        .problem(422);
}

#[tokio::test]
async fn only_the_callers_own_uploads_are_classified() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let others = other.upload("image/jpeg", &image(JPEG)).await;
    let wanted = json!({ "content_type": "image/jpeg", "size": 3 });
    let never = nabi.create("/v1/uploads", &wanted).await.expect(201).json();
    let never = never["key"].as_str().unwrap().to_owned();
    let mine = nabi.upload("image/jpeg", &image(JPEG)).await;
    let disguised = others.replace(&other.id, &nabi.id);
    let around = format!(
        "uploads/{}/../{}",
        nabi.id,
        others.trim_start_matches("uploads/")
    );
    let keys = [
        others,
        never,
        disguised,
        around,
        mine.to_uppercase(),
        format!("{mine} "),
        format!("/{mine}"),
        mine.replace(".jpg", ".png"),
        format!("{}/media/{mine}", world.url()),
        String::new(),
        "x".repeat(5000),
        "../../etc/passwd".to_owned(),
        "나비".to_owned(),
    ];
    for key in keys {
        let reply = nabi.classify_upload("", &key).await;
        reply.bad_fields(422, &["/image"]);
    }
    nabi.classify_upload("", &mine).await.expect(200);
}

#[tokio::test]
async fn other_media_types_are_refused() {
    let nabi = World::shared().await.user("nabi");
    for content_type in [
        "image/gif",
        "image/svg+xml",
        "image/*",
        "image/jpg",
        "image",
        "jpeg",
        "application/octet-stream",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "image/jpeg, image/png",
    ] {
        let reply = nabi.classify("", content_type, image(JPEG)).await;
        reply.problem(415);
    }
    let untyped = nabi
        .request(reqwest::Method::POST, "/v1/classify")
        .body(image(JPEG));
    nabi.send(untyped).await.problem(415);
    for encoding in ["gzip", "br", "identity, gzip"] {
        let encoded = nabi
            .request(reqwest::Method::POST, "/v1/classify")
            .header("content-type", "image/jpeg")
            .header("content-encoding", encoding)
            .body(image(JPEG));
        nabi.send(encoded).await.problem(415);
    }
}

/// Returns an event of the load balancer with these bytes.
fn event(user: &User, bytes: &[u8]) -> Value {
    json!({
        "requestContext": { "elb": { "targetGroupArn": "arn:tg" } },
        "httpMethod": "POST",
        "path": "/v1/classify",
        "multiValueQueryStringParameters": {},
        "multiValueHeaders": {
            "content-type": ["image/jpeg"],
            "authorization": [format!("Bearer {}", user.token.clone().unwrap())],
        },
        "body": STANDARD.encode(bytes),
        "isBase64Encoded": true,
    })
}

#[tokio::test]
async fn bodies_above_1_mib_are_refused() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let image = jpeg_of_size(1024 * 1024 + 1);
    // The load balancer refuses this with its own answer, and the function refuses it too if such a body reaches it.
    nabi.classify("", "image/jpeg", image.clone())
        .await
        .expect(413);
    let payload = world.invoke("classify", &event(&nabi, &image)).await;
    let answer: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
    assert_eq!(answer["statusCode"], 413, "{answer}");
    let most = event(&nabi, &image[..1024 * 1024]);
    let payload = world.invoke("classify", &most).await.unwrap();
    let answer: Value = serde_json::from_slice(&payload).unwrap();
    assert_ne!(answer["statusCode"], 413, "{answer}");
}

/// No presigned URL allows such an object, but the bucket may contain one.
#[tokio::test]
async fn objects_above_10_mib_are_refused() {
    let world = World::own().await;
    let nabi = world.user("nabi");
    let wanted = json!({ "content_type": "image/jpeg", "size": 3 });
    let upload = nabi.create("/v1/uploads", &wanted).await.expect(201).json();
    let key = upload["key"].as_str().unwrap();
    let put = async |size: usize| {
        world
            .s3()
            .put_object()
            .bucket(world.bucket_name("UploadsBucket").unwrap())
            .key(key)
            .body(ByteStream::from(jpeg_of_size(size)))
            .send()
            .await
            .unwrap();
        nabi.classify_upload("", key).await
    };
    let peak = async || world.status().await.unwrap().functions["classify"].peak_memory_mb;
    put(10 * 1024 * 1024).await.expect(200);
    let before = peak().await;
    for size in [10 * 1024 * 1024 + 1, 40 * 1024 * 1024] {
        put(size).await.bad_fields(413, &["/image"]);
    }
    let more = peak().await - before;
    assert!(more < 5.0, "what is too large was read: {more} MiB more");
}

/// Dimensions are checked before pixels are decoded.
#[tokio::test]
async fn more_pixels_than_the_limit_are_refused() {
    let nabi = World::shared().await.user("nabi");
    for bomb in [
        "refused/png-30000x30000-rgba-16.png",
        "refused/jpeg-65535x65535.jpg",
        "refused/webp-16383x16383.webp",
    ] {
        let problem = nabi
            .classify("", "image/png", image(bomb))
            .await
            .problem(413);
        assert_eq!(problem.get("errors"), None, "{bomb}");
        let key = nabi.upload("image/png", &image(bomb)).await;
        let reply = nabi.classify_upload("", &key).await;
        reply.bad_fields(413, &["/image"]);
    }
}
