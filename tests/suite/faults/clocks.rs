//! Rule 13: clocks are not trusted. Each function has two processes that take turns; one of them has its clock five seconds
//! ahead.

use std::time::Duration;

use purrline::domain::{Id, Timestamp, Version};
use purrline_local::{FaultAction, FaultRule, Options, Outage, Service, When};
use serde_json::{Value, json};

use super::leaving::fill;
use crate::support::backstage::{Backstage, number};
use crate::support::{User, World, comments, eventually, id_of, retrying_soon};

const APART: Duration = Duration::from_secs(5);

async fn stage() -> Backstage {
    let options = Options {
        clock_skew: Some(APART),
        ..retrying_soon().parameter("ErasureSeconds", "1")
    };
    let stage = Backstage::of(&World::with(options).await).await;
    // Until both of a function's processes have started, one of them takes all requests.
    let (one, other) = (stage.world.user("one"), stage.world.user("other"));
    let post = one.post_id("warm").await;
    other.follow(&one).await;
    other.like(&post).await;
    other.comment(&post, "warm").await;
    other.block(&one).await;
    for function in ["post-write", "comment", "like", "follow", "block"] {
        eventually("the function has both processes", async || {
            (stage.world.ready_processes(function).unwrap() >= 2).then_some(())
        })
        .await;
    }
    stage
}

/// Returns the difference between the clocks that stamped a queue's messages, in milliseconds. Puts the messages back.
async fn clock_difference(stage: &Backstage, queue: &str) -> i64 {
    let taken = stage.take_with_times(queue).await;
    let ahead = taken.iter().map(|(body, sent)| {
        let change: Value = serde_json::from_str(body).unwrap();
        change["at"].as_i64().unwrap() / 1000 - sent
    });
    let ahead: Vec<i64> = ahead.collect();
    let bodies: Vec<String> = taken.into_iter().map(|(body, _)| body).collect();
    stage.send(queue, &bodies).await;
    ahead.iter().max().unwrap() - ahead.iter().min().unwrap()
}

/// Returns whether a user follows the other, judging by the user's own count; neither may follow other users.
async fn follows(by: &User) -> bool {
    by.me().await["following"] == 1
}

/// Fails when requests are ordered by the clocks of the functions that took them.
#[tokio::test]
async fn the_last_request_wins_whichever_clock_stamped_it() {
    let stage = stage().await;
    let (nabi, fan) = (stage.world.user("nabi"), stage.world.user("fan"));
    fan.me().await;
    let mut posts = Vec::new();
    for _ in 0..4 {
        posts.push(nabi.post_id("like me").await);
    }
    // An odd number of calls in between, so that both orders of the two clocks occur.
    for (at, post) in posts.iter().enumerate() {
        fan.like(post).await;
        fan.unlike(post).await;
        if at % 2 == 0 {
            fan.like(post).await;
        }
    }
    for round in 0..2 {
        fan.follow(&nabi).await;
        fan.unfollow(&nabi).await;
        fan.follow(&nabi).await;
        if round == 1 {
            fan.unfollow(&nabi).await;
        }
    }
    stage.world.wait_until_drained().await;
    for (at, post) in posts.iter().enumerate() {
        let seen = fan.read_post(post).await;
        let expected = (at % 2 == 0, u64::from(at % 2 == 0));
        let found = (seen["liked"] == true, seen["likes"].as_u64().unwrap());
        assert_eq!(found, expected, "post {at}");
    }
    assert!(!follows(&fan).await);
    stage.assert_exact(&[nabi.id, fan.id], &posts).await;
}

/// Fails when ids are minted by the clocks of the functions that store the objects.
#[tokio::test]
async fn posts_and_comments_are_in_the_order_in_which_they_were_written() {
    let stage = stage().await;
    let (nabi, fan) = (stage.world.user("nabi"), stage.world.user("fan"));
    let (mut posts, mut comments) = (Vec::new(), Vec::new());
    for n in 0..5 {
        posts.push(nabi.post_id(&format!("post {n}")).await);
    }
    for n in 0..5 {
        let by = if n % 2 == 0 { &fan } else { &nabi };
        comments.push(id_of(&by.comment(&posts[0], &format!("comment {n}")).await));
    }
    assert!(posts.is_sorted_by(|a, b| a < b), "{posts:?}");
    assert!(comments.is_sorted_by(|a, b| a < b), "{comments:?}");
    posts.reverse();
    assert_eq!(nabi.feed_ids(10).await, posts);
}

