//! Blocks: from then on neither sees the other's profile or posts, and follows between them end.

use std::collections::HashSet;

use purrline_local::{FaultRule, Outage, Service, When};
use serde_json::json;

use super::shapes::assert_blocked;
use crate::support::backstage::Backstage;
use crate::support::{User, World, comments, eventually, id_of};

/// Asserts that a reader sees nothing of an author.
async fn assert_hidden(world: &World, reader: &User, author: &User, post: &str) {
    let user = format!("/v1/users/{}", author.id);
    for path in [
        user.clone(),
        format!("{user}/posts"),
        format!("{user}/followers"),
        format!("{user}/following"),
        format!("/v1/posts/{post}"),
        format!("/v1/posts/{post}/likes"),
    ] {
        reader.get(&path).await.problem(404);
    }
    reader
        .put(&format!("/v1/posts/{post}/save"))
        .await
        .problem(404);
    assert!(
        !reader
            .walk_ids("/v1/me/saved", 5)
            .await
            .contains(&post.to_owned())
    );
    assert!(!reader.feed_ids(20).await.contains(&post.to_owned()));
    // The same holds without cached feeds.
    world.flush_cache().await.unwrap();
    assert!(!reader.feed_ids(20).await.contains(&post.to_owned()));
}

/// Returns the numbers of followers and followees of a user, as a third user sees them.
async fn counts(world: &World, user: &User) -> (u64, u64) {
    let seen = world.user("third").read_user(user).await;
    let count = |name: &str| seen[name].as_u64().unwrap();
    (count("followers"), count("following"))
}

#[tokio::test]
async fn a_block_hides_each_from_the_other_and_ends_follows_between_them() {
    let world = World::own().await;
    let (nabi, bad, friend) = (world.user("nabi"), world.user("bad"), world.user("friend"));
    let mine = nabi.post_id("nabi's").await;
    let theirs = bad.post_id("bad's").await;
    let common = friend.post_id("friend's").await;
    for (by, whom) in [
        (&nabi, &bad),
        (&bad, &nabi),
        (&nabi, &friend),
        (&bad, &friend),
        (&friend, &nabi),
        (&friend, &bad),
    ] {
        by.follow(whom).await;
    }
    for (by, post) in [
        (&nabi, &theirs),
        (&bad, &mine),
        (&nabi, &common),
        (&bad, &common),
    ] {
        by.like(post).await;
        by.put(&format!("/v1/posts/{post}/save")).await.expect(204);
    }
    world.wait_until_drained().await;
    assert_eq!(
        nabi.feed_ids(20).await,
        [common.clone(), theirs.clone(), mine.clone()]
    );
    assert_eq!(counts(&world, &bad).await, (2, 2));

    let reply = nabi
        .put(&format!("/v1/users/{}/block", bad.id))
        .await
        .expect(204);
    assert!(reply.body.is_empty());
    assert_hidden(&world, &nabi, &bad, &theirs).await;
    assert_hidden(&world, &bad, &nabi, &mine).await;
    assert_eq!(counts(&world, &bad).await, (1, 1));
    assert_eq!(counts(&world, &nabi).await, (1, 1));

    // In a third user's lists, each sees everybody but the other, and pages are full.
    for (reader, hidden, list) in [
        (&nabi, &bad, format!("/v1/users/{}/followers", friend.id)),
        (&bad, &nabi, format!("/v1/users/{}/following", friend.id)),
        (&nabi, &bad, format!("/v1/posts/{common}/likes")),
        (&bad, &nabi, format!("/v1/posts/{common}/likes")),
    ] {
        let ids = reader.walk_ids(&list, 1).await;
        assert_eq!(ids, std::slice::from_ref(&reader.id), "{list}");
        let everybody: HashSet<String> = friend.walk_ids(&list, 1).await.into_iter().collect();
        assert_eq!(
            everybody,
            [reader.id.clone(), hidden.id.clone()].into(),
            "{list}"
        );
    }

    // Follows between the two have no effect.
    nabi.follow(&bad).await;
    bad.follow(&nabi).await;
    world.wait_until_drained().await;
    assert_eq!(counts(&world, &bad).await, (1, 1));
    assert_eq!(counts(&world, &nabi).await, (1, 1));

    // Without the block each sees the other again, but follows don't come back.
    nabi.unblock(&bad).await;
    assert_eq!(bad.read_post(&mine).await["id"], json!(mine));
    assert_eq!(nabi.read_user(&bad).await["followed"], false);
    assert!(!nabi.feed_ids(20).await.contains(&theirs));
    nabi.follow(&bad).await;
    world.wait_until_drained().await;
    assert!(nabi.feed_ids(20).await.contains(&theirs));
}

