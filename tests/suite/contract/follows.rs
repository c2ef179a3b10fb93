//! Follows: queued, counted exactly, listed latest first.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use purrline_local::{FaultAction, FaultRule, When};
use reqwest::Method;
use serde_json::{Value, json};

use super::shapes::assert_user;
use crate::support::backstage::Backstage;
use crate::support::{User, World, eventually};

fn ids(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.id.as_str()).collect()
}

/// Returns the user's followers and following counts, and whether the caller follows them.
async fn seen(caller: &User, user: &User) -> (u64, u64, bool) {
    let seen = caller.read_user(user).await;
    (
        seen["followers"].as_u64().unwrap(),
        seen["following"].as_u64().unwrap(),
        seen["followed"].as_bool().unwrap(),
    )
}

#[tokio::test]
async fn a_follow_is_queued_and_then_shows_everywhere() {
    let world = World::shared().await;
    let (nabi, fan, stranger) = (
        world.user("nabi"),
        world.user("fan"),
        world.user("stranger"),
    );
    nabi.me().await;
    let path = format!("/v1/users/{}/follow", nabi.id);
    let reply = fan.put(&path).await.expect(202);
    assert_eq!(reply.json(), json!({ "status": "queued" }));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    world.wait_until_drained().await;
    assert_eq!(seen(&fan, &nabi).await, (1, 0, true));
    assert_eq!(seen(&stranger, &nabi).await, (1, 0, false));
    assert_eq!(seen(&stranger, &fan).await, (0, 1, false));
    for caller in [&fan, &nabi, &stranger] {
        let followers = caller
            .walk(&format!("/v1/users/{}/followers", nabi.id), 20)
            .await;
        let following = caller
            .walk(&format!("/v1/users/{}/following", fan.id), 20)
            .await;
        assert_eq!(followers, [caller.read_user(&fan).await]);
        assert_eq!(following, [caller.read_user(&nabi).await]);
        assert_user(&followers[0]);
        assert_user(&following[0]);
    }

    let reply = fan.delete(&path).await.expect(202);
    assert_eq!(reply.json(), json!({ "status": "queued" }));
    world.wait_until_drained().await;
    assert_eq!(seen(&fan, &nabi).await, (0, 0, false));
    assert_eq!(seen(&nabi, &fan).await, (0, 0, false));
    assert!(
        nabi.walk(&format!("/v1/users/{}/followers", nabi.id), 20)
            .await
            .is_empty()
    );
    assert!(
        nabi.walk(&format!("/v1/users/{}/following", fan.id), 20)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_user_is_followed_by_handle_too() {
    let world = World::shared().await;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    let generated = nabi.me().await["handle"].as_str().unwrap().to_owned();
    let chosen = format!("{}_x", nabi.own_handle());
    let path = |handle: &str| format!("/v1/users/@{handle}/follow");
    fan.put(&path(&generated)).await.expect(202);
    world.wait_until_drained().await;
    assert_eq!(seen(&fan, &nabi).await, (1, 0, true));
    fan.delete(&path(&generated.to_uppercase()))
        .await
        .expect(202);
    world.wait_until_drained().await;
    assert_eq!(seen(&fan, &nabi).await, (0, 0, false));
    let profile = json!({ "handle": chosen, "name": "나비" });
    nabi.put_me(&profile).await.expect(201);
    for (following, call) in [(true, Method::PUT), (false, Method::DELETE)] {
        for handle in [&chosen, &chosen.to_uppercase()] {
            fan.call(call.clone(), &path(handle)).await.expect(202);
        }
        world.wait_until_drained().await;
        assert_eq!(
            seen(&fan, &nabi).await,
            (u64::from(following), 0, following)
        );
    }
    for call in [Method::PUT, Method::DELETE] {
        nabi.call(call.clone(), &path(&chosen)).await.problem(422);
        for nobody in ["nobody_has_this", "x", "a%20b", "a-b"] {
            fan.call(call.clone(), &path(nobody)).await.problem(404);
        }
    }
}

/// The handle's owner at the moment of acceptance is followed, not its owner when the follow is applied.
#[tokio::test]
async fn a_follow_by_handle_means_the_owner_at_that_moment() {
    let world = World::own().await;
    let (nabi, other, fan) = (world.user("nabi"), world.user("other"), world.user("fan"));
    let profile = |handle: &str| json!({ "handle": handle, "name": "x" });
    nabi.put_me(&profile("popular")).await.expect(201);
    world.pause_queue("FollowsQueue").await.unwrap();
    fan.put("/v1/users/@Popular/follow").await.expect(202);
    nabi.put_me(&profile("somebody_else")).await.expect(200);
    // As if thirty days had passed.
    let stage = Backstage::of(&world).await;
    stage.end_reservation_in("popular", -1).await;
    other.put_me(&profile("popular")).await.expect(201);
    world.resume_queue("FollowsQueue").unwrap();
    world.wait_until_drained().await;
    assert_eq!(seen(&fan, &nabi).await, (1, 0, true));
    assert_eq!(seen(&fan, &other).await, (0, 0, false));
}

#[tokio::test]
async fn each_of_two_sees_whether_the_other_follows() {
    let world = World::shared().await;
    let (nabi, fan, other) = (world.user("nabi"), world.user("fan"), world.user("other"));
    fan.follow(&nabi).await;
    fan.follow(&other).await;
    other.follow(&fan).await;
    for user in [&nabi, &fan, &other] {
        user.me().await;
    }
    world.wait_until_drained().await;
    let both = async |caller: &User, user: &User| {
        let of = |user: &Value| (user["followed"] == true, user["follows_me"] == true);
        let seen = of(&caller.read_user(user).await);
        // Lists show the same.
        for list in ["followers", "following"] {
            let list = caller
                .walk(&format!("/v1/users/{}/{list}", fan.id), 9)
                .await;
            for listed in list
                .iter()
                .filter(|listed| listed["id"] == user.id.as_str())
            {
                assert_eq!(of(listed), seen);
            }
        }
        seen
    };
    assert_eq!(both(&nabi, &fan).await, (false, true));
    assert_eq!(both(&fan, &nabi).await, (true, false));
    assert_eq!(both(&fan, &other).await, (true, true));
    assert_eq!(both(&nabi, &other).await, (false, false));
    assert_eq!(both(&fan, &fan).await, (false, false));
}

#[tokio::test]
async fn nobody_follows_themselves() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let path = format!("/v1/users/{}/follow", nabi.id);
    nabi.put(&path).await.problem(422);
    nabi.delete(&path).await.problem(422);
    world.wait_until_drained().await;
    assert_eq!(seen(&nabi, &nabi).await, (0, 0, false));
}

#[tokio::test]
async fn repeated_requests_count_once_and_the_last_wins() {
    let world = World::shared().await;
    let (nabi, one, two, three) = (
        world.user("nabi"),
        world.user("one"),
        world.user("two"),
        world.user("three"),
    );
    for _ in 0..3 {
        one.follow(&nabi).await;
    }
    two.follow(&nabi).await;
    two.unfollow(&nabi).await;
    three.unfollow(&nabi).await;
    three.follow(&nabi).await;
    nabi.follow(&one).await;
    world.wait_until_drained().await;
    assert_eq!(seen(&one, &nabi).await, (2, 1, true));
    assert_eq!(seen(&two, &nabi).await, (2, 1, false));
    assert_eq!(seen(&three, &nabi).await, (2, 1, true));
    assert_eq!(seen(&nabi, &one).await, (1, 1, true));
    for _ in 0..2 {
        one.unfollow(&nabi).await;
        two.unfollow(&nabi).await;
    }
    world.wait_until_drained().await;
    assert_eq!(seen(&one, &nabi).await, (1, 1, false));
    assert_eq!(seen(&nabi, &one).await, (1, 0, true));
}

#[tokio::test]
async fn lists_of_follows_are_latest_first_in_every_page_size() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let others: Vec<User> = (0..7).map(|n| world.user(&format!("other{n}"))).collect();
    for other in &others {
        other.follow(&nabi).await;
        nabi.follow(other).await;
    }
    world.wait_until_drained().await;
    let mut latest_first = ids(&others);
    latest_first.reverse();
    for list in ["followers", "following"] {
        let list = format!("/v1/users/{}/{list}", nabi.id);
        for size in [1, 2, 3, 7, 8, 100] {
            let users = nabi.walk(&list, size).await;
            assert_eq!(
                users.iter().map(|user| &user["id"]).collect::<Vec<_>>(),
                latest_first,
                "{list} by {size}"
            );
            // The caller follows all of them.
            assert!(users.iter().all(|user| user["followed"] == true), "{list}");
        }
    }
    // A follower who returns comes first; one who follows again keeps their place.
    others[2].unfollow(&nabi).await;
    world.wait_until_drained().await;
    others[2].follow(&nabi).await;
    others[0].follow(&nabi).await;
    world.wait_until_drained().await;
    let again: Vec<Value> = nabi
        .walk(&format!("/v1/users/{}/followers", nabi.id), 3)
        .await;
    let expected: Vec<&str> = [2, 6, 5, 4, 3, 1, 0]
        .map(|n: usize| others[n].id.as_str())
        .into();
    assert_eq!(
        again.iter().map(|user| &user["id"]).collect::<Vec<_>>(),
        expected
    );
}

