//! Comments are counted exactly, and repeating a failed request completes it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use purrline_local::{FaultAction, FaultRule, Options, Outage, Service, When};
use serde_json::{Value, json};

use super::{assert_unavailable, stage};
use crate::support::backstage::Backstage;
use crate::support::{User, World, comments, id_of, retrying_soon};

/// More calls than any request makes.
const CALLS: u64 = 30;

/// Returns a post's author, a follower of the author with the post's counts in the cache, and the post.
async fn post_in_feed(stage: &Backstage) -> (User, User, String) {
    let (nabi, fan) = (stage.world.user("nabi"), stage.world.user("fan"));
    fan.follow(&nabi).await;
    let post = nabi.post_id("x").await;
    stage.world.wait_until_drained().await;
    assert_eq!(shown(&fan, &post).await, 0);
    (nabi, fan, post)
}

/// Returns the post's number of comments in the reader's feed.
async fn shown(reader: &User, post: &str) -> usize {
    let feed = reader.feed(20).await;
    let post = feed.iter().find(|item| id_of(item) == post).unwrap();
    usize::try_from(post["comments"].as_u64().unwrap()).unwrap()
}

/// Kills the function at each of its calls, one after the other, until a request ends without being killed.
async fn kill_at_every_call(
    stage: &Backstage,
    mut request: impl AsyncFnMut(u64, When, &mut dyn FnMut() -> bool),
) {
    for when in [When::Before, When::After] {
        for nth in 1.. {
            assert!(nth < CALLS);
            let fault = stage
                .world
                .on_call(FaultRule::kill("comment", nth, when))
                .unwrap();
            let mut died = || {
                fault.clear();
                fault.fired() > 0
            };
            request(nth, when, &mut died).await;
            if !died() {
                assert!(nth > 4, "a request that makes {nth} calls");
                break;
            }
        }
    }
}

/// Rule 7: if the function dies at any call, a comment is both stored and counted, or neither. After the request is
/// repeated, there is one comment, counted everywhere. Fails when the count moves outside the comment's transaction,
/// when the key is remembered separately, or when repeating a known answer leaves the cache as it is.
#[tokio::test]
async fn a_comment_whose_writer_dies_is_atomic() {
    let stage = stage().await;
    let (nabi, fan, post) = post_in_feed(&stage).await;
    let mut expected: Vec<String> = Vec::new();
    kill_at_every_call(&stage, async |nth, when, died| {
        let (key, body) = (format!("{nth}{when:?}"), json!({ "text": "purr" }));
        let send = async || fan.create_once(&comments(&post), &key, &body).await;
        let reply = send().await;
        let answered = [201, if died() { 502 } else { 201 }];
        assert!(answered.contains(&reply.status), "{}", reply.text());
        let (count, there) = stage.comments_of(&post).await;
        assert_eq!(count, there.len(), "{nth} {when:?}");
        assert!(there.len() - expected.len() <= 1, "{nth} {when:?}");
        let comment = send().await.expect(201).json();
        expected.insert(0, id_of(&comment));
        assert_eq!(
            stage.comments_of(&post).await,
            (expected.len(), expected.clone())
        );
        assert_eq!(shown(&fan, &post).await, expected.len(), "{nth} {when:?}");
    })
    .await;
    assert_eq!(nabi.walk_ids(&comments(&post), 7).await, expected);
}

/// The same for deletions: a repeated deletion finds the comment gone, and still corrects the counts. Fails when only
/// the request that found the comment tells the cache.
#[tokio::test]
async fn a_deletion_that_dies_is_atomic() {
    let stage = stage().await;
    let (nabi, fan, post) = post_in_feed(&stage).await;
    for _ in 0..CALLS * 2 {
        nabi.comment(&post, "purr").await;
    }
    kill_at_every_call(&stage, async |nth, when, died| {
        let (before, there) = stage.comments_of(&post).await;
        assert_eq!(shown(&fan, &post).await, before);
        let reply = nabi.delete_comment(&post, &there[0]).await;
        let answered = [204, if died() { 502 } else { 204 }];
        assert!(answered.contains(&reply.status), "{}", reply.text());
        let (count, left) = stage.comments_of(&post).await;
        assert_eq!(count, left.len(), "{nth} {when:?}");
        let again = nabi.delete_comment(&post, &there[0]).await;
        let gone = left.len() < there.len();
        again.expect(if gone { 404 } else { 204 });
        assert_eq!(
            stage.comments_of(&post).await,
            (before - 1, there[1..].to_vec())
        );
        assert_eq!(shown(&fan, &post).await, before - 1, "{nth} {when:?}");
    })
    .await;
}

