//! The search index under faults: whatever fails at any time, the old generation stays intact, and the same messages
//! make the next one when they are delivered again.

use std::time::Duration;

use purrline_local::{FaultAction, FaultRule, Outage, Service, When};
use serde_json::{Value, json};

use super::{LONGEST, assert_unavailable, stage};
use crate::support::backstage::{Backstage, id_of};
use crate::support::{User, World, eventually, retrying_soon};

/// More calls than the indexer makes for one batch.
const MOST_CALLS: u64 = 60;

fn message(post: &str) -> String {
    json!({ "v": 1, "kind": "post", "id": post }).to_string()
}

async fn find(user: &User, words: &str) -> Vec<String> {
    let (items, _) = user.page(&format!("/v1/search?limit=100&q={words}")).await;
    items.iter().map(id_of).collect()
}

/// Returns what a newly started function finds, with the newest generation.
async fn find_newest(stage: &Backstage, user: &User, words: &str) -> Vec<String> {
    stage.world.kill_function("search").unwrap();
    find(user, words).await
}

/// Posts a text without telling search.
async fn post_without_indexing(stage: &Backstage, author: &User, text: &str) -> String {
    let post = author.post_id(text).await;
    stage.take("FanOutQueue").await;
    post
}

async fn index(stage: &Backstage, posts: &[&str]) -> Vec<usize> {
    let messages: Vec<String> = posts.iter().map(|post| message(post)).collect();
    stage.deliver("index", &messages).await
}

async fn stage_without_indexing() -> Backstage {
    let stage = stage().await;
    for queue in ["FanOutQueue", "IndexQueue"] {
        stage.world.pause_queue(queue).await.unwrap();
    }
    stage
}

/// `index` is killed before and after each of its calls, in a process that has an index already and in one that hasn't.
/// Fails when a manifest names a missing object, or when an object is written twice under one name.
#[tokio::test]
async fn index_survives_a_crash_at_any_call() {
    let stage = stage_without_indexing().await;
    let author = stage.world.user("author");
    let mut posts: Vec<String> = Vec::new();
    for warm in [false, true] {
        for when in [When::Before, When::After] {
            for nth in 1.. {
                assert!(nth < MOST_CALLS, "index calls without end");
                let new = post_without_indexing(&stage, &author, "고양이").await;
                // The batch also contains an indexed post, which changes a list of deleted documents.
                let old = posts.first().cloned().unwrap_or_else(|| new.clone());
                if !warm {
                    stage.world.kill_function("index").unwrap();
                }
                let fault = stage
                    .world
                    .on_call(FaultRule::kill("index", nth, when))
                    .unwrap();
                let failed = index(&stage, &[&new, &old]).await;
                let killed = fault.fired() > 0;
                fault.clear();
                assert_eq!(failed.is_empty(), !killed, "{when:?} call {nth}");
                // Despite anything that the killed process left behind, earlier posts are found, once each.
                let between = find_newest(&stage, &author, "고양이").await;
                let without: Vec<&String> = between.iter().filter(|id| **id != new).collect();
                assert_eq!(
                    without,
                    posts.iter().collect::<Vec<_>>(),
                    "{when:?} call {nth}"
                );
                assert!(index(&stage, &[&new, &old]).await.is_empty());
                posts.insert(0, new);
                assert_eq!(find_newest(&stage, &author, "고양이").await, posts);
                if !killed {
                    assert!(nth > 4, "index made only {} calls", nth - 1);
                    break;
                }
            }
        }
    }
}

/// Two indexers start from the same generation: the second starts over, from the first one's result. Fails when a manifest
/// is put without a condition.
#[tokio::test]
async fn two_indexers_lose_nothing() {
    let stage = stage_without_indexing().await;
    let author = stage.world.user("author");
    let mut posts = Vec::new();
    for round in 0..3 {
        let (a, b) = (
            post_without_indexing(&stage, &author, "고양이").await,
            post_without_indexing(&stage, &author, "고양이").await,
        );
        // Both have read the newest generation before either makes the next.
        let slow = FaultRule::new(When::Before, FaultAction::Delay(Duration::from_millis(400)));
        let slow = slow.function("index").service(Service::Bucket);
        let slow = slow.operation("PutObject").times(2);
        let fault = stage.world.on_call(slow).unwrap();
        let before = generations(&stage).await;
        let (first, second) = ([a.as_str()], [b.as_str()]);
        let (a_failed, b_failed) = futures::join!(index(&stage, &first), index(&stage, &second));
        assert!(a_failed.is_empty() && b_failed.is_empty(), "round {round}");
        assert_eq!(fault.fired(), 2);
        fault.clear();
        assert_eq!(generations(&stage).await, before + 2, "round {round}");
        posts.splice(0..0, [b, a]);
        assert_eq!(find_newest(&stage, &author, "고양이").await, posts);
    }
}

async fn generations(stage: &Backstage) -> usize {
    let list = stage.world.s3().list_objects_v2();
    let list = list
        .bucket(stage.world.bucket_name("SearchBucket").unwrap())
        .prefix("v1/manifests/");
    list.send()
        .await
        .unwrap()
        .key_count()
        .unwrap_or_default()
        .try_into()
        .unwrap()
}

/// Without the bucket, searches find what they found before, an indexer's messages come again, and a function without an
/// index answers with an error. Fails when a search needs the bucket.
#[tokio::test]
async fn search_works_while_its_bucket_is_down() {
    let world = World::with(retrying_soon()).await;
    let stage = Backstage::of(&world).await;
    let author = world.user("author");
    let post = author.post_id("고양이").await;
    eventually("it is found", async || {
        (find(&author, "고양이").await == std::slice::from_ref(&post)).then_some(())
    })
    .await;
    for outage in [Outage::Closed, Outage::Unavailable, Outage::Hang] {
        world.stop_service(Service::Bucket, outage);
        let started = std::time::Instant::now();
        assert_eq!(find(&author, "고양이").await, std::slice::from_ref(&post));
        assert!(started.elapsed() < LONGEST);
        assert_eq!(index(&stage, &[&post]).await, [0]);
        world.kill_function("search").unwrap();
        assert_unavailable("a search without an index", author.get("/v1/search?q=x")).await;
        world.resume_service(Service::Bucket);
        eventually("it is found again", async || {
            let reply = author.get("/v1/search?q=고양이").await;
            (reply.status == 200 && reply.json()["items"][0]["id"] == post.as_str()).then_some(())
        })
        .await;
    }
    let later = author.post_id("고양이").await;
    eventually("what came later is found", async || {
        (find(&author, "고양이").await == [later.clone(), post.clone()]).then_some(())
    })
    .await;
}

/// A malformed message affects no other, and a message about an object that never existed is not malformed.
#[tokio::test]
async fn a_malformed_index_message_never_blocks_others() {
    let stage = stage_without_indexing().await;
    let author = stage.world.user("author");
    let post = post_without_indexing(&stage, &author, "고양이").await;
    let cat: Value = json!({ "v": 1, "kind": "cat", "id": "0000000000000" });
    let messages = [
        "not json".to_owned(),
        message("0000000000000"),
        message(&post),
        message("x"),
        message(&post).replace("\"v\":1", "\"v\":2"),
        message(&post).replace("post", "dog"),
        cat.to_string(),
        message(&post),
    ];
    let mut failed = stage.deliver("index", &messages).await;
    failed.sort_unstable();
    assert_eq!(failed, [0, 3, 4, 5]);
    eventually("the good one is found", async || {
        (find(&author, "고양이").await == std::slice::from_ref(&post)).then_some(())
    })
    .await;
}
