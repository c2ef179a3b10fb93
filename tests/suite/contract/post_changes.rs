//! `PATCH` and `DELETE /v1/posts/{id}`.

use serde_json::{Value, json};

use super::shapes::{assert_post, assert_time};
use crate::support::backstage::Backstage;
use crate::support::{World, eventually};

#[tokio::test]
async fn an_edit_changes_only_the_named_fields() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let (first, second) = (nabi.upload_photo().await, nabi.upload_photo().await);
    let post = nabi
        .create("/v1/posts", &json!({ "text": "#old", "images": [first] }))
        .await
        .expect(201)
        .json();
    let path = format!("/v1/posts/{}", post["id"].as_str().unwrap());

    let edited = nabi
        .change(&path, &json!({ "text": "#new #tags" }))
        .await
        .expect(200)
        .json();
    assert_post(&edited);
    assert_time(&edited["edited_at"]);
    assert!(edited["edited_at"].as_str() >= post["created_at"].as_str());
    assert_eq!(
        (&edited["text"], &edited["tags"]),
        (&json!("#new #tags"), &json!(["new", "tags"]))
    );
    for same in [
        "id",
        "author",
        "images",
        "cats",
        "created_at",
        "likes",
        "comments",
        "liked",
    ] {
        assert_eq!(edited[same], post[same], "{same}");
    }
    assert_eq!(reader.get(&path).await.expect(200).json(), edited);

    let edited = nabi
        .change(&path, &json!({ "images": [second, first] }))
        .await
        .expect(200)
        .json();
    let keys: Vec<&Value> = edited["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| &image["key"])
        .collect();
    assert_eq!(keys, [&json!(second), &json!(first)]);
    assert_eq!(edited["text"], "#new #tags");

    let edited = nabi
        .change(&path, &json!({ "images": [], "text": "only words" }))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&edited["images"], &edited["tags"]),
        (&json!([]), &json!([]))
    );
    nabi.change(&path, &json!({ "cats": [] })).await.expect(200);
}

/// An edit without changes writes nothing, so nothing is fanned out again.
#[tokio::test]
async fn an_edit_that_changes_nothing_writes_nothing() {
    let world = World::own().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let key = nabi.upload_photo().await;
    let cat = nabi.cat_id("x").await;
    let body = json!({ "text": "#same", "images": [key], "cats": [cat] });
    let post = nabi.create("/v1/posts", &body).await.expect(201).json();
    let path = format!("/v1/posts/{}", post["id"].as_str().unwrap());
    world.wait_until_drained().await;
    let stage = Backstage::of(&world).await;
    let id = post["id"].as_str().unwrap();
    let before = stage.item("PostsTable", "id", id).await;
    for nothing in [
        body.clone(),
        json!({}),
        json!({ "text": "#same" }),
        json!({ "images": [key], "cats": null }),
        json!({ "text": null, "images": null, "cats": null }),
        json!({ "cats": [cat, cat] }),
    ] {
        let same = nabi.change(&path, &nothing).await.expect(200).json();
        assert_eq!(same, post, "{nothing}");
        assert_eq!(nabi.get(&path).await.expect(200).json(), post);
    }
    assert_eq!(stage.item("PostsTable", "id", id).await, before);
    // Other users may not even send an empty edit.
    other.change(&path, &json!({})).await.problem(403);
    let edited = nabi.change(&path, &json!({ "text": "#other" })).await;
    let edited = edited.expect(200).json();
    assert_time(&edited["edited_at"]);
    // An edit without changes also keeps the time of the last edit.
    let again = nabi.change(&path, &json!({ "text": "#other" })).await;
    assert_eq!(again.expect(200).json(), edited);
}