/// Without the cache the functions share no clock, so the queue's clock orders requests. Fails when such requests are
/// ordered by the clocks of the functions that took them.
#[tokio::test]
async fn without_the_cache_the_last_request_wins() {
    let stage = stage().await;
    let (nabi, fan) = (stage.world.user("nabi"), stage.world.user("fan"));
    fan.me().await;
    nabi.me().await;
    let mut posts = Vec::new();
    for _ in 0..4 {
        posts.push(nabi.post_id("like me").await);
    }
    for queue in ["LikesQueue", "FollowsQueue"] {
        stage.world.pause_queue(queue).await.unwrap();
    }
    stage.world.stop_service(Service::Cache, Outage::Closed);
    for (at, post) in posts.iter().enumerate() {
        fan.like(post).await;
        fan.unlike(post).await;
        if at % 2 == 0 {
            fan.like(post).await;
        }
    }
    fan.follow(&nabi).await;
    fan.unfollow(&nabi).await;
    stage.world.resume_service(Service::Cache);
    for (queue, consumer) in [
        ("LikesQueue", "like-consumer"),
        ("FollowsQueue", "follow-consumer"),
    ] {
        let taken = stage.take_with_times(queue).await;
        let ahead = taken.iter().map(|(body, sent)| {
            let change: Value = serde_json::from_str(body).unwrap();
            assert_eq!(change["own_clock"], true, "{change}");
            change["at"].as_i64().unwrap() / 1000 - sent
        });
        let ahead: Vec<i64> = ahead.collect();
        let apart = ahead.iter().max().unwrap() - ahead.iter().min().unwrap();
        assert!(apart > 4_000, "only one clock was asked: {ahead:?}");
        // Deliver the last message first, and then all of them again.
        for times in [1, 2] {
            let changes = taken.iter().rev();
            let changes = changes.map(|(body, sent)| (body.clone(), times, *sent));
            for change in changes {
                assert!(
                    stage
                        .deliver_with_times(consumer, &[change])
                        .await
                        .is_empty()
                );
            }
        }
    }
    for (at, post) in posts.iter().enumerate() {
        assert_eq!(fan.read_post(post).await["liked"], at % 2 == 0, "post {at}");
    }
    assert!(!follows(&fan).await);
}

/// A block ends a follow that was made before it, even one stamped by a clock that is ahead. The follow does not come back
/// when it is delivered again, neither during the block nor after it. Fails when a block is not later than what is stored.
#[tokio::test]
async fn a_block_ends_a_follow_whichever_clock_stamped_it() {
    let stage = stage().await;
    let (nabi, bad) = (stage.world.user("nabi"), stage.world.user("bad"));
    nabi.me().await;
    bad.me().await;
    let post = nabi.post_id("for friends").await;
    stage.world.pause_queue("FollowsQueue").await.unwrap();
    stage.world.stop_service(Service::Cache, Outage::Closed);
    // One follow by each clock.
    for _ in 0..2 {
        bad.follow(&nabi).await;
        nabi.follow(&bad).await;
    }
    stage.world.resume_service(Service::Cache);
    let changes = stage.take("FollowsQueue").await;
    // The queue's clock seems to be ahead as well, so the follows' own stamps count.
    assert!(stage.deliver("follow-consumer", &changes).await.is_empty());
    assert!(follows(&bad).await && follows(&nabi).await);
    assert_eq!(bad.feed_ids(5).await, [post.as_str()]);

    let assert_ended = async |when: &str| {
        for user in [&nabi, &bad] {
            let row = stage.item("UsersTable", "id", &user.id).await.unwrap();
            assert_eq!(number(&row, "following"), 0, "{when}");
            assert_eq!(number(&row, "followers"), 0, "{when}");
        }
        assert!(!bad.feed_ids(5).await.contains(&post), "{when}");
    };
    nabi.block(&bad).await;
    assert_ended("after the block").await;
    assert!(stage.deliver("follow-consumer", &changes).await.is_empty());
    assert_ended("delivered again while the block stands").await;
    nabi.unblock(&bad).await;
    assert!(stage.deliver("follow-consumer", &changes).await.is_empty());
    assert_ended("delivered again after the block").await;

    // Later follows take effect, at the latest when the clocks that were behind have caught up.
    eventually("they follow each other again", async || {
        bad.follow(&nabi).await;
        let change = stage.take("FollowsQueue").await;
        assert!(stage.deliver("follow-consumer", &change).await.is_empty());
        follows(&bad).await.then_some(())
    })
    .await;
}

/// A follow that was accepted during a block, and is delivered after it, has no effect. Fails when the end of a block is not
/// later than requests made before it.
#[tokio::test]
async fn requests_made_during_a_block_have_no_effect_after_it() {
    let stage = stage().await;
    let (nabi, bad) = (stage.world.user("nabi"), stage.world.user("bad"));
    nabi.me().await;
    bad.me().await;
    stage.world.pause_queue("FollowsQueue").await.unwrap();
    for _ in 0..2 {
        nabi.block(&bad).await;
        bad.follow(&nabi).await;
        nabi.follow(&bad).await;
        nabi.unblock(&bad).await;
    }
    assert!(
        clock_difference(&stage, "FollowsQueue").await < 4_000,
        "not by the cache's clock"
    );
    stage.world.resume_queue("FollowsQueue").unwrap();
    stage.world.wait_until_drained().await;
    assert!(!follows(&bad).await && !follows(&nabi).await);
    bad.follow(&nabi).await;
    stage.world.wait_until_drained().await;
    assert!(follows(&bad).await);
}

