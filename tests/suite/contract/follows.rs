//! Follows: queued, counted exactly, listed latest first.

use reqwest::Method;
use serde_json::{Value, json};

use super::shapes::assert_user;
use crate::faults::backstage::Backstage;
use crate::support::{User, World};

fn ids(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.id.as_str()).collect()
}

/// Followers, following, and whether the caller follows them.
async fn seen(caller: &User, user: &User) -> (u64, u64, bool) {
    let seen = caller.see(user).await;
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
    world.drained().await;
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
        assert_eq!(followers, [caller.see(&fan).await]);
        assert_eq!(following, [caller.see(&nabi).await]);
        assert_user(&followers[0]);
        assert_user(&following[0]);
    }

    let reply = fan.delete(&path).await.expect(202);
    assert_eq!(reply.json(), json!({ "status": "queued" }));
    world.drained().await;
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
    world.drained().await;
    assert_eq!(seen(&fan, &nabi).await, (1, 0, true));
    fan.delete(&path(&generated.to_uppercase()))
        .await
        .expect(202);
    world.drained().await;
    assert_eq!(seen(&fan, &nabi).await, (0, 0, false));
    let profile = json!({ "handle": chosen, "name": "나비" });
    nabi.put_me(&profile).await.expect(201);
    for (following, call) in [(true, Method::PUT), (false, Method::DELETE)] {
        for handle in [&chosen, &chosen.to_uppercase()] {
            fan.call(call.clone(), &path(handle)).await.expect(202);
        }
        world.drained().await;
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

/// Who had the handle when the follow was accepted is followed, whoever has it when it is applied.
#[tokio::test]
async fn a_handle_that_changes_hands_meanwhile_leads_to_who_had_it() {
    let world = World::own().await;
    let (nabi, other, fan) = (world.user("nabi"), world.user("other"), world.user("fan"));
    let profile = |handle: &str| json!({ "handle": handle, "name": "x" });
    nabi.put_me(&profile("popular")).await.expect(201);
    world.pause_queue("FollowsQueue").await.unwrap();
    fan.put("/v1/users/@Popular/follow").await.expect(202);
    nabi.put_me(&profile("somebody_else")).await.expect(200);
    // As if thirty days went by.
    let stage = Backstage::of(&world).await;
    stage.hold_for("popular", -1).await;
    other.put_me(&profile("popular")).await.expect(201);
    world.resume_queue("FollowsQueue").unwrap();
    world.drained().await;
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
    world.drained().await;
    let both = async |caller: &User, user: &User| {
        let of = |user: &Value| (user["followed"] == true, user["follows_me"] == true);
        let seen = of(&caller.see(user).await);
        // Lists say the same.
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
    world.drained().await;
    assert_eq!(seen(&nabi, &nabi).await, (0, 0, false));
}

#[tokio::test]
async fn saying_it_twice_counts_once_and_the_last_word_wins() {
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
    world.drained().await;
    assert_eq!(seen(&one, &nabi).await, (2, 1, true));
    assert_eq!(seen(&two, &nabi).await, (2, 1, false));
    assert_eq!(seen(&three, &nabi).await, (2, 1, true));
    assert_eq!(seen(&nabi, &one).await, (1, 1, true));
    for _ in 0..2 {
        one.unfollow(&nabi).await;
        two.unfollow(&nabi).await;
    }
    world.drained().await;
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
    world.drained().await;
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
            // The caller follows them all.
            assert!(users.iter().all(|user| user["followed"] == true), "{list}");
        }
    }
    // Who comes back comes first; who says it again stays where they were.
    others[2].unfollow(&nabi).await;
    world.drained().await;
    others[2].follow(&nabi).await;
    others[0].follow(&nabi).await;
    world.drained().await;
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
async fn a_walk_through_followers_stands_others_that_come_and_go() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let others: Vec<User> = (0..6).map(|n| world.user(&format!("other{n}"))).collect();
    for other in &others {
        other.follow(&nabi).await;
    }
    world.drained().await;
    let list = format!("/v1/users/{}/followers", nabi.id);
    let (first, next) = nabi.page(&format!("{list}?limit=2")).await;
    others[4].unfollow(&nabi).await;
    world.user("newcomer").follow(&nabi).await;
    world.drained().await;
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
