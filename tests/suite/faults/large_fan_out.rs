//! Rule 1 at a size that takes several chunks.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::{StreamExt, TryStreamExt};
use purrline::cache::{Cache, Feed, Rebuild};
use purrline::domain::{PostId, UserId};
use purrline_local::{FaultRule, Service, When};

use super::backstage::Backstage;
use super::stage;
use crate::support::User;

/// Three chunks of a thousand.
const FOLLOWERS: usize = 2_500;
const AT_ONCE: usize = 64;

/// An author with followers written right into the table, all of whose feeds are in the cache, empty.
async fn famous(stage: &Backstage) -> (User, Vec<UserId>) {
    let author = stage.world.user("famous");
    let followers: Vec<UserId> = (0..FOLLOWERS)
        .map(|at| UserId::parse(&format!("{}-fan-{at}", author.id)).unwrap())
        .collect();
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let row = |follower: &UserId| {
        let put = PutRequest::builder()
            .item("list", text(&format!("followers#{}", author.id)))
            .item("user", text(follower.as_str()))
            .item("active", AttributeValue::Bool(true))
            .item("version", AttributeValue::N("1".to_owned()))
            .item("since", AttributeValue::N("1".to_owned()));
        WriteRequest::builder()
            .put_request(put.build().unwrap())
            .build()
    };
    for chunk in followers.chunks(25) {
        let write = stage.tables.batch_write_item();
        let rows = chunk.iter().map(row).collect();
        let output = write
            .request_items(stage.table("FollowsTable"), rows)
            .send()
            .await
            .unwrap();
        assert!(
            output
                .unprocessed_items
                .is_none_or(|items| items.is_empty())
        );
    }
    let cache = stage.cache().await;
    futures::stream::iter(&followers)
        .for_each_concurrent(AT_ONCE, |follower| {
            let cache = &cache;
            async move {
                let Rebuild::Ours(lease) = cache.begin_rebuild(follower).await.unwrap() else {
                    panic!("there")
                };
                assert!(
                    cache
                        .finish_rebuild(follower, &lease, &[], &[])
                        .await
                        .unwrap()
                );
            }
        })
        .await;
    (author, followers)
}

/// How many of these feeds hold these posts and nothing else.
async fn feeds_with(cache: &Cache, followers: &[UserId], posts: &[PostId]) -> usize {
    let feeds = futures::stream::iter(followers)
        .map(|follower| cache.feed(follower))
        .buffer_unordered(AT_ONCE);
    let feeds: Vec<Feed> = feeds.try_collect().await.unwrap();
    feeds
        .iter()
        .filter(|feed| matches!(feed, Feed::Here(window) if window.ids() == posts))
        .count()
}

/// By the queue, as it happens: every feed has every post, and the mark is gone. Fails when a range
/// of followers is left out or the mark isn't cleared.
#[tokio::test]
async fn all_of_2500_followers_get_every_post() {
    let stage = stage().await;
    let (author, followers) = famous(&stage).await;
    let cache = stage.cache().await;
    let mut posts = Vec::new();
    for text in ["one", "two"] {
        posts.insert(0, PostId::parse(&author.post_id(text).await).unwrap());
        stage.world.drained().await;
        assert_eq!(feeds_with(&cache, &followers, &posts).await, FOLLOWERS);
        assert!(stage.unfinished().await.is_empty());
    }
}