#[tokio::test]
async fn an_image_appears_once_in_a_post() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let [a, b] = [nabi.upload_photo().await, nabi.upload_photo().await];
    let post = nabi.post_id("x").await;
    let path = format!("/v1/posts/{post}");
    for (images, twice) in [
        (json!([a, a]), vec!["/images/1"]),
        (
            json!([a, b, a, b, a]),
            vec!["/images/2", "/images/3", "/images/4"],
        ),
    ] {
        let body = json!({ "text": "x", "images": images });
        nabi.create("/v1/posts", &body)
            .await
            .bad_fields(400, &twice);
        nabi.change(&path, &body).await.bad_fields(400, &twice);
    }
    // It is reported together with all other errors.
    let body = json!({ "text": 5, "images": ["k", "k"], "cats": 1 });
    let bad = ["/text", "/images/1", "/cats"];
    nabi.create("/v1/posts", &body).await.bad_fields(400, &bad);
    nabi.change(&path, &body).await.bad_fields(400, &bad);
    assert_eq!(nabi.me().await["posts"], 1);
    let both = nabi.change(&path, &json!({ "images": [a, b] })).await;
    assert_eq!(
        both.expect(200).json()["images"].as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
async fn an_edit_keeps_the_rules_of_a_post() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let key = nabi.upload_photo().await;
    let theirs = other.upload_photo().await;
    let wordless = nabi
        .create("/v1/posts", &json!({ "images": [key] }))
        .await
        .expect(201)
        .json();
    let words = nabi.post("words").await;
    let path = |post: &Value| format!("/v1/posts/{}", post["id"].as_str().unwrap());

    nabi.change(&path(&wordless), &json!({ "images": [] }))
        .await
        .bad_fields(400, &["/text"]);
    for nothing in ["", "\u{200b}", "\u{3164} ", "x\0"] {
        nabi.change(&path(&words), &json!({ "text": nothing }))
            .await
            .bad_fields(400, &["/text"]);
    }
    nabi.change(&path(&words), &json!({ "text": "x".repeat(2001) }))
        .await
        .bad_fields(400, &["/text"]);
    nabi.change(&path(&words), &json!({ "images": vec![&key; 11] }))
        .await
        .bad_fields(400, &["/images"]);
    nabi.change(&path(&words), &json!({ "images": [key, theirs] }))
        .await
        .bad_fields(422, &["/images/1"]);
    nabi.change(&path(&words), &json!({ "cats": ["cat"] }))
        .await
        .bad_fields(422, &["/cats/0"]);
    nabi.change(&path(&words), &json!({ "text": "", "images": [key] }))
        .await
        .expect(200);
    // Refused edits changed nothing.
    assert_eq!(
        nabi.get(&path(&wordless)).await.expect(200).json(),
        wordless
    );
}

#[tokio::test]
async fn only_the_author_may_change_or_delete() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let post = nabi.post("mine").await;
    let path = format!("/v1/posts/{}", post["id"].as_str().unwrap());
    other
        .change(&path, &json!({ "text": "theirs" }))
        .await
        .problem(403);
    other.delete(&path).await.problem(403);
    assert_eq!(nabi.get(&path).await.expect(200).json(), post);
    nabi.delete(&path).await.expect(204);
    // The post is gone for others and the author alike: no caller learns whose it was.
    for caller in [&nabi, &other] {
        caller
            .change(&path, &json!({ "text": "x" }))
            .await
            .problem(404);
        caller.delete(&path).await.problem(404);
        caller.get(&path).await.problem(404);
    }
}

#[tokio::test]
async fn an_edit_shows_everywhere_at_once() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    reader.follow(&nabi).await;
    let post = nabi.post_id("before").await;
    let path = format!("/v1/posts/{post}");
    eventually("the post is in the follower's feed", async || {
        (reader.feed_ids(5).await == [post.clone()]).then_some(())
    })
    .await;
    // The post is now cached; a reader after the answer sees the edit.
    let edited = nabi
        .change(&path, &json!({ "text": "after #now" }))
        .await
        .expect(200)
        .json();
    assert_eq!(reader.feed(5).await, std::slice::from_ref(&edited));
    assert_eq!(nabi.feed(5).await, std::slice::from_ref(&edited));
    assert_eq!(reader.get(&path).await.expect(200).json(), edited);
    assert_eq!(
        reader
            .walk(&format!("/v1/users/{}/posts", nabi.id), 20)
            .await,
        [edited]
    );
}

#[tokio::test]
async fn a_deleted_post_is_gone_from_every_read_at_once() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    reader.follow(&nabi).await;
    let (kept, deleted) = (nabi.post_id("kept").await, nabi.post_id("deleted").await);
    let both = [deleted.clone(), kept.clone()];
    eventually("both are in the follower's feed", async || {
        (reader.feed_ids(5).await == both).then_some(())
    })
    .await;
    assert_eq!(nabi.feed_ids(5).await, both);
    let list = format!("/v1/users/{}/posts", nabi.id);
    assert_eq!(reader.walk_ids(&list, 20).await, both);
    assert_eq!(nabi.me().await["posts"], 2);

    let reply = nabi
        .delete(&format!("/v1/posts/{deleted}"))
        .await
        .expect(204);
    assert!(reply.body.is_empty());
    for caller in [&reader, &nabi] {
        caller
            .get(&format!("/v1/posts/{deleted}"))
            .await
            .problem(404);
        assert_eq!(caller.feed_ids(5).await, std::slice::from_ref(&kept));
        assert_eq!(
            caller.walk_ids(&list, 20).await,
            std::slice::from_ref(&kept)
        );
        assert_eq!(caller.read_user(&nabi).await["posts"], 1);
    }
    // The deleted post does not reappear once all queues are drained.
    world.wait_until_drained().await;
    assert_eq!(reader.feed_ids(5).await, std::slice::from_ref(&kept));
    assert_eq!(nabi.feed_ids(5).await, [kept]);
}