#[tokio::test]
async fn a_walk_through_followers_survives_new_and_lost_followers() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let others: Vec<User> = (0..6).map(|n| world.user(&format!("other{n}"))).collect();
    for other in &others {
        other.follow(&nabi).await;
    }
    world.wait_until_drained().await;
    let list = format!("/v1/users/{}/followers", nabi.id);
    let (first, next) = nabi.page(&format!("{list}?limit=2")).await;
    others[4].unfollow(&nabi).await;
    world.user("newcomer").follow(&nabi).await;
    world.wait_until_drained().await;
    let (rest, end) = nabi
        .page(&format!("{list}?limit=100&cursor={}", next.unwrap()))
        .await;
    let walked: Vec<&Value> = first.iter().chain(&rest).map(|user| &user["id"]).collect();
    let expected: Vec<&str> = [5, 4, 3, 2, 1, 0]
        .map(|n: usize| others[n].id.as_str())
        .into();
    assert_eq!(
        (walked, end),
        (
            expected
                .iter()
                .map(|id| json!(id))
                .collect::<Vec<_>>()
                .iter()
                .collect(),
            None
        )
    );
}

/// A follow creates no user. Fails if a follow counts for a user who takes that id later.
#[tokio::test]
async fn a_follow_of_nobody_has_no_effect() {
    let world = World::own().await;
    let stage = Backstage::of(&world).await;
    let (fan, nobody) = (world.user("fan"), world.user("nobody"));
    fan.me().await;
    let path = format!("/v1/users/{}/follow", nobody.id);
    for _ in 0..2 {
        fan.put(&path).await.expect(202);
        world.wait_until_drained().await;
        fan.delete(&path).await.expect(202);
        world.wait_until_drained().await;
    }
    fan.put(&path).await.expect(202);
    world.wait_until_drained().await;
    let profile = format!("/v1/users/{}", nobody.id);
    fan.get(&profile).await.problem(404);
    assert_eq!(seen(&fan, &fan).await, (0, 0, false));
    assert!(
        fan.walk(&format!("/v1/users/{}/following", fan.id), 5)
            .await
            .is_empty()
    );
    assert!(stage.item("UsersTable", "id", &nobody.id).await.is_none());
    assert!(stage.follows("following", &fan.id).await.is_empty());
    assert!(stage.follows("followers", &nobody.id).await.is_empty());

    // The user arrives, and has no followers until a new follow.
    nobody.me().await;
    assert_eq!(seen(&fan, &nobody).await, (0, 0, false));
    fan.put(&path).await.expect(202);
    world.wait_until_drained().await;
    assert_eq!(seen(&fan, &nobody).await, (1, 0, true));
}

