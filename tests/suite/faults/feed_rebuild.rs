//! Rules 3 and 5: a feed is rebuilt while others post, follow and read.

use futures::future::join_all;
use purrline::cache::{Feed, PostsAndMerged, Push, Rebuild};
use purrline::domain::{PostId, PostWindow, UserId, Version};
use purrline_local::Service;
use serde_json::json;

use super::{followers_of, stage};
use crate::support::User;
use crate::support::backstage::Backstage;

/// Returns a feed of one post.
fn of(post: PostId) -> PostsAndMerged {
    PostsAndMerged {
        posts: PostWindow::new(vec![post], None),
        merged: Vec::new(),
    }
}

fn id(post: &str) -> PostId {
    PostId::parse(post).unwrap()
}

/// Plays each kind of change between the start and the end of a rebuild. Fails when a fan-out skips a feed that is being
/// rebuilt, or when a rebuild succeeds that a follow or an emptied cache has invalidated.
#[tokio::test]
async fn changes_during_a_rebuild_are_in_the_rebuilt_feed() {
    let stage = stage().await;
    let cache = stage.cache().await;
    let (me, author) = (
        UserId::parse("somebody").unwrap(),
        UserId::parse("author").unwrap(),
    );
    let [old, new, newer] = ["0000000000001", "0000000000002", "0000000000003"].map(id);
    let begin = async || match cache.begin_rebuild(&me).await.unwrap() {
        Rebuild::Ours(lease) => lease,
        other => panic!("{other:?}"),
    };
    let feed = async || match cache.feed(&me).await.unwrap() {
        Feed::Cached(feed) => feed.posts.ids().to_vec(),
        Feed::Missing => panic!("gone"),
    };
    let push = async |post| {
        let feeds = std::slice::from_ref(&me);
        cache.push(&Push::of(post), feeds).await.unwrap();
    };
    let authors = std::slice::from_ref(&author);

    // A missing feed is not pushed onto.
    push(newer).await;
    assert_eq!(cache.feed(&me).await.unwrap(), Feed::Missing);
    // A push that comes twice and out of order.
    let lease = begin().await;
    for post in [newer, new, newer] {
        push(post).await;
    }
    assert_eq!(
        cache.feed(&me).await.unwrap(),
        Feed::Missing,
        "shown before it is whole"
    );
    assert_eq!(cache.begin_rebuild(&me).await.unwrap(), Rebuild::Others);
    assert!(
        cache
            .finish_rebuild(&me, &lease, &of(old), authors)
            .await
            .unwrap()
    );
    assert_eq!(feed().await, [newer, new, old]);
    assert_eq!(cache.begin_rebuild(&me).await.unwrap(), Rebuild::Done);
    // A follow.
    cache.forget_feeds(&[me.clone()].into()).await.unwrap();
    let lease = begin().await;
    cache.forget_feeds(&[me.clone()].into()).await.unwrap();
    assert!(
        !cache
            .finish_rebuild(&me, &lease, &of(old), authors)
            .await
            .unwrap(),
        "of before the follow"
    );
    // A follow, and another reader's rebuild after it.
    let late = begin().await;
    cache.forget_feeds(&[me.clone()].into()).await.unwrap();
    let lease = begin().await;
    assert!(
        !cache
            .finish_rebuild(&me, &late, &of(old), &[])
            .await
            .unwrap()
    );
    assert!(
        cache
            .finish_rebuild(&me, &lease, &of(new), authors)
            .await
            .unwrap()
    );
    assert_eq!(feed().await, [new]);
    // An emptied cache.
    cache.forget_feeds(&[me.clone()].into()).await.unwrap();
    let lease = begin().await;
    stage.world.flush_cache().await.unwrap();
    assert!(
        !cache
            .finish_rebuild(&me, &lease, &of(old), authors)
            .await
            .unwrap()
    );
    assert_eq!(cache.feed(&me).await.unwrap(), Feed::Missing);
    // Only half of a feed's keys exist.
    let lease = begin().await;
    assert!(
        cache
            .finish_rebuild(&me, &lease, &of(old), authors)
            .await
            .unwrap()
    );
    for key in stage
        .keys()
        .await
        .iter()
        .filter(|key| key.starts_with(b"following"))
    {
        stage.evict(key).await;
    }
    assert_eq!(cache.feed(&me).await.unwrap(), Feed::Missing);
}