/// By hand: the mark stays until the last chunk is done; a chunk that crashed is all that is done
/// again; one that comes twice changes nothing; chunks of a cut that was given up count for nothing.
///
/// Fails when the mark is cleared with the first chunk, when a crash repeats all of it, or when
/// chunks are counted instead of named.
#[tokio::test]
async fn chunks_are_done_each_by_itself() {
    let stage = stage().await;
    stage.world.pause_queue("FanOutQueue").await.unwrap();
    let (author, followers) = famous(&stage).await;
    let cache = stage.cache().await;
    let post = author.post_id("one").await;
    let posts = [PostId::parse(&post).unwrap()];
    let whole = stage.take("FanOutQueue").await;
    assert_eq!(whole.len(), 1);

    // The cut is noted, and the process dies before the chunks are sent; then after.
    let mut given_up = Vec::new();
    for when in [When::Before, When::After] {
        let rule = FaultRule::kill("fan-out", 1, when)
            .service(Service::Queues)
            .operation("SendMessageBatch");
        let fault = stage.world.on_call(rule).unwrap();
        assert_eq!(stage.deliver("fan-out", &whole).await.len(), 1);
        assert_eq!(fault.fired(), 1);
        given_up.extend(stage.take("FanOutQueue").await);
    }
    assert_eq!(given_up.len(), 3);
    assert!(stage.deliver("fan-out", &whole).await.is_empty());
    let chunks = stage.take("FanOutQueue").await;
    assert_eq!(chunks.len(), 3);
    assert_eq!(
        feeds_with(&cache, &followers, &posts).await,
        0,
        "the chunks push, not the cut"
    );

    // One of the cut given up: pushes, but counts for nothing. One whose process dies at its push.
    assert!(stage.deliver("fan-out", &given_up[..1]).await.is_empty());
    assert!(stage.deliver("fan-out", &chunks[..1]).await.is_empty());
    assert!(stage.deliver("fan-out", &chunks[..1]).await.is_empty());
    let rule = FaultRule::kill("fan-out", 1, When::After)
        .service(Service::Tables)
        .operation("Query");
    let fault = stage.world.on_call(rule).unwrap();
    assert_eq!(stage.deliver("fan-out", &chunks[1..2]).await, [0]);
    assert_eq!(fault.fired(), 1);
    assert!(stage.deliver("fan-out", &chunks[2..]).await.is_empty());
    assert_eq!(
        stage.unfinished().await,
        [post.as_str()],
        "a chunk is missing"
    );
    let done = feeds_with(&cache, &followers, &posts).await;
    assert!(
        (1..FOLLOWERS).contains(&done),
        "{done} feeds without the second chunk"
    );

    stage.world.reset_calls();
    assert!(stage.deliver("fan-out", &chunks[1..2]).await.is_empty());
    let reads: u64 = stage
        .world
        .calls()
        .iter()
        .filter(|(call, _)| call.operation == "Query")
        .map(|(_, count)| count)
        .sum();
    assert!(
        reads <= 2,
        "one chunk is read, not all: {:?}",
        stage.world.calls()
    );
    assert!(stage.unfinished().await.is_empty());
    assert_eq!(feeds_with(&cache, &followers, &posts).await, FOLLOWERS);

    // All of it again.
    for message in [&whole[..], &chunks[..], &given_up[..]] {
        assert!(stage.deliver("fan-out", message).await.is_empty());
    }
    assert!(
        stage.take("FanOutQueue").await.is_empty(),
        "cut again after it was done"
    );
    assert_eq!(feeds_with(&cache, &followers, &posts).await, FOLLOWERS);
}

/// Every chunk in any order and twice, with the consumer killed at any: still all, and no sooner
/// cleared. Fails when ranges leave gaps between them.
#[tokio::test]
async fn chunks_cover_every_follower_once() {
    let stage = stage().await;
    stage.world.pause_queue("FanOutQueue").await.unwrap();
    let (author, followers) = famous(&stage).await;
    author.post("one").await;
    assert!(
        stage
            .deliver("fan-out", &stage.take("FanOutQueue").await)
            .await
            .is_empty()
    );
    let chunks = stage.take("FanOutQueue").await;
    let everybody: HashSet<&str> = followers.iter().map(UserId::as_str).collect();
    let mut ranges = Vec::new();
    for chunk in &chunks {
        let chunk: serde_json::Value = serde_json::from_str(chunk).unwrap();
        let end = |name: &str| chunk["chunk"][name].as_str().map(str::to_owned);
        ranges.push((end("after"), end("upto")));
    }
    for follower in everybody {
        let within = |(after, upto): &&(Option<String>, Option<String>)| {
            after.as_deref().is_none_or(|after| follower > after)
                && upto.as_deref().is_none_or(|upto| follower <= upto)
        };
        assert_eq!(
            ranges.iter().filter(within).count(),
            1,
            "{follower} in {ranges:?}"
        );
    }
    // Whoever comes in meanwhile belongs to one as well.
    assert!(
        ranges.iter().any(|(after, _)| after.is_none())
            && ranges.iter().any(|(_, upto)| upto.is_none())
    );
}