/// A follower exists from their first follow.
#[tokio::test]
async fn a_follower_exists_from_their_first_follow() {
    let world = World::shared().await;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    fan.follow(&nabi).await;
    world.wait_until_drained().await;
    assert_eq!(seen(&nabi, &fan).await, (0, 1, false));
}

/// A user who is erased after their follow is checked, but before it is written, is not recreated. Fails if the
/// followers' count is written without a condition.
#[tokio::test]
async fn a_follow_does_not_recreate_an_erased_user() {
    let world = World::own().await;
    let stage = Backstage::of(&world).await;
    let (fan, leaver) = (world.user("fan"), world.user("leaver"));
    fan.me().await;
    leaver.me().await;
    world.pause_queue("FollowsQueue").await.unwrap();
    fan.follow(&leaver).await;
    let words = stage.take("FollowsQueue").await;
    let slow = FaultRule::new(When::Before, FaultAction::Delay(Duration::from_millis(500)));
    let slow = slow
        .function("follow-consumer")
        .operation("TransactWriteItems");
    let slow = world.on_call(slow).unwrap();
    let erase = async {
        eventually("it is about to be written", async || {
            (slow.fired() > 0).then_some(())
        })
        .await;
        let delete = stage
            .tables
            .delete_item()
            .table_name(stage.table("UsersTable"));
        let id = AttributeValue::S(leaver.id.clone());
        delete.key("id", id).send().await.unwrap();
    };
    let (failed, ()) = futures::join!(stage.deliver("follow-consumer", &words), erase);
    assert!(failed.is_empty());
    assert!(stage.item("UsersTable", "id", &leaver.id).await.is_none());
    assert_eq!(fan.me().await["following"], 0);
    assert!(stage.follows("following", &fan.id).await.is_empty());
}

