//! Pictures, as `api.md` says: what is served of an upload.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::shapes::assert_post;
use crate::support::{JPEG, Reply, User, World, id_of, image, photo};

/// Writes a post with these images, and returns its pictures.
async fn pictures(user: &User, images: &Value) -> Vec<Value> {
    let body = json!({ "images": images });
    let post = user.create("/v1/posts", &body).await.expect(201).json();
    assert_post(&post);
    post["images"].as_array().unwrap().clone()
}

async fn get(user: &User, url: &Value) -> Reply {
    user.send(user.http().get(url.as_str().unwrap())).await
}

/// Returns the width and height that a JPEG's frame header says, and the markers of its segments.
fn read_jpeg(bytes: &[u8]) -> (u64, u64, Vec<u8>) {
    assert_eq!(bytes[..2], [0xff, 0xd8], "not a JPEG");
    let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (mut at, mut size, mut markers) = (2, (0, 0), Vec::new());
    while bytes[at + 1] != 0xda {
        let marker = bytes[at + 1];
        if matches!(marker, 0xc0..=0xc2) {
            size = (number(at + 7).into(), number(at + 5).into());
        }
        markers.push(marker);
        at += 2 + usize::from(number(at + 2));
    }
    (size.0, size.1, markers)
}

#[tokio::test]
async fn a_picture_is_served_in_every_size_that_the_upload_reaches() {
    let nabi = World::shared().await.user("nabi");
    for (width, height, expected) in [
        (200, 100, &[(200, 100)][..]),
        (319, 319, &[(319, 319)]),
        (320, 100, &[(320, 100)]),
        (640, 1280, &[(320, 640), (640, 1280)]),
        (1280, 960, &[(320, 240), (640, 480), (1280, 960)]),
        (2000, 1000, &[(320, 160), (640, 320), (1280, 640)]),
    ] {
        let key = nabi.upload("image/jpeg", &photo(width, height)).await;
        let picture = pictures(&nabi, &json!([key])).await.remove(0);
        assert_eq!(picture["key"], key.as_str());
        let sizes = picture["sizes"].as_array().unwrap();
        let width_and_height = |size: &Value| (size["width"].as_u64(), size["height"].as_u64());
        let said: Vec<_> = sizes.iter().map(width_and_height).collect();
        let expected: Vec<_> = expected.iter().map(|&(w, h)| (Some(w), Some(h))).collect();
        assert_eq!(said, expected, "{width}x{height}");
        for size in sizes {
            let served = get(&nabi, &size["url"]).await.expect(200);
            assert_eq!(served.header("content-type"), Some("image/jpeg"));
            assert_eq!(served.header("x-content-type-options"), Some("nosniff"));
            let cached = served.header("cache-control").unwrap();
            assert!(cached.contains("max-age=2592000"), "{cached}");
            let (width, height, markers) = read_jpeg(&served.body);
            assert_eq!((Some(width), Some(height)), width_and_height(size));
            // JFIF's, but no Exif, ICC, comment or other application's.
            assert!(
                !markers
                    .iter()
                    .any(|marker| matches!(marker, 0xe1..=0xef | 0xfe))
            );
        }
    }
}

/// Fails if a key, or a name made of it, leads to the upload.
#[tokio::test]
async fn no_byte_of_an_upload_is_served() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let mut upload = image(JPEG);
    upload.extend(b"home address");
    let key = nabi.upload("image/jpeg", &upload).await;
    let picture = pictures(&nabi, &json!([key])).await.remove(0);
    let url = picture["url"].as_str().unwrap();
    let file = key.rsplit('/').next().unwrap();
    assert!(!url.contains(file.split('.').next().unwrap()), "{url}");
    let (base, _) = url.split_at(url.find("/media/").unwrap() + "/media/".len());
    for path in [
        key.clone(),
        key.replace("uploads/", ""),
        "../".to_owned() + &key,
    ] {
        let reply = nabi.send(nabi.http().get(format!("{base}{path}"))).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    let bucket = &world.endpoints().bucket;
    let names = world
        .plan()
        .buckets
        .iter()
        .map(|bucket| bucket.name.clone());
    for name in names.collect::<Vec<_>>() {
        let reply = nabi.send(nabi.http().get(format!("{bucket}/{name}/{key}")));
        assert_eq!(reply.await.status, 403, "{name}");
    }
    assert!(
        !get(&nabi, &picture["url"])
            .await
            .body
            .windows(4)
            .any(|part| part == b"home")
    );
}