#[tokio::test]
async fn each_user_has_their_own_block() {
    let world = World::shared().await;
    let (nabi, bad) = (world.user("nabi"), world.user("bad"));
    let post = nabi.post_id("x").await;
    bad.me().await;
    for _ in 0..2 {
        nabi.block(&bad).await;
        bad.block(&nabi).await;
    }
    nabi.unblock(&bad).await;
    bad.get(&format!("/v1/posts/{post}")).await.problem(404);
    nabi.get(&format!("/v1/users/{}", bad.id))
        .await
        .problem(404);
    assert!(nabi.walk("/v1/me/blocked", 5).await.is_empty());
    assert_eq!(
        bad.walk_ids("/v1/me/blocked", 5).await,
        std::slice::from_ref(&nabi.id)
    );
    bad.unblock(&nabi).await;
    bad.unblock(&nabi).await;
    bad.read_post(&post).await;
    // No row of the blocks remains.
    let stage = Backstage::of(&world).await;
    for user in [&nabi, &bad] {
        let rows = stage.partition("BlocksTable", "user", &user.id).await;
        assert!(rows.is_empty(), "{rows:?}");
    }
}

#[tokio::test]
async fn blocked_users_are_listed_latest_first_for_the_blocker_alone() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let mut blocked = Vec::new();
    for n in 0..5 {
        let other = world.user(&format!("other{n}"));
        other.me().await;
        nabi.block(&other).await;
        other.block(&nabi).await;
        blocked.insert(0, other);
    }
    // A user who is blocked again keeps their place.
    nabi.block(&blocked[3]).await;
    let ids: Vec<String> = blocked.iter().map(|user| user.id.clone()).collect();
    for size in [1, 2, 5, 100] {
        let walked = nabi.walk("/v1/me/blocked", size).await;
        walked.iter().for_each(assert_blocked);
        assert_eq!(walked.iter().map(id_of).collect::<Vec<_>>(), ids);
    }
    assert_eq!(
        blocked[0].walk_ids("/v1/me/blocked", 5).await,
        std::slice::from_ref(&nabi.id)
    );
    assert!(
        world
            .user("third")
            .walk("/v1/me/blocked", 5)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn nobody_blocks_themselves() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    nabi.put(&format!("/v1/users/{}/block", nabi.id))
        .await
        .problem(422);
    nabi.delete(&format!("/v1/users/{}/block", nabi.id))
        .await
        .problem(422);
    nabi.put("/v1/users/a%20b/block").await.problem(404);
    nabi.me().await;
}

/// Fails if a block creates a user, or keeps a trace of one who doesn't exist.
#[tokio::test]
async fn a_nonexistent_user_cannot_be_blocked() {
    let world = World::shared().await;
    let (nabi, nobody) = (world.user("nabi"), world.user("nobody"));
    let block = format!("/v1/users/{}/block", nobody.id);
    assert_eq!(
        nabi.put(&block).await.problem(404)["detail"],
        "There is no such user."
    );
    nabi.put("/v1/users/@nobody_at_all/block")
        .await
        .problem(404);
    // Removing a block that doesn't exist succeeds.
    nabi.delete(&block).await.expect(204);
    for path in ["", "/posts", "/cats", "/followers", "/following"] {
        nabi.get(&format!("/v1/users/{}{path}", nobody.id))
            .await
            .problem(404);
    }
    assert!(nabi.walk("/v1/me/blocked", 5).await.is_empty());
    let stage = Backstage::of(&world).await;
    for user in [&nabi, &nobody] {
        let rows = stage.partition("BlocksTable", "user", &user.id).await;
        assert!(rows.is_empty(), "{rows:?}");
    }
    let row = stage.item("UsersTable", "id", &nobody.id).await;
    assert_eq!(row, None);
    // Any user who writes something that others see can be blocked.
    let post = nabi.post_id("x").await;
    for way in ["comment", "like", "cat"] {
        let user = world.user(way);
        match way {
            "comment" => drop(user.comment(&post, "x").await),
            "like" => user.like(&post).await,
            _ => drop(user.cat("x").await),
        }
        world.wait_until_drained().await;
        nabi.read_user(&user).await;
        nabi.block(&user).await;
        assert_eq!(nabi.walk("/v1/me/blocked", 5).await[0]["id"], user.id);
    }
}

