//! Rule 1 for a fan-out of several messages and several shards.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::{StreamExt, TryStreamExt};
use purrline::cache::{Cache, Feed, PostsAndMerged, Push, Rebuild};
use purrline::domain::{FollowMessage, IdSource, PostId, Stamp, UserId};
use purrline_local::{FaultRule, Service, When};

use super::stage;
use crate::support::User;
use crate::support::backstage::{Backstage, number, text};

/// Three parts of a thousand.
const FOLLOWERS: usize = 2_500;
const AT_ONCE: usize = 64;

/// Returns an author with followers who are written directly into the table, spread over these shards, and the followers.
/// All of them have an empty feed in the cache.
pub(super) async fn author_with_followers(
    stage: &Backstage,
    followers: usize,
    shards: usize,
) -> (User, Vec<UserId>) {
    let author = stage.world.user("famous");
    let followers: Vec<UserId> = (0..followers)
        .map(|at| UserId::parse(&format!("{}-fan-{at}", author.id)).unwrap())
        .collect();
    count(stage, &author, followers.len(), shards).await;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let row = |(at, follower): (usize, &UserId)| {
        let list = match at % shards {
            0 => format!("followers#{}", author.id),
            shard => format!("followers#{}#{shard}", author.id),
        };
        let put = PutRequest::builder()
            .item("list", text(&list))
            .item("user", text(follower.as_str()))
            .item("active", AttributeValue::Bool(true))
            .item("version", AttributeValue::N("1".to_owned()))
            .item("since", AttributeValue::N("1".to_owned()));
        WriteRequest::builder()
            .put_request(put.build().unwrap())
            .build()
    };
    let rows: Vec<_> = followers.iter().enumerate().map(row).collect();
    for chunk in rows.chunks(25) {
        let write = stage.tables.batch_write_item();
        let output = write
            .request_items(stage.table("FollowsTable"), chunk.to_vec())
            .send()
            .await
            .unwrap();
        assert!(
            output
                .unprocessed_items
                .is_none_or(|items| items.is_empty())
        );
    }
    cache_empty_feeds(&stage.cache().await, &followers).await;
    (author, followers)
}

/// Stores the number of an author's followers and of their shards.
async fn count(stage: &Backstage, author: &User, followers: usize, shards: usize) {
    author.me().await;
    let number = |number: usize| AttributeValue::N(number.to_string());
    let update = stage.tables.update_item();
    update
        .table_name(stage.table("UsersTable"))
        .key("id", AttributeValue::S(author.id.clone()))
        .update_expression("SET followers = :followers, follower_shards = :shards")
        .expression_attribute_values(":followers", number(followers))
        .expression_attribute_values(":shards", number(shards))
        .send()
        .await
        .unwrap();
}

/// Puts empty feeds of these users into the cache.
pub(super) async fn cache_empty_feeds(cache: &Cache, users: &[UserId]) {
    futures::stream::iter(users)
        .for_each_concurrent(AT_ONCE, |user| async move {
            let Rebuild::Ours(lease) = cache.begin_rebuild(user).await.unwrap() else {
                panic!("there")
            };
            let empty = PostsAndMerged::default();
            assert!(
                cache
                    .finish_rebuild(user, &lease, &empty, &[])
                    .await
                    .unwrap()
            );
        })
        .await;
}

/// Counts the feeds that hold exactly these posts.
async fn feeds_with(cache: &Cache, followers: &[UserId], posts: &[PostId]) -> usize {
    let feeds = futures::stream::iter(followers)
        .map(|follower| cache.feed(follower))
        .buffer_unordered(AT_ONCE);
    let feeds: Vec<Feed> = feeds.try_collect().await.unwrap();
    feeds
        .iter()
        .filter(|feed| matches!(feed, Feed::Cached(feed) if feed.posts.ids() == posts))
        .count()
}

/// Through the queue, every feed gets every post, and the mark is cleared. Fails when a part or a shard of followers is left
/// out, or when the mark isn't cleared.
#[tokio::test]
async fn all_of_2500_followers_get_every_post() {
    let stage = stage().await;
    for shards in [1, 16] {
        let (author, followers) = author_with_followers(&stage, FOLLOWERS, shards).await;
        let cache = stage.cache().await;
        let mut posts = Vec::new();
        for text in ["one", "two"] {
            posts.insert(0, PostId::parse(&author.post_id(text).await).unwrap());
            stage.world.wait_until_drained().await;
            assert_eq!(feeds_with(&cache, &followers, &posts).await, FOLLOWERS);
            assert!(stage.unfinished_fan_outs().await.is_empty());
        }
    }
}