/// Posts ten photos of twelve megapixels that were uploaded five seconds ago, ten times, and prints the median time of the
/// answer.
#[tokio::test]
#[ignore = "a measurement: run it on an idle machine, with --nocapture"]
async fn a_post_with_ten_photos_is_answered_at_once() {
    let world = World::own().await;
    let nabi = world.user("nabi");
    let jpeg = photo(4000, 3000);
    let mut times = Vec::new();
    for _ in 0..10 {
        let mut keys = Vec::new();
        for _ in 0..10 {
            keys.push(nabi.upload("image/jpeg", &jpeg).await);
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let started = Instant::now();
        let body = json!({ "images": keys });
        nabi.create("/v1/posts", &body).await.expect(201);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!(
        "a post with ten photos is answered after {:?} at the median: {times:?}",
        times[5]
    );
}

/// Returns uploads that can't be shown, each with a description.
fn not_pictures() -> [(&'static str, Vec<u8>); 4] {
    let jpeg = image(JPEG);
    [
        ("text", b"<html><script>alert(1)</script></html>".to_vec()),
        ("half a photo", jpeg[..jpeg.len() / 2].to_vec()),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec()),
        ("too many pixels", image("refused/jpeg-65535x65535.jpg")),
    ]
}

#[tokio::test]
async fn an_upload_that_is_no_picture_is_refused_wherever_it_is_used() {
    let nabi = World::shared().await.user("nabi");
    let good = nabi.upload_photo().await;
    let post = nabi.post_id("x").await;
    let cat = nabi.cat_id("x").await;
    let before = nabi.me().await;
    for (what, bytes) in not_pictures() {
        let key = nabi.upload("image/jpeg", &bytes).await;
        // Twice: the second time it is known.
        for _ in 0..2 {
            let images = json!({ "images": [good, key] });
            let photo = json!({ "name": "x", "photo": key });
            let avatar = json!({ "handle": nabi.own_handle(), "name": "x", "avatar": key });
            for (refused, pointer) in [
                (nabi.create("/v1/posts", &images).await, "/images/1"),
                (
                    nabi.change(&format!("/v1/posts/{post}"), &images).await,
                    "/images/1",
                ),
                (nabi.create("/v1/cats", &photo).await, "/photo"),
                (
                    nabi.change(&format!("/v1/cats/{cat}"), &photo).await,
                    "/photo",
                ),
                (nabi.put_me(&avatar).await, "/avatar"),
                (nabi.patch_me(&json!({ "avatar": key })).await, "/avatar"),
            ] {
                refused.bad_fields(422, &[pointer]);
                let kind = refused.json()["type"].clone();
                assert_eq!(kind, "/problems/not-a-picture", "{what}");
            }
        }
    }
    assert_eq!(nabi.me().await, before);
    assert_eq!(nabi.read_post(&post).await["images"], json!([]));
    assert_eq!(nabi.read_cat(&cat).await["photo_url"], Value::Null);
}

#[tokio::test]
async fn an_image_that_was_never_uploaded_has_no_type_of_its_own() {
    let nabi = World::shared().await.user("nabi");
    let body = json!({ "images": ["uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg"] });
    let refused = nabi.create("/v1/posts", &body).await;
    refused.bad_fields(422, &["/images/0"]);
    assert_eq!(refused.json()["type"], "about:blank");
}

#[tokio::test]
async fn images_may_have_descriptions() {
    let nabi = World::shared().await.user("nabi");
    let [first, second, third] = [
        nabi.upload_photo().await,
        nabi.upload_photo().await,
        nabi.upload_photo().await,
    ];
    let longest = "고".repeat(1500);
    let images = json!([
        first,
        { "key": second, "alt": "잠자는 러시안 블루" },
        { "key": third, "alt": longest },
    ]);
    let body = json!({ "images": images });
    let post = nabi.create("/v1/posts", &body).await.expect(201).json();
    let alts = |post: &Value| -> Vec<Value> {
        let images = post["images"].as_array().unwrap().iter();
        images.map(|image| image["alt"].clone()).collect()
    };
    let expected = [Value::Null, json!("잠자는 러시안 블루"), json!(longest)];
    assert_eq!(alts(&post), expected);
    let path = format!("/v1/posts/{}", id_of(&post));
    assert_eq!(alts(&nabi.get(&path).await.expect(200).json()), expected);
    // A change of a description alone is an edit. Without one, or with an empty one, there is none.
    let images = json!([{ "key": first, "alt": "new" }, { "key": second, "alt": null }, { "key": third, "alt": "" }]);
    let edited = nabi.change(&path, &json!({ "images": images })).await;
    let edited = edited.expect(200).json();
    assert_eq!(alts(&edited), [json!("new"), Value::Null, Value::Null]);
    assert!(edited["edited_at"].is_string());
    let urls = |post: &Value| -> Vec<Value> {
        let images = post["images"].as_array().unwrap().iter();
        images.map(|image| image["url"].clone()).collect()
    };
    assert_eq!(urls(&edited), urls(&post));
}

/// Fails if a body may not be as large as api.md's limits of its fields allow.
#[tokio::test]
async fn ten_images_may_have_the_longest_descriptions() {
    let nabi = World::shared().await.user("nabi");
    let mut images = Vec::new();
    for _ in 0..10 {
        let key = nabi.upload_photo().await;
        images.push(json!({ "key": key, "alt": "🐈".repeat(1500) }));
    }
    let body = json!({ "text": "🐈".repeat(2000), "images": images });
    // As some clients write it: two escapes of six bytes for each cat.
    let escaped = body.to_string().replace('🐈', "\\ud83d\\udc08");
    assert!(escaped.len() > 200_000);
    let request = nabi
        .request(Method::POST, "/v1/posts")
        .header("content-type", "application/json");
    let post = nabi.send(request.body(escaped)).await.expect(201).json();
    assert_eq!(post["images"][9]["alt"], "🐈".repeat(1500));
}

#[tokio::test]
async fn bad_images_are_named() {
    let nabi = World::shared().await.user("nabi");
    let key = nabi.upload_photo().await;
    for (image, pointer) in [
        (json!(1), "/images/0"),
        (json!([]), "/images/0"),
        (json!(null), "/images/0"),
        (json!({}), "/images/0/key"),
        (json!({ "key": null }), "/images/0/key"),
        (json!({ "key": 1 }), "/images/0/key"),
        (json!({ "key": key, "alt": 1 }), "/images/0/alt"),
        (
            json!({ "key": key, "alt": "x".repeat(1501) }),
            "/images/0/alt",
        ),
        (json!({ "key": key, "alt": "a\0b" }), "/images/0/alt"),
        (json!({ "key": key, "title": "x" }), "/images/0/title"),
    ] {
        let body = json!({ "images": [image] });
        let refused = nabi.create("/v1/posts", &body).await;
        refused.bad_fields(400, &[pointer]);
    }
    let twice = json!({ "images": [key, { "key": key, "alt": "again" }] });
    let refused = nabi.create("/v1/posts", &twice).await;
    refused.bad_fields(400, &["/images/1"]);
}