/// The stamps of two users may come from two nodes of the cache, whose clocks differ. Fails when only the blocker's node
/// stamps the end of a block.
#[tokio::test]
async fn requests_during_a_block_precede_its_end_on_any_nodes_clock() {
    let stage = stage().await;
    let (nabi, bad) = (stage.world.user("nabi"), stage.world.user("bad"));
    nabi.me().await;
    bad.me().await;
    let ahead = Version::now().micros() + 5_000_000;
    stage
        .set_key(&format!("stamp:{{{}}}", bad.id), &ahead.to_string())
        .await;
    stage.world.pause_queue("FollowsQueue").await.unwrap();
    nabi.block(&bad).await;
    bad.follow(&nabi).await;
    nabi.unblock(&bad).await;
    stage.world.resume_queue("FollowsQueue").unwrap();
    stage.world.wait_until_drained().await;
    assert!(!follows(&bad).await);
    bad.follow(&nabi).await;
    stage.world.wait_until_drained().await;
    assert!(follows(&bad).await);
}

/// Without the cache, the last stamps of both users are unknown, so a block stays until the cache is back. Fails when one
/// function's own clock stamps its end.
#[tokio::test]
async fn a_block_does_not_end_by_one_functions_own_clock() {
    let stage = stage().await;
    let (nabi, bad) = (stage.world.user("nabi"), stage.world.user("bad"));
    nabi.me().await;
    bad.me().await;
    nabi.block(&bad).await;
    stage.world.pause_queue("FollowsQueue").await.unwrap();
    for _ in 0..2 {
        bad.follow(&nabi).await;
    }
    let path = format!("/v1/users/{}/block", bad.id);
    stage.world.stop_service(Service::Cache, Outage::Closed);
    for _ in 0..2 {
        let reply = nabi.delete(&path).await;
        reply.problem(503);
        assert!(reply.header("retry-after").is_some());
    }
    stage.world.resume_service(Service::Cache);
    eventually("the block ends", async || {
        (nabi.delete(&path).await.status == 204).then_some(())
    })
    .await;
    stage.world.resume_queue("FollowsQueue").unwrap();
    stage.world.wait_until_drained().await;
    assert!(!follows(&bad).await);
}

/// Without the cache, a user's posts still come after the user's earlier ones, and a comment after the existing ones. Fails
/// when a function's own clock alone mints ids.
#[tokio::test]
async fn without_the_cache_ids_come_after_those_that_are_stored() {
    let stage = stage().await;
    let nabi = stage.world.user("nabi");
    let first = nabi.post_id("first").await;
    stage.world.stop_service(Service::Cache, Outage::Closed);
    let mut posts = vec![first.clone()];
    for n in 0..5 {
        posts.push(nabi.post_id(&format!("post {n}")).await);
    }
    stage.world.resume_service(Service::Cache);
    assert!(posts.is_sorted_by(|a, b| a < b), "{posts:?}");

    // A comment from a clock that is ahead.
    let ahead = Timestamp::now().plus_seconds(5);
    let ahead = Id::first_of(ahead).to_string();
    let row = json!({ "post": first, "id": ahead, "author": nabi.id, "text": "ahead" });
    fill(&stage, "CommentsTable", std::iter::once(row)).await;
    nabi.get("/v1/me").await;
    // Only the call to the cache that returns the stamp fails.
    let silent = FaultRule::new(When::Before, FaultAction::Disconnect).function("comment");
    let silent = stage.world.on_call(silent.service(Service::Cache)).unwrap();
    let reply = eventually("the cache is back", async || {
        let body = json!({ "text": "after it" });
        let reply = nabi.create(&comments(&first), &body).await;
        (reply.status == 201).then_some(reply)
    })
    .await;
    assert_eq!(silent.fired(), 1);
    let comment = id_of(&reply.json());
    assert!(comment > ahead, "{comment} is before {ahead}");
}

/// Fails when a user who comes back still counts as departed, because the clock that stamped the departure was ahead.
#[tokio::test]
async fn a_returning_user_is_served_at_once() {
    let stage = stage().await;
    let (nabi, other) = (stage.world.user("nabi"), stage.world.user("other"));
    other.me().await;
    // Twice, so that each clock is used.
    for _ in 0..2 {
        nabi.follow(&other).await;
        stage.world.wait_until_drained().await;
        assert!(follows(&nabi).await);
        nabi.delete("/v1/me").await.expect(202);
        eventually("nothing is left", async || {
            stage.world.run_schedule("sweep").await.unwrap();
            let row = stage.item("UsersTable", "id", &nabi.id).await;
            row.is_none().then_some(())
        })
        .await;
        nabi.follow(&other).await;
        stage.world.wait_until_drained().await;
        assert!(follows(&nabi).await);
    }
}