/// Fails if a count differs for a caller who doesn't see everything that is counted, or if a list leaves out more than
/// README.md says.
#[tokio::test]
async fn counts_are_the_same_for_everybody_and_lists_leave_out_hidden_users() {
    let world = World::own().await;
    let [nabi, friend, bad, hater] =
        ["nabi", "friend", "bad", "hater"].map(|name| world.user(name));
    let post = friend.post_id("friend's").await;
    for user in [&nabi, &bad, &hater] {
        user.comment(&post, "purr").await;
        user.like(&post).await;
        user.follow(&friend).await;
        friend.follow(user).await;
    }
    world.wait_until_drained().await;
    nabi.block(&bad).await;
    hater.block(&nabi).await;
    let user = format!("/v1/users/{}", friend.id);
    let likes = format!("/v1/posts/{post}/likes");
    let (followers, following) = (format!("{user}/followers"), format!("{user}/following"));
    let assert_counts = async |reader: &User, counted: u64, listed: usize| {
        let (read, seen) = (
            reader.read_post(&post).await,
            reader.read_user(&friend).await,
        );
        for (count, list) in [
            (&read["comments"], &comments(&post)),
            (&read["likes"], &likes),
            (&seen["followers"], &followers),
            (&seen["following"], &following),
        ] {
            assert_eq!(*count, counted, "{list}");
            assert_eq!(reader.walk(list, 2).await.len(), listed, "{list}");
        }
        assert_eq!(seen["posts"], 1);
    };
    // Two of three are hidden from nabi, one from each of the two, and none from friend.
    assert_counts(&nabi, 3, 1).await;
    assert_counts(&bad, 3, 2).await;
    assert_counts(&hater, 3, 2).await;
    assert_counts(&friend, 3, 3).await;
    // In the feed, counts are the same from the cache and from the store.
    for _ in 0..2 {
        for reader in [&nabi, &friend] {
            let shown = reader.feed(5).await;
            assert_eq!(
                (&shown[0]["likes"], &shown[0]["comments"]),
                (&json!(3), &json!(3))
            );
        }
        world.flush_cache().await.unwrap();
    }
    // A user who has left is in no list, and is not counted once their data is erased.
    hater.delete("/v1/me").await.expect(202);
    for list in [&comments(&post), &likes, &followers, &following] {
        assert_eq!(friend.walk(list, 2).await.len(), 2, "{list}");
    }
    let stage = Backstage::of(&world).await;
    eventually("the counts are without the one who left", async || {
        stage.sweep().await;
        let (read, seen) = (friend.read_post(&post).await, friend.me().await);
        let counts = [
            &read["comments"],
            &read["likes"],
            &seen["followers"],
            &seen["following"],
        ];
        counts.iter().all(|count| **count == 2).then_some(())
    })
    .await;
}

/// Follows that were accepted before the block and are applied at the same time, or after it, don't
/// outlive it.
#[tokio::test]
async fn a_follow_that_races_with_a_block_loses() {
    let world = World::shared().await;
    for _ in 0..10 {
        let (nabi, bad) = (world.user("nabi"), world.user("bad"));
        nabi.me().await;
        bad.me().await;
        let follows = async {
            for _ in 0..3 {
                bad.follow(&nabi).await;
            }
        };
        futures::join!(follows, nabi.block(&bad));
        bad.follow(&nabi).await;
        world.wait_until_drained().await;
        assert_eq!(counts(&world, &nabi).await, (0, 0));
    }
}