/// Starts a stack on which a user may follow at most three, and returns it with its backstage, a user who follows three, and
/// other users.
async fn at_follow_limit() -> (World, Backstage, User, Vec<User>) {
    let options = World::options().parameter("MaxFollowing", "3");
    let world = World::with(options.parameter("ErasureSeconds", "1")).await;
    let stage = Backstage::of(&world).await;
    let fan = world.user("fan");
    let others: Vec<User> = (0..8).map(|_| world.user("other")).collect();
    for other in &others {
        other.me().await;
    }
    for other in &others[..3] {
        fan.follow(other).await;
    }
    world.wait_until_drained().await;
    assert_eq!(fan.me().await["following"], 3);
    (world, stage, fan, others)
}

/// Fails if there is no limit, if the caller isn't told, or if an unfollow makes no room.
#[tokio::test]
async fn nobody_follows_more_users_than_the_limit() {
    let (world, stage, fan, others) = at_follow_limit().await;
    let follow = |other: &User| format!("/v1/users/{}/follow", other.id);
    fan.put(&follow(&others[3])).await.problem(409);
    // Other users may follow, and the limit doesn't affect unfollowing.
    others[0].follow(&others[3]).await;
    fan.unfollow(&others[0]).await;
    world.wait_until_drained().await;
    fan.follow(&others[3]).await;
    world.wait_until_drained().await;
    assert_eq!(fan.me().await["following"], 3);
    assert!(fan.read_user(&others[3]).await["followed"] == true);

    // If the cache doesn't know of the limit, the follow is accepted, and has no effect.
    world.flush_cache().await.unwrap();
    fan.follow(&others[4]).await;
    world.wait_until_drained().await;
    assert_eq!(fan.me().await["following"], 3);
    assert_eq!(fan.read_user(&others[4]).await["followers"], 0);
    let logs = world.logs("follow-consumer").unwrap();
    assert!(
        logs.iter()
            .any(|line| line.contains("a follow has no effect"))
    );
    fan.put(&follow(&others[4])).await.problem(409);
    assert_follows_exact(&stage, &fan, &others).await;
}

