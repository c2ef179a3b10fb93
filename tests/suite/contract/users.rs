//! `GET /v1/users/{id}` and `GET /v1/me`.

use serde_json::Value;

use super::shapes::assert_user;
use crate::support::World;

#[tokio::test]
async fn a_new_user_has_a_generated_handle_and_no_counts() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let reply = nabi.get("/v1/me").await.expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let me = reply.json();
    assert_user(&me);
    assert_eq!(
        (me["id"].as_str(), &me["bio"], &me["avatar_url"]),
        (Some(nabi.id.as_str()), &Value::Null, &Value::Null)
    );
    for count in ["followers", "following", "posts"] {
        assert_eq!(me[count], 0, "{count}");
    }
    assert_eq!(me["followed"], false);
    // The user looks the same at any time and to any caller.
    assert_eq!(nabi.me().await, me);
    assert_eq!(nabi.read_user(&nabi).await, me);
    assert_eq!(other.read_user(&nabi).await, me);
    assert_ne!(other.me().await["handle"], me["handle"]);
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let world = World::shared().await;
    let (nabi, ghost) = (world.user("nabi"), world.user("ghost"));
    nabi.get(&format!("/v1/users/{}", ghost.id))
        .await
        .problem(404);
    nabi.get("/v1/users/@cat_000000000000").await.problem(404);
}

#[tokio::test]
async fn posting_or_following_creates_the_user() {
    let world = World::shared().await;
    let (nabi, follower, reader) = (
        world.user("nabi"),
        world.user("follower"),
        world.user("reader"),
    );
    nabi.post("x").await;
    assert_eq!(reader.read_user(&nabi).await["posts"], 1);
    follower.follow(&nabi).await;
    world.wait_until_drained().await;
    assert_eq!(reader.read_user(&follower).await["following"], 1);
}

#[tokio::test]
async fn posts_are_counted_exactly() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let posts = futures::future::join_all((0..8).map(|_| nabi.post_id("x"))).await;
    assert_eq!(reader.read_user(&nabi).await["posts"], 8);
    // Three posts are deleted, one of them by five requests at once.
    nabi.delete_post(&posts[0]).await;
    nabi.delete_post(&posts[1]).await;
    let path = format!("/v1/posts/{}", posts[2]);
    let replies = futures::future::join_all((0..5).map(|_| nabi.delete(&path))).await;
    assert!(
        replies
            .iter()
            .all(|reply| [204, 404].contains(&reply.status)),
        "{replies:?}"
    );
    assert!(replies.iter().any(|reply| reply.status == 204));
    assert_eq!(reader.read_user(&nabi).await["posts"], 5);
    assert_eq!(nabi.me().await["posts"], 5);
    assert_eq!(
        reader
            .walk(&format!("/v1/users/{}/posts", nabi.id), 3)
            .await
            .len(),
        5
    );
}
