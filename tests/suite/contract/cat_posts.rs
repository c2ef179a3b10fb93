//! `GET /v1/cats/{id}/posts`.

use std::time::Duration;

use purrline_local::{FaultAction, FaultRule, When};
use serde_json::json;

use crate::support::{World, eventually, id_of};

#[tokio::test]
async fn a_cats_posts_are_those_that_show_it_newest_first() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let (coco, momo) = (nabi.cat_id("coco").await, nabi.cat_id("momo").await);
    let list = |cat: &str| format!("/v1/cats/{cat}/posts");
    let mut posts = Vec::new();
    for n in 0..7 {
        let cats = [[&coco, &momo], [&momo, &coco]][n % 2];
        let cats = cats.map(String::as_str);
        let shown = if n % 3 == 0 {
            &cats[..]
        } else {
            &[coco.as_str()]
        };
        posts.push(nabi.post_of(&n.to_string(), shown).await);
    }
    nabi.post("no cat").await;
    posts.reverse();
    for size in [1, 2, 3, 7, 20] {
        assert_eq!(reader.walk(&list(&coco), size).await, posts, "by {size}");
    }
    let of_momo = posts
        .iter()
        .filter(|post| post["cats"].as_array().unwrap().len() == 2);
    let of_momo: Vec<_> = of_momo.cloned().collect();
    assert_eq!(reader.walk(&list(&momo), 2).await, of_momo);
}

#[tokio::test]
async fn edits_and_deletions_move_a_post_between_lists() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let (coco, momo) = (nabi.cat_id("coco").await, nabi.cat_id("momo").await);
    let post = id_of(&nabi.post_of("x", &[&coco]).await);
    let path = format!("/v1/posts/{post}");
    let lists = async || {
        let coco = nabi.walk_ids(&format!("/v1/cats/{coco}/posts"), 20).await;
        (
            coco.len(),
            nabi.walk_ids(&format!("/v1/cats/{momo}/posts"), 20)
                .await
                .len(),
        )
    };
    assert_eq!(lists().await, (1, 0));
    for (edit, expected) in [
        (json!({ "cats": [coco, momo] }), (1, 1)),
        (json!({ "text": "y" }), (1, 1)),
        (json!({ "cats": [momo] }), (0, 1)),
        (json!({ "cats": [] }), (0, 0)),
        (json!({ "cats": [momo, coco, momo] }), (1, 1)),
    ] {
        nabi.change(&path, &edit).await.expect(200);
        assert_eq!(lists().await, expected, "{edit}");
    }
    let refused = json!({ "cats": [coco, "x"] });
    nabi.change(&path, &refused)
        .await
        .bad_fields(422, &["/cats/1"]);
    assert_eq!(lists().await, (1, 1));
    nabi.delete_post(&post).await;
    assert_eq!(lists().await, (0, 0));
}

#[tokio::test]
async fn an_unknown_cat_has_no_posts() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let cat = nabi.cat_id("x").await;
    nabi.post_of("x", &[&cat]).await;
    nabi.get("/v1/cats/0000000000000/posts").await.problem(404);
    nabi.delete(&format!("/v1/cats/{cat}")).await.expect(204);
    nabi.get(&format!("/v1/cats/{cat}/posts"))
        .await
        .problem(404);
}

/// The transaction that stores a post checks that the author still has the cat: a cat deleted at the same time is in no post
/// that is stored afterwards.
#[tokio::test]
async fn a_deleted_cat_is_in_no_later_post() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    for _ in 0..6 {
        let cat = nabi.cat_id("x").await;
        let body = json!({ "text": "x", "cats": [cat] });
        let path = format!("/v1/cats/{cat}");
        let (created, _) = futures::join!(nabi.create("/v1/posts", &body), nabi.delete(&path));
        assert!([201, 422].contains(&created.status), "{created:?}");
        nabi.create("/v1/posts", &body)
            .await
            .bad_fields(422, &["/cats/0"]);
    }
}

/// A cat is deleted after the post's author was found to own it, and before the post is stored. Fails if a post is stored
/// without checking its cats in the same transaction: nothing would take the cat out again.
#[tokio::test]
async fn a_cat_deleted_during_the_request_is_in_no_post() {
    let world = World::own().await;
    let nabi = world.user("nabi");
    let cat = nabi.cat_id("coco").await;
    let slow = FaultRule::new(When::Before, FaultAction::Delay(Duration::from_secs(1)));
    let slow = slow.function("post-write").operation("TransactWriteItems");
    let stored = world.on_call(slow).unwrap();
    let body = json!({ "text": "x", "cats": [cat] });
    let delete = async {
        eventually("the post is about to be stored", async || {
            (stored.fired() > 0).then_some(())
        })
        .await;
        nabi.delete(&format!("/v1/cats/{cat}")).await.expect(204);
    };
    let (post, ()) = futures::join!(nabi.create("/v1/posts", &body), delete);
    post.bad_fields(422, &["/cats"]);
    assert_eq!(nabi.me().await["posts"], 0);
}