/// Rule 7: if blocking dies at any call, the block is stored completely or not at all, and repeating the request
/// completes it.
#[tokio::test]
async fn a_block_is_atomic() {
    let world = World::own().await;
    for when in [When::Before, When::After] {
        for nth in 1.. {
            assert!(nth < 30);
            let (nabi, bad) = (world.user("nabi"), world.user("bad"));
            let post = bad.post_id("x").await;
            nabi.follow(&bad).await;
            world.wait_until_drained().await;
            nabi.feed(5).await;
            let fault = world.on_call(FaultRule::kill("block", nth, when)).unwrap();
            let reply = nabi.put(&format!("/v1/users/{}/block", bad.id)).await;
            let died = fault.fired() > 0;
            fault.clear();
            let expected = if died { 502 } else { 204 };
            assert_eq!(reply.status, expected, "{}", reply.text());
            let blocked = !nabi.walk("/v1/me/blocked", 5).await.is_empty();
            let followers = counts(&world, &bad).await.0;
            assert_eq!(followers, u64::from(!blocked), "{nth} {when:?}");
            let hidden = nabi.get(&format!("/v1/posts/{post}")).await.status == 404;
            assert_eq!(hidden, blocked, "{nth} {when:?}");
            // The cached feed agrees, even if the request is not repeated.
            let shown = nabi.feed_ids(5).await.contains(&post);
            assert_eq!(shown, !blocked, "{nth} {when:?}");
            nabi.block(&bad).await;
            assert_hidden(&world, &nabi, &bad, &post).await;
            assert_eq!(counts(&world, &bad).await.0, 0);
            if !died {
                assert!(nth > 4, "a block that makes {nth} calls");
                break;
            }
        }
    }
}

/// Fails if likes pass through a block.
#[tokio::test]
async fn a_like_of_somebody_blocked_does_not_count() {
    let world = World::own().await;
    let (nabi, bad) = (world.user("nabi"), world.user("bad"));
    let (before, after) = (nabi.post_id("before").await, nabi.post_id("after").await);
    bad.like(&before).await;
    world.wait_until_drained().await;
    nabi.block(&bad).await;
    bad.like(&after).await;
    world.wait_until_drained().await;
    assert_eq!(nabi.read_post(&after).await["likes"], 0);
    assert_eq!(nabi.read_post(&before).await["likes"], 1);
    // Callers may take back their own likes across a block.
    bad.unlike(&before).await;
    world.wait_until_drained().await;
    assert_eq!(nabi.read_post(&before).await["likes"], 0);
}

/// Fails if blocking reveals who blocks the caller.
#[tokio::test]
async fn mutual_blocks_list_only_the_id() {
    let world = World::shared().await;
    let (nabi, bad) = (world.user("nabi"), world.user("bad"));
    let profile = json!({ "handle": bad.own_handle(), "name": "Secret", "bio": "hidden" });
    bad.put_me(&profile).await.expect(201);
    nabi.block(&bad).await;
    assert_eq!(nabi.page("/v1/me/blocked").await.0[0]["name"], "Secret");
    bad.block(&nabi).await;
    let (listed, _) = nabi.page("/v1/me/blocked").await;
    assert_eq!(
        listed.iter().map(id_of).collect::<Vec<_>>(),
        std::slice::from_ref(&bad.id)
    );
    for told in ["Secret", "hidden", &bad.own_handle()] {
        assert!(!listed[0].to_string().contains(told), "{}", listed[0]);
    }
}

/// A block applies to the feed at once, so it is answered only once the cache knows of it.
#[tokio::test]
async fn without_the_cache_a_block_is_not_answered() {
    let world = World::own().await;
    let (nabi, bad) = (world.user("nabi"), world.user("bad"));
    let post = bad.post_id("x").await;
    nabi.follow(&bad).await;
    world.wait_until_drained().await;
    assert_eq!(nabi.feed_ids(5).await, std::slice::from_ref(&post));
    world.stop_service(Service::Cache, Outage::Closed);
    let reply = nabi.put(&format!("/v1/users/{}/block", bad.id)).await;
    reply.problem(503);
    assert!(reply.header("retry-after").is_some());
    world.resume_service(Service::Cache);
    nabi.block(&bad).await;
    assert_hidden(&world, &nabi, &bad, &post).await;
}