/// A shard with more followers than one message serves is continued by another message. Fails when one message serves all,
/// or ends too early.
#[tokio::test]
async fn a_message_serves_ten_thousand_and_queues_the_rest() {
    let stage = stage().await;
    stage.world.pause_queue("FanOutQueue").await.unwrap();
    let all = 10_100;
    let (author, followers) = author_with_followers(&stage, all, 1).await;
    // The stored number of followers is low enough for the posts to be pushed.
    count(&stage, &author, 1, 1).await;
    let posts = [PostId::parse(&author.post_id("one").await).unwrap()];
    let cache = stage.cache().await;
    for (messages, served) in [(1, 0), (1, 10_000), (1, all)] {
        let queued = stage.take("FanOutQueue").await;
        assert_eq!(queued.len(), messages);
        assert_eq!(stage.unfinished_fan_outs().await.len(), 1);
        assert!(stage.deliver("fan-out", &queued).await.is_empty());
        assert_eq!(feeds_with(&cache, &followers, &posts).await, served);
    }
    assert!(stage.take("FanOutQueue").await.is_empty());
    assert!(stage.unfinished_fan_outs().await.is_empty());
}

/// By hand: the mark stays until the last chunk is done; only the chunk that crashed is repeated; a chunk that comes twice
/// changes nothing; chunks of an abandoned split don't count.
///
/// Fails when the mark is cleared with the first chunk, when a crash repeats the whole fan-out, or when chunks are counted
/// instead of named.
#[tokio::test]
async fn each_chunk_is_done_independently() {
    let stage = stage().await;
    stage.world.pause_queue("FanOutQueue").await.unwrap();
    let (author, followers) = author_with_followers(&stage, FOLLOWERS, 16).await;
    let cache = stage.cache().await;
    let post = author.post_id("one").await;
    let posts = [PostId::parse(&post).unwrap()];
    let whole = stage.take("FanOutQueue").await;
    assert_eq!(whole.len(), 1);

    // The split is stored, and the process dies before the chunks are sent; then after some are.
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
    assert_eq!(given_up.len(), 10);
    assert!(stage.deliver("fan-out", &whole).await.is_empty());
    let chunks = stage.take("FanOutQueue").await;
    assert_eq!(chunks.len(), 16);
    assert_eq!(
        feeds_with(&cache, &followers, &posts).await,
        0,
        "the chunks push, not the cut"
    );

    // A chunk of the abandoned split pushes, but doesn't count. Another chunk's process dies at its push.
    assert!(stage.deliver("fan-out", &given_up[..1]).await.is_empty());
    assert!(stage.deliver("fan-out", &chunks[..1]).await.is_empty());
    assert!(stage.deliver("fan-out", &chunks[..1]).await.is_empty());
    let rule = FaultRule::kill("fan-out", 1, When::After)
        .service(Service::Tables)
        .operation("Query");
    let fault = stage.world.on_call(rule).unwrap();
    assert_eq!(stage.deliver("fan-out", &chunks[1..2]).await, [0]);
    assert_eq!(fault.fired(), 1);
    for chunk in &chunks[2..] {
        assert!(
            stage
                .deliver("fan-out", std::slice::from_ref(chunk))
                .await
                .is_empty()
        );
    }
    assert_eq!(
        stage.unfinished_fan_outs().await,
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
    assert_eq!(
        reads,
        1,
        "one chunk is read, not all: {:?}",
        stage.world.calls()
    );
    assert!(stage.unfinished_fan_outs().await.is_empty());
    assert_eq!(feeds_with(&cache, &followers, &posts).await, FOLLOWERS);

    // All messages again.
    for message in [&whole[..], &chunks[..10], &chunks[10..], &given_up[..]] {
        assert!(stage.deliver("fan-out", message).await.is_empty());
    }
    assert!(
        stage.take("FanOutQueue").await.is_empty(),
        "cut again after it was done"
    );
    assert_eq!(feeds_with(&cache, &followers, &posts).await, FOLLOWERS);
}

/// Followers who arrive once an author is popular are spread over shards. Earlier followers stay in their shard, and
/// unfollow from there. Lists, counts and fan-out find all of them. Fails when a shard is guessed instead of read, or
/// when a reader of a list reads one shard only.
#[tokio::test]
async fn followers_of_a_popular_author_are_spread_over_shards() {
    let stage = stage().await;
    let author = stage.world.user("famous");
    let id = UserId::parse(&author.id).unwrap();
    let fans: Vec<User> = (0..40).map(|_| stage.world.user("fan")).collect();
    let (first, later) = fans.split_at(10);
    author.me().await;
    let apply = async |fans: &[User], on: bool| {
        let change = |fan: &User| {
            let follower = UserId::parse(&fan.id).unwrap();
            serde_json::to_string(&FollowMessage::new(follower, id.clone(), on, Stamp::own()))
                .unwrap()
        };
        let changes: Vec<String> = fans.iter().map(change).collect();
        assert!(stage.deliver("follow-consumer", &changes).await.is_empty());
    };
    apply(first, true).await;
    count(&stage, &author, 10_000, 1).await;
    apply(later, true).await;
    let row = stage.item("UsersTable", "id", &author.id).await.unwrap();
    assert_eq!(number(&row, "follower_shards"), 16);
    assert_eq!(number(&row, "followers"), 10_000 + later.len());
    count(&stage, &author, fans.len(), 16).await;
    let there = stage
        .partition("FollowsTable", "list", &format!("followers#{id}"))
        .await;
    assert!(
        (first.len()..first.len() + 10).contains(&there.len()),
        "{} in the first shard",
        there.len()
    );
    stage
        .assert_exact(std::slice::from_ref(&author.id), &[])
        .await;

    // All followers are found, latest first, in pages of any size.
    let expected: HashSet<&str> = fans.iter().map(|fan| fan.id.as_str()).collect();
    for size in [7, 100] {
        let listed = author
            .walk_ids(&format!("/v1/users/{}/followers", author.id), size)
            .await;
        assert_eq!(listed.len(), fans.len());
        assert_eq!(
            listed.iter().map(String::as_str).collect::<HashSet<_>>(),
            expected
        );
        let late: HashSet<&str> = listed[..later.len()].iter().map(String::as_str).collect();
        assert!(
            later.iter().all(|fan| late.contains(fan.id.as_str())),
            "latest first"
        );
    }
    let post = author.post_id("one").await;
    stage.world.wait_until_drained().await;
    for fan in &fans {
        assert_eq!(fan.feed_ids(10).await, [post.as_str()]);
    }

    // Half of each kind unfollow, twice; some of them return.
    let gone: Vec<User> = fans.iter().step_by(2).cloned().collect();
    for on in [false, false, true, false] {
        apply(&gone, on).await;
    }
    let row = stage.item("UsersTable", "id", &author.id).await.unwrap();
    assert_eq!(number(&row, "followers"), fans.len() / 2);
    stage
        .assert_exact(std::slice::from_ref(&author.id), &[])
        .await;
    let rows = stage.follows("followers", &author.id).await;
    let users: HashSet<String> = rows.iter().map(|row| text(row, "user")).collect();
    assert_eq!(
        (rows.len(), users.len()),
        (fans.len(), fans.len()),
        "one row each"
    );

    // No row of any follower is left.
    for _ in 0..2 {
        author
            .send(author.request(reqwest::Method::DELETE, "/v1/me"))
            .await;
    }
    let store = stage.store().await;
    store
        .erase_follows(purrline::store::FollowList::Followers, &id)
        .await
        .unwrap();
    assert!(stage.follows("followers", &author.id).await.is_empty());
    for fan in &fans {
        assert!(stage.follows("following", &fan.id).await.is_empty());
    }
}

/// A post that is delivered again is added only to lists that lack it, and no post is lost when lists are trimmed.
/// Fails when a chunk that is delivered twice pushes twice.
#[tokio::test]
async fn a_redelivered_chunk_adds_nothing() {
    let stage = stage().await;
    let cache = stage.cache().await;
    let users: Vec<UserId> = (0..3)
        .map(|n| UserId::parse(&format!("again-{n}")).unwrap())
        .collect();
    cache_empty_feeds(&cache, &users).await;
    let ids = IdSource::new();
    let posts: Vec<PostId> = (0..300).map(|_| PostId(ids.mint())).collect();
    for post in &posts {
        cache.push(&Push::of(*post), &users[..2]).await.unwrap();
        let again = Push {
            redelivered: true,
            ..Push::of(*post)
        };
        cache.push(&again, &users).await.unwrap();
    }
    let mut newest = posts.clone();
    newest.reverse();
    for user in &users {
        let Feed::Cached(feed) = cache.feed(user).await.unwrap() else {
            panic!("gone")
        };
        let kept = feed.posts.ids().len();
        assert!((200..232).contains(&kept), "{kept}");
        assert_eq!(feed.posts.ids(), &newest[..kept]);
        assert_eq!(
            feed.posts.floor(),
            Some(newest[kept]),
            "what was dropped last"
        );
        assert_eq!(length(&stage, user).await, kept + 1, "and the floor");
    }
}

/// Returns the length of the list of a user's feed.
async fn length(stage: &Backstage, user: &UserId) -> usize {
    let client = redis::Client::open(stage.world.endpoints().cache.clone().unwrap()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("LLEN")
        .arg(format!("feed:{{{user}}}"))
        .query_async(&mut connection)
        .await
        .unwrap()
}