fn follow(by: &User, whom: &User, on: bool) -> String {
    let at = Version::now().micros();
    json!({ "v": 1, "follower": by.id, "followee": whom.id, "follow": on, "at": at }).to_string()
}

/// Readers, fan-outs and follows run concurrently on a feed that was just removed, over and over. Fails when a rebuild loses
/// what was pushed or followed while it read the store.
#[tokio::test]
async fn a_rebuild_racing_with_fan_out_and_follows_loses_nothing() {
    let stage = stage().await;
    for queue in ["FanOutQueue", "FollowsQueue"] {
        stage.world.pause_queue(queue).await.unwrap();
    }
    let (author, other) = (stage.world.user("author"), stage.world.user("other"));
    let reader = stage.world.user("reader");
    let theirs = other.post_id("of the other").await;
    let mut posts: Vec<String> = Vec::new();
    author.me().await;
    assert!(
        stage
            .deliver("follow-consumer", &[follow(&reader, &author, true)])
            .await
            .is_empty()
    );
    let feeds = stage.feeds().await;
    let me = UserId::parse(&reader.id).unwrap();
    for round in 0..120 {
        let gone = format!("{{{}}}", reader.id);
        for key in stage
            .keys()
            .await
            .iter()
            .filter(|key| String::from_utf8_lossy(key).contains(&gone))
        {
            stage.evict(key).await;
        }
        let followed = round % 2 == 0;
        let page = async || {
            let page = feeds.page(&me, None, 100).await.unwrap();
            let ids: Vec<PostId> = page.items.iter().map(|(post, _)| post.id).collect();
            assert!(ids.is_sorted_by(|a, b| a > b), "round {round}: {ids:?}");
            ids
        };
        let write = async {
            posts.insert(0, author.post_id("new").await);
            let fan_out = stage.take("FanOutQueue").await;
            assert!(stage.deliver("fan-out", &fan_out).await.is_empty());
        };
        let word = follow(&reader, &other, followed);
        let follows = async {
            assert!(
                stage
                    .deliver("follow-consumer", std::slice::from_ref(&word))
                    .await
                    .is_empty()
            );
        };
        futures::join!(page(), page(), write, page(), follows, reader.feed(3));
        let mut expected: Vec<&str> = posts.iter().take(100).map(String::as_str).collect();
        if followed && posts.len() < 100 {
            expected.push(&theirs);
        }
        expected.sort_unstable_by(|a, b| b.cmp(a));
        let shown = reader.feed_ids(100).await;
        assert_eq!(shown, expected, "round {round}");
    }
}

/// Fifty readers request a missing feed at once: it is read from the store once. Fails when every reader who finds it
/// missing rebuilds it.
#[tokio::test]
async fn fifty_readers_of_a_gone_feed_rebuild_it_once() {
    let stage = stage().await;
    let authors: Vec<User> = (0..4).map(|_| stage.world.user("author")).collect();
    let reader = followers_of(&stage, &authors[0], 1).await.remove(0);
    for author in &authors {
        reader.follow(author).await;
        author.post("meow").await;
    }
    stage.world.wait_until_drained().await;
    // All processes have started and are connected.
    join_all((0..50).map(|_| reader.feed(1))).await;
    stage.world.flush_cache().await.unwrap();
    stage.world.reset_calls();
    let feeds = join_all((0..50).map(|_| reader.feed_ids(10))).await;
    for feed in &feeds {
        assert_eq!((feed.len(), feed), (4, &feeds[0]));
    }
    assert_eq!(
        queries(&stage),
        2,
        "whom the reader follows, and what the reader wrote; what the others wrote comes in one batch: {:?}",
        stage.world.calls()
    );
    // A feed in the cache needs no query.
    reader.feed_ids(10).await;
    assert_eq!(queries(&stage), 2);
}

fn queries(stage: &Backstage) -> u64 {
    let calls = stage.world.calls();
    let queries = calls.iter().filter(|(call, _)| {
        call.function == "feed" && call.service == Service::Tables && call.operation == "Query"
    });
    queries.map(|(_, count)| count).sum()
}
