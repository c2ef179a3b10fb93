//! Saved posts: saving twice changes nothing, the latest comes first, and only the caller sees them.

use super::shapes::assert_post;
use crate::support::{User, World, id_of};

async fn save(user: &User, post: &str) {
    let reply = user
        .put(&format!("/v1/posts/{post}/save"))
        .await
        .expect(204);
    assert!(reply.body.is_empty());
}

async fn unsave(user: &User, post: &str) {
    user.delete(&format!("/v1/posts/{post}/save"))
        .await
        .expect(204);
}

#[tokio::test]
async fn saved_posts_are_listed_latest_saved_first() {
    let world = World::shared().await;
    let (nabi, author) = (world.user("nabi"), world.user("author"));
    let mut posts = Vec::new();
    for n in 0..7 {
        posts.push(author.post_id(&n.to_string()).await);
    }
    let order = [3, 0, 6, 1, 5, 2, 4];
    for &n in &order {
        save(&nabi, &posts[n]).await;
    }
    // Saved again, the post keeps its place.
    save(&nabi, &posts[3]).await;
    let expected: Vec<&String> = order.iter().rev().map(|&n| &posts[n]).collect();
    for size in [1, 2, 3, 7, 100] {
        let walked = nabi.walk("/v1/me/saved", size).await;
        walked.iter().for_each(assert_post);
        assert_eq!(
            walked.iter().map(id_of).collect::<Vec<_>>(),
            expected.iter().map(|id| (*id).clone()).collect::<Vec<_>>()
        );
    }
    assert!(
        author.walk("/v1/me/saved", 5).await.is_empty(),
        "somebody else's"
    );

    unsave(&nabi, &posts[6]).await;
    unsave(&nabi, &posts[6]).await;
    save(&nabi, &posts[0]).await;
    assert_eq!(nabi.walk("/v1/me/saved", 3).await.len(), 6);
    save(&nabi, &posts[6]).await;
    assert_eq!(
        nabi.walk_ids("/v1/me/saved", 3).await[0],
        posts[6],
        "saved anew"
    );
}

/// Wherever the post is shown, from the cache and from the store, at once.
#[tokio::test]
async fn a_post_says_whether_the_caller_saved_it() {
    let world = World::own().await;
    let (nabi, author) = (world.user("nabi"), world.user("author"));
    let cat = author.cat_id("x").await;
    nabi.follow(&author).await;
    let post = id_of(&author.post_of("#tagged", &[&cat]).await);
    let other = author.post_id("another").await;
    world.wait_until_drained().await;
    let says = async |caller: &User, saved: bool| {
        let tagged = caller.walk("/v1/tags/tagged/posts", 9).await;
        let of_cat = caller.walk(&format!("/v1/cats/{cat}/posts"), 9).await;
        let by = format!("/v1/users/{}/posts", author.id);
        let (by, feed) = (caller.walk(&by, 9).await, caller.feed(9).await);
        let (found, _) = caller.page("/v1/search?q=tagged").await;
        let read = caller.read_post(&post).await;
        let all = [tagged, of_cat, by, feed, found, vec![read]].concat();
        for shown in all {
            let this = id_of(&shown) == post;
            assert_eq!(shown["saved"], saved && this, "{shown}");
        }
    };
    for _ in 0..2 {
        says(&nabi, false).await;
        says(&author, false).await;
        save(&nabi, &post).await;
        says(&nabi, true).await;
        nabi.like(&post).await;
        world.wait_until_drained().await;
        says(&nabi, true).await;
        assert_eq!(nabi.feed(9).await[1]["liked"], true);
        says(&author, false).await;
        assert_eq!(nabi.walk("/v1/me/saved", 5).await[0]["saved"], true);
        nabi.unlike(&post).await;
        unsave(&nabi, &post).await;
        world.wait_until_drained().await;
        world.flush_cache().await.unwrap();
    }
    assert_eq!(nabi.feed_ids(9).await, [other, post]);
}

#[tokio::test]
async fn a_deleted_post_is_gone_and_pages_stay_full() {
    let world = World::shared().await;
    let (nabi, author) = (world.user("nabi"), world.user("author"));
    let mut posts = Vec::new();
    for n in 0..8 {
        let post = author.post_id(&n.to_string()).await;
        save(&nabi, &post).await;
        posts.insert(0, post);
    }
    for n in [0, 1, 2, 5, 7] {
        author.delete_post(&posts[n]).await;
    }
    let left = [posts[3].clone(), posts[4].clone(), posts[6].clone()];
    for size in [1, 2, 3] {
        assert_eq!(nabi.walk_ids("/v1/me/saved", size).await, left);
    }
    // A deleted post can be unsaved, but not saved again.
    unsave(&nabi, &posts[0]).await;
    nabi.put(&format!("/v1/posts/{}/save", posts[0]))
        .await
        .problem(404);
}

#[tokio::test]
async fn unknown_posts_are_404() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    for id in ["0000000000000", "nothing", "a%2Fb"] {
        nabi.put(&format!("/v1/posts/{id}/save")).await.problem(404);
    }
    unsave(&nabi, "0000000000000").await;
    nabi.delete("/v1/posts/nothing/save").await.problem(404);
    assert!(nabi.walk("/v1/me/saved", 5).await.is_empty());
}