/// Without the cache no comment is accepted: feeds would show the old count. Fails when an error of the cache is ignored.
#[tokio::test]
async fn without_the_cache_a_comment_is_not_answered() {
    let stage = stage().await;
    let (_, fan, post) = post_in_feed(&stage).await;
    let body = json!({ "text": "purr" });
    for outage in [Outage::Closed, Outage::Hang] {
        let key = format!("{outage:?}");
        let send = async || fan.create_once(&comments(&post), &key, &body).await;
        stage.world.stop_service(Service::Cache, outage);
        assert_unavailable("comment", send()).await;
        assert_unavailable("comment again", send()).await;
        stage.world.resume_service(Service::Cache);
        assert_eq!(stage.comments_of(&post).await, (0, vec![]));
        let comment = id_of(&send().await.expect(201).json());
        assert_eq!(stage.comments_of(&post).await, (1, vec![comment.clone()]));
        crate::support::eventually("the feed reads the cache again", async || {
            (shown(&fan, &post).await == 1).then_some(())
        })
        .await;
        stage.world.stop_service(Service::Cache, outage);
        assert_unavailable("delete_comment", fan.delete_comment(&post, &comment)).await;
        stage.world.resume_service(Service::Cache);
        assert_eq!(stage.comments_of(&post).await, (1, vec![comment.clone()]));
        fan.delete_comment(&post, &comment).await.expect(204);
        assert_eq!(shown(&fan, &post).await, 0);
    }
}

/// The feed counts a comment even if the request that died is never repeated. Fails when counts are forgotten after a
/// comment is stored, instead of held before.
#[tokio::test]
async fn a_comment_whose_writer_dies_is_counted_in_feeds() {
    let stage = stage().await;
    let (_, fan, post) = post_in_feed(&stage).await;
    let dies = FaultRule::kill("comment", 1, When::After).operation("TransactWriteItems");
    let fault = stage.world.on_call(dies).unwrap();
    let reply = fan
        .create(&comments(&post), &json!({ "text": "purr" }))
        .await;
    assert_eq!((reply.status, fault.fired()), (502, 1));
    assert_eq!(stage.comments_of(&post).await.0, 1);
    crate::support::eventually("it is counted", async || {
        (shown(&fan, &post).await == 1).then_some(())
    })
    .await;
}

/// Concurrent writes of the same items delay a comment without failing it. If the conflicts never stop, the comment is
/// refused as a whole. Fails when a conflict is an error, or is retried for ever.
#[tokio::test]
async fn a_comment_that_conflicts_with_other_writes_is_retried() {
    let stage = stage().await;
    let (_, fan, post) = post_in_feed(&stage).await;
    let body = json!({ "text": "purr" });
    let conflicts = |times| {
        let rule = FaultRule::new(When::Before, FaultAction::Conflict).function("comment");
        let rule = rule.operation("TransactWriteItems").times(times);
        stage.world.on_call(rule).unwrap()
    };
    let fault = conflicts(6);
    let comment = id_of(&fan.comment(&post, "purr").await);
    assert_eq!(fault.fired(), 6);
    fault.clear();
    let fault = conflicts(6);
    fan.delete_comment(&post, &comment).await.expect(204);
    assert_eq!(fault.fired(), 6);
    fault.clear();
    let fault = conflicts(u64::MAX);
    assert_unavailable("comment", fan.create_once(&comments(&post), "k", &body)).await;
    assert_eq!(stage.comments_of(&post).await, (0, vec![]));
    fault.clear();
    fan.create_once(&comments(&post), "k", &body)
        .await
        .expect(201);
    assert_eq!(stage.comments_of(&post).await.0, 1);
    let fault = conflicts(u64::MAX);
    let comment = stage.comments_of(&post).await.1.remove(0);
    assert_unavailable("delete_comment", fan.delete_comment(&post, &comment)).await;
    fault.clear();
    assert_eq!(stage.comments_of(&post).await, (1, vec![comment]));
}

/// The answer to a transaction is lost, and the client library retries the call: there is one comment, even without a key.
/// Fails when a retried call counts as a new one.
#[tokio::test]
async fn an_answer_lost_on_the_way_makes_no_second_comment() {
    let stage = stage().await;
    let (_, fan, post) = post_in_feed(&stage).await;
    let lose = || {
        let rule = FaultRule::new(When::After, FaultAction::Disconnect).function("comment");
        stage
            .world
            .on_call(rule.operation("TransactWriteItems"))
            .unwrap()
    };
    for round in 1..=3 {
        let fault = lose();
        fan.comment(&post, "purr").await;
        assert_eq!(fault.fired(), 1);
        let (count, there) = stage.comments_of(&post).await;
        assert_eq!((count, there.len()), (round, round));
    }
}

/// A post that is deleted during a request to comment on it gets no comment. Fails without the condition on the post.
#[tokio::test]
async fn a_comment_on_a_post_deleted_during_the_request_is_refused() {
    let stage = stage().await;
    let (nabi, fan, post) = post_in_feed(&stage).await;
    let slow = FaultAction::Delay(Duration::from_secs(2));
    let rule = FaultRule::new(When::Before, slow).function("comment");
    let fault = stage
        .world
        .on_call(rule.operation("TransactWriteItems"))
        .unwrap();
    let body = json!({ "text": "too late" });
    let comments = comments(&post);
    let (reply, ()) = futures::join!(fan.create(&comments, &body), async {
        fault.wait().await;
        nabi.delete_post(&post).await;
    });
    reply.problem(404);
    assert_eq!(stage.comments_of(&post).await, (0, vec![]));
}

