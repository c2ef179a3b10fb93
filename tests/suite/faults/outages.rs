//! Failed dependencies: 503 with Retry-After, in time, and nothing that was accepted is lost.

use purrline_local::{Delivery, Outage, Service};
use reqwest::Method;
use serde_json::json;

use super::{assert_unavailable, followers_of, stage};
use crate::support::{self, id_of};

const OUTAGES: [Outage; 3] = [Outage::Closed, Outage::Unavailable, Outage::Hang];

/// Without queues, posts are answered with 201 and fanned out later; likes and follows are refused. Fails when a post
/// depends on the queue, or when a like is accepted although no queue has it.
#[tokio::test]
async fn without_queues_posts_are_kept_and_likes_refused() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    let mut posts = Vec::new();
    for outage in OUTAGES {
        stage.world.stop_service(Service::Queues, outage);
        let any = "/v1/posts/0000000000001/like";
        let (post, ..) = futures::join!(
            author.post_id("queues are down"),
            assert_unavailable("like", reader.put(any)),
            assert_unavailable("unlike", reader.delete(any)),
            assert_unavailable("follow", reader.put("/v1/users/anybody/follow")),
            assert_unavailable("unfollow", reader.delete("/v1/users/anybody/follow")),
        );
        posts.insert(0, post);
        stage.world.resume_service(Service::Queues);
        stage.sweep_until_settled().await;
        assert_eq!(reader.walk_ids("/v1/feed", 10).await, posts, "{outage:?}");
        reader.like(&posts[0]).await;
        stage.world.wait_until_drained().await;
        assert_eq!(reader.feed(1).await[0]["likes"], 1);
    }
}

/// Without tables, each request that needs them is refused, in time. Fails when an error of the store becomes a 500, a
/// timeout, or a crash.
#[tokio::test]
async fn without_tables_everything_is_refused_in_time() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let post = author.post_id("before").await;
    let path = format!("/v1/posts/{post}");
    let lists =
        ["posts", "followers", "following"].map(|list| format!("/v1/users/{}/{list}", author.id));
    let comments = support::comments(&post);
    let comment = id_of(&author.comment(&post, "before").await);
    let (text, upload) = (
        json!({ "text": "x" }),
        json!({ "content_type": "image/jpeg", "size": 1 }),
    );
    let profile = json!({ "handle": "author", "name": "Author" });
    stage.world.wait_until_drained().await;
    for outage in OUTAGES {
        // A cached feed needs no table.
        stage.world.flush_cache().await.unwrap();
        stage.world.stop_service(Service::Tables, outage);
        let create = author
            .request(Method::POST, "/v1/posts")
            .header("idempotency-key", "k")
            .json(&text);
        futures::join!(
            assert_unavailable("post once", author.send(create)),
            assert_unavailable("edit", author.change(&path, &text)),
            assert_unavailable("delete", author.delete(&path)),
            assert_unavailable("read", author.get(&path)),
            assert_unavailable("list", author.get(&lists[0])),
            assert_unavailable("comments", author.get(&comments)),
            assert_unavailable("comment", author.create(&comments, &text)),
            assert_unavailable("comment once", author.create_once(&comments, "k", &text)),
            assert_unavailable("delete_comment", author.delete_comment(&post, &comment)),
            assert_unavailable("me", author.get("/v1/me")),
            assert_unavailable("put me", author.put_me(&profile)),
            assert_unavailable("handle", author.get("/v1/users/@somebody")),
            assert_unavailable("user", author.get("/v1/users/somebody")),
            assert_unavailable("followers", author.get(&lists[1])),
            assert_unavailable("following", author.get(&lists[2])),
            assert_unavailable("feed", author.get("/v1/feed")),
            assert_unavailable(
                "upload once",
                author.create_once("/v1/uploads", "k", &upload)
            ),
        );
        assert_unavailable("post", author.create("/v1/posts", &text)).await;
        // These requests need no table.
        author.like(&post).await;
        author.get("/v1/health").await.expect(200);
        stage.world.resume_service(Service::Tables);
        stage.sweep_until_settled().await;
        assert_eq!(
            author.read_post(&post).await["text"],
            "before",
            "{outage:?}"
        );
        assert_eq!(author.walk_ids(&lists[0], 10).await, [post.as_str()]);
        assert_eq!(author.feed(5).await[0]["likes"], 1, "{outage:?}");
        assert_eq!(
            author.walk_ids(&comments, 10).await,
            [comment.as_str()],
            "{outage:?}"
        );
        assert_eq!(author.feed(5).await[0]["comments"], 1, "{outage:?}");
    }
}

/// Without the buckets, only pictures that aren't made yet can't be used. Fails when a post waits for a bucket that it doesn't
/// need.
#[tokio::test]
async fn without_the_buckets_only_new_pictures_are_refused() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let made = author.upload_photo().await;
    let post = author
        .create("/v1/posts", &json!({ "images": [made] }))
        .await;
    post.expect(201);
    stage.world.wait_until_drained().await;
    let lost = Delivery::default().dropping(|_| true);
    stage.world.deliver("PhotosQueue", lost).unwrap();
    let new = author.upload_photo().await;
    for outage in OUTAGES {
        stage.world.stop_service(Service::Bucket, outage);
        let with_image = json!({ "text": "look", "images": [new] });
        let with_avatar = json!({ "handle": "author", "name": "x", "avatar": new });
        let with_photo = json!({ "name": "x", "photo": new });
        let with_made = json!({ "text": "made", "images": [made] });
        futures::join!(
            assert_unavailable("post", author.create("/v1/posts", &with_image)),
            assert_unavailable("classify", author.classify_upload("", &made)),
            assert_unavailable("avatar", author.put_me(&with_avatar)),
            assert_unavailable("photo", author.create("/v1/cats", &with_photo)),
            async {
                let bytes = support::image(support::JPEG);
                author.classify("", "image/jpeg", bytes).await.expect(200);
                author.create("/v1/posts", &with_made).await.expect(201);
            },
            async {
                author.post("no image").await;
                author
                    .create(
                        "/v1/uploads",
                        &json!({ "content_type": "image/png", "size": 5 }),
                    )
                    .await
                    .expect(201);
            }
        );
        stage.world.resume_service(Service::Bucket);
        author.classify_upload("", &made).await.expect(200);
    }
    let posts = author.walk("/v1/feed", 10).await;
    stage.sweep_until_settled().await;
    assert!(
        posts.iter().all(|post| post["text"] != "look"),
        "{posts:#?}"
    );
}