/// Fails if the 409 relies on outdated knowledge in the cache.
#[tokio::test]
async fn an_allowed_follow_is_accepted_at_the_limit() {
    let (world, stage, fan, others) = at_follow_limit().await;
    let follow = |other: &User| format!("/v1/users/{}/follow", other.id);
    // A repeated follow, as after a lost answer.
    fan.put(&follow(&others[2])).await.expect(202);
    world.wait_until_drained().await;
    fan.put(&follow(&others[3])).await.problem(409);

    // One follow replaces another, before the consumer knows.
    world.pause_queue("FollowsQueue").await.unwrap();
    fan.delete(&follow(&others[0])).await.expect(202);
    fan.put(&follow(&others[3])).await.expect(202);
    world.resume_queue("FollowsQueue").unwrap();
    world.wait_until_drained().await;
    assert_eq!(fan.me().await["following"], 3);
    assert!(fan.read_user(&others[3]).await["followed"] == true);
    fan.put(&follow(&others[4])).await.problem(409);

    // A block by either user ends a follow, and so does the erasure of either user.
    fan.block(&others[1]).await;
    fan.put(&follow(&others[4])).await.expect(202);
    world.wait_until_drained().await;
    fan.put(&follow(&others[5])).await.problem(409);
    others[2].block(&fan).await;
    fan.put(&follow(&others[5])).await.expect(202);
    world.wait_until_drained().await;
    fan.put(&follow(&others[6])).await.problem(409);
    others[3].delete("/v1/me").await.expect(202);
    eventually("there is room", async || {
        stage.sweep().await;
        (fan.me().await["following"] == 2).then_some(())
    })
    .await;
    fan.put(&follow(&others[6])).await.expect(202);
    world.wait_until_drained().await;
    assert_eq!(fan.me().await["following"], 3);
    assert!(fan.read_user(&others[6]).await["followed"] == true);
}

async fn assert_follows_exact(stage: &Backstage, fan: &User, others: &[User]) {
    let users = [fan].into_iter().chain(others);
    let users: Vec<String> = users.map(|user| user.id.clone()).collect();
    stage.assert_exact(&users, &[]).await;
}

/// With parallel consumers, and commands that come together, the limit is never exceeded. Fails if the limit is checked
/// without being a condition of the write.
#[tokio::test]
async fn the_limit_of_follows_holds_across_parallel_consumers() {
    let (world, stage, fan, others) = at_follow_limit().await;
    world.pause_queue("FollowsQueue").await.unwrap();
    for other in &others[..2] {
        fan.unfollow(other).await;
    }
    world.flush_cache().await.unwrap();
    let room = stage.take("FollowsQueue").await;
    assert!(stage.deliver("follow-consumer", &room).await.is_empty());
    for other in &others[3..] {
        fan.follow(other).await;
    }
    let words = stage.take("FollowsQueue").await;
    assert_eq!(words.len(), 5);
    let deliveries = (0..4).map(|which| {
        let mut words = words.clone();
        words.rotate_left(which);
        let stage = &stage;
        async move {
            while let failed @ [_, ..] = stage.deliver("follow-consumer", &words).await.as_slice() {
                words = failed.iter().map(|at| words[*at].clone()).collect();
            }
        }
    });
    futures::future::join_all(deliveries).await;
    assert_eq!(fan.me().await["following"], 3);
    assert_follows_exact(&stage, &fan, &others).await;
}

/// Fails if a page of a long list reads more partitions than its bound.
#[tokio::test]
async fn a_page_of_a_millions_followers_reads_sixteen_partitions() {
    let world = World::own().await;
    let stage = Backstage::of(&world).await;
    let (famous, reader) = (world.user("famous"), world.user("reader"));
    famous.me().await;
    let followers = stage
        .tables
        .update_item()
        .table_name(stage.table("UsersTable"));
    let followers = followers.key("id", AttributeValue::S(famous.id.clone()));
    let followers = followers.update_expression("SET followers = :many");
    let many = AttributeValue::N("1000000".to_owned());
    let followers = followers.expression_attribute_values(":many", many);
    followers.send().await.unwrap();
    let fans: Vec<User> = (0..30).map(|_| world.user("fan")).collect();
    for fan in &fans {
        fan.follow(&famous).await;
    }
    world.wait_until_drained().await;
    let mut latest: Vec<&str> = ids(&fans);
    latest.reverse();
    let list = format!("/v1/users/{}/followers", famous.id);
    assert_eq!(reader.walk_ids(&list, 7).await, latest);
    world.reset_calls();
    let (page, _) = reader.page(&format!("{list}?limit=20")).await;
    assert_eq!(page.len(), 20);
    let calls = world.calls();
    let queries = calls.iter().filter(|(call, _)| call.operation == "Query");
    let queries: u64 = queries.map(|(_, count)| count).sum();
    println!("a page of 20 of 1,000,030 followers: {queries} queries");
    assert_eq!(queries, 16);
}