/// 500 likes and 50 comments of one post at the same time, whose counts are in one row. Every second transaction of either
/// kind meets a conflict, as many would on DynamoDB. All of them succeed, and count. Fails when either kind takes the
/// other's write for an error, or overwrites its counter.
#[tokio::test]
async fn comments_get_through_a_storm_of_likes() {
    const LIKES: usize = 500;
    const COMMENTS: usize = 50;
    let world = World::with(Options {
        warm: true,
        ..retrying_soon()
    });
    let stage = Backstage::of(&world.await).await;
    let (nabi, fan, post) = post_in_feed(&stage).await;
    let fans: Vec<User> = (0..LIKES).map(|_| stage.world.user("liker")).collect();
    for function in ["comment", "like-consumer"] {
        for n in 0..100 {
            let rule = FaultRule::new(When::Before, FaultAction::Conflict).function(function);
            let rule = rule.operation("TransactWriteItems").nth(2 * n + 1);
            stage.world.on_call(rule).unwrap();
        }
    }
    let likes = futures::stream::iter(&fans).for_each_concurrent(8, |fan| fan.like(&post));
    let write = |n: usize| {
        let (by, post) = (&fans[n], &post);
        async move {
            let (started, body) = (Instant::now(), json!({ "text": n.to_string() }));
            // On a busy machine the cache may be too slow; then the comment is sent again.
            while by.create_once(&comments(post), "key", &body).await.status != 201 {
                assert!(started.elapsed() < Duration::from_secs(30), "comment {n}");
            }
            started.elapsed()
        }
    };
    let written = futures::stream::iter((0..COMMENTS).map(write)).buffer_unordered(8);
    let ((), mut times) = futures::join!(likes, written.collect::<Vec<Duration>>());
    stage.world.clear_faults();
    stage.world.wait_until_drained().await;
    stage.assert_exact(&[], std::slice::from_ref(&post)).await;
    assert_eq!(stage.likes_of(&post).await.0, LIKES);
    assert_eq!(stage.comments_of(&post).await.0, COMMENTS);
    for reader in [&nabi, &fan] {
        assert_eq!(shown(reader, &post).await, COMMENTS);
        assert_eq!(reader.feed(1).await[0]["likes"], LIKES);
    }
    let refused = stage.world.logs("comment").unwrap();
    let refused = refused.iter().filter(|line| line.contains("kept writing"));
    times.sort();
    println!(
        "{COMMENTS} comments among {LIKES} likes: median {:?}, longest {:?}, {} refused at first",
        times[COMMENTS / 2],
        times[COMMENTS - 1],
        refused.count(),
    );
}

/// Users comment and delete at random, concurrently, while the function is killed again and again. Each sends a request
/// until it is answered. In the end exactly the answered comments exist.
#[tokio::test]
async fn answered_comments_survive_every_crash() {
    const ROUNDS: u64 = 25;
    let stage = stage().await;
    let (nabi, fan, post) = post_in_feed(&stage).await;
    let kill = async {
        for nth in 0..12_u64 {
            let when = if nth % 2 == 0 {
                When::Before
            } else {
                When::After
            };
            let rule = FaultRule::kill("comment", nth * 7 % 11 + 1, when);
            let fault = stage.world.on_call(rule).unwrap();
            let waited = tokio::time::timeout(Duration::from_secs(5), fault.wait()).await;
            fault.clear();
            if waited.is_err() {
                break;
            }
        }
    };
    let work = |user: User, seed: u64| {
        let post = &post;
        async move {
            let mut mine: Vec<String> = Vec::new();
            let mut random = seed;
            for round in 0..ROUNDS {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(seed);
                if !mine.is_empty() && random >> 62 == 0 {
                    let gone =
                        mine.swap_remove(usize::try_from(random >> 33).unwrap() % mine.len());
                    // An earlier attempt that died may have deleted the comment.
                    while ![204, 404].contains(&user.delete_comment(post, &gone).await.status) {}
                } else {
                    let (key, body) = (
                        round.to_string(),
                        json!({ "text": format!("round {round}") }),
                    );
                    let answer: Value = loop {
                        let reply = user.create_once(&comments(post), &key, &body).await;
                        if reply.status == 201 {
                            break reply.json();
                        }
                        assert!([502, 503].contains(&reply.status), "{}", reply.text());
                    };
                    mine.push(id_of(&answer));
                }
            }
            mine
        }
    };
    let users = (0..4).map(|n| work(stage.world.user("writer"), n * 2 + 1));
    let (mine, ()) = futures::join!(futures::future::join_all(users), kill);
    let expected: BTreeSet<String> = mine.into_iter().flatten().collect();
    let (count, there) = stage.comments_of(&post).await;
    assert_eq!(there.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(count, expected.len());
    assert_eq!(nabi.walk_ids(&comments(&post), 7).await, there);
    assert_eq!(shown(&fan, &post).await, expected.len());
}
