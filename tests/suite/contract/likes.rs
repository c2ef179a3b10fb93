//! Likes: queued, counted exactly, and the caller's last request wins.

use serde_json::json;

use super::shapes::assert_user;
use crate::support::{User, World, eventually, id_of};

/// Returns a post's likes as this caller sees them, and whether the caller likes it.
async fn seen(caller: &User, post: &str) -> (u64, bool) {
    let read = caller.read_post(post).await;
    (
        read["likes"].as_u64().unwrap(),
        read["liked"].as_bool().unwrap(),
    )
}

#[tokio::test]
async fn a_like_is_queued_and_then_shows_everywhere() {
    let world = World::shared().await;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    fan.follow(&nabi).await;
    let post = nabi.post_id("x").await;
    eventually("the post is in the follower's feed", async || {
        (fan.feed_ids(5).await == [post.clone()]).then_some(())
    })
    .await;

    let reply = fan.put(&format!("/v1/posts/{post}/like")).await.expect(202);
    assert_eq!(reply.json(), json!({ "status": "queued" }));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    eventually("the like is counted", async || {
        (seen(&fan, &post).await == (1, true)).then_some(())
    })
    .await;
    assert_eq!(seen(&nabi, &post).await, (1, false));
    // The like shows in the feeds, whose cached post lacked it, and in the author's list.
    world.wait_until_drained().await;
    for (caller, liked) in [(&fan, true), (&nabi, false)] {
        let author_list = caller
            .walk(&format!("/v1/users/{}/posts", nabi.id), 20)
            .await;
        for shown in [&caller.feed(5).await[0], &author_list[0]] {
            assert_eq!(
                (&shown["likes"], &shown["liked"]),
                (&json!(1), &json!(liked))
            );
        }
    }

    let reply = fan
        .delete(&format!("/v1/posts/{post}/like"))
        .await
        .expect(202);
    assert_eq!(reply.json(), json!({ "status": "queued" }));
    eventually("the like is taken back", async || {
        (seen(&fan, &post).await == (0, false)).then_some(())
    })
    .await;
    world.wait_until_drained().await;
    assert_eq!(
        (
            &fan.feed(5).await[0]["likes"],
            &fan.feed(5).await[0]["liked"]
        ),
        (&json!(0), &json!(false))
    );
}

#[tokio::test]
async fn repeated_requests_count_once_and_the_last_wins() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let (one, two, three) = (world.user("one"), world.user("two"), world.user("three"));
    let post = nabi.post_id("x").await;
    for _ in 0..3 {
        one.like(&post).await;
        nabi.like(&post).await;
    }
    two.like(&post).await;
    two.unlike(&post).await;
    three.unlike(&post).await;
    three.like(&post).await;
    three.unlike(&post).await;
    three.like(&post).await;
    world.wait_until_drained().await;
    assert_eq!(seen(&one, &post).await, (3, true));
    assert_eq!(
        seen(&nabi, &post).await,
        (3, true),
        "an author may like their own"
    );
    assert_eq!(seen(&two, &post).await, (3, false));
    assert_eq!(seen(&three, &post).await, (3, true));
    for _ in 0..2 {
        one.unlike(&post).await;
        two.unlike(&post).await;
    }
    world.wait_until_drained().await;
    assert_eq!(seen(&one, &post).await, (2, false));
    assert_eq!(seen(&two, &post).await, (2, false));
    assert_eq!(seen(&three, &post).await, (2, true));
}

#[tokio::test]
async fn likes_of_unknown_posts_have_no_effect() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let (gone, kept) = (nabi.post_id("gone").await, nabi.post_id("kept").await);
    nabi.delete_post(&gone).await;
    for post in [gone.as_str(), "0000000000000"] {
        let reply = nabi.put(&format!("/v1/posts/{post}/like")).await;
        assert!([202, 404].contains(&reply.status), "{}", reply.text());
    }
    nabi.like(&kept).await;
    world.wait_until_drained().await;
    assert_eq!(seen(&nabi, &kept).await, (1, true));
    nabi.get(&format!("/v1/posts/{gone}")).await.problem(404);
}

#[tokio::test]
async fn likers_are_listed_latest_first() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let post = nabi.post_id("x").await;
    let list = format!("/v1/posts/{post}/likes");
    let fans: Vec<User> = (0..7).map(|n| world.user(&format!("fan{n}"))).collect();
    for fan in &fans {
        fan.like(&post).await;
    }
    // A user who has done nothing else counts too, and the author may like the post.
    nabi.like(&post).await;
    fans[2].unlike(&post).await;
    reader.follow(&fans[5]).await;
    world.wait_until_drained().await;
    let mut expected = vec![nabi.id.clone()];
    expected.extend(fans.iter().rev().map(|fan| fan.id.clone()));
    expected.retain(|id| *id != fans[2].id);
    for size in [1, 3, 7, 100] {
        let walked = reader.walk(&list, size).await;
        walked.iter().for_each(assert_user);
        assert_eq!(walked.iter().map(id_of).collect::<Vec<_>>(), expected);
        for user in &walked {
            assert_eq!(user["followed"], id_of(user) == fans[5].id, "{user}");
        }
    }
    nabi.delete_post(&post).await;
    for gone in [
        list.as_str(),
        "/v1/posts/nothing/likes",
        "/v1/posts/0000000000000/likes",
    ] {
        reader.get(gone).await.problem(404);
    }
}
