//! Rule 3 for influencers, whose posts are not pushed: readers merge them in.

use std::time::Duration;

use purrline::cache::{Feed, Push};
use purrline::domain::{IdSource, PostId, UserId};
use purrline_local::{FaultAction, FaultRule, Service, When};

use super::followers_of;
use super::large_fan_out::author_with_followers;
use crate::support::backstage::{Backstage, text};
use crate::support::{User, World, retrying_soon};

/// Starts a stack on which an author becomes an influencer with four followers, and stops being one with two.
async fn stage() -> Backstage {
    let options = retrying_soon().parameter("InfluencerFollowers", "3");
    Backstage::of(&World::with(options).await).await
}

/// Returns the way an author's posts are delivered, as in the store.
async fn merge_mode(stage: &Backstage, author: &User) -> Option<String> {
    let list = format!("recent#{}", author.id);
    let rows = stage.partition("PostListsTable", "list", &list).await;
    let row = rows.first()?;
    row.contains_key("merging").then(|| text(row, "merging"))
}

/// Returns how many times fan-out looked for followers since the calls were reset.
fn follower_reads(stage: &Backstage) -> u64 {
    let calls = stage.world.calls();
    let follower_reads = calls
        .iter()
        .filter(|(call, _)| call.function == "fan-out" && call.operation == "Query");
    follower_reads.map(|(_, count)| count).sum()
}

/// Writes a post, and waits for its fan-out. Returns the post, and how many times fan-out looked for followers.
async fn post(stage: &Backstage, author: &User) -> (String, u64) {
    stage.world.reset_calls();
    let post = author.post_id("meow").await;
    stage.world.wait_until_drained().await;
    (post, follower_reads(stage))
}

/// Asserts that each reader sees these posts, newest first: with the cache as it is, and with a rebuilt feed.
async fn assert_all_see(stage: &Backstage, readers: &[User], posts: &[String]) {
    for reader in readers {
        for size in [1, 100] {
            let feed = reader.walk_ids("/v1/feed", size).await;
            assert_eq!(feed, posts, "{}, {size} a page", reader.id);
        }
    }
    let feeds: Vec<Vec<u8>> = stage.keys().await;
    for key in feeds
        .iter()
        .filter(|key| key.starts_with(b"feed:"))
        .step_by(2)
    {
        stage.evict(key).await;
    }
    for reader in readers {
        assert_eq!(reader.feed_ids(100).await, posts, "rebuilt");
    }
}

/// An author crosses the threshold upwards, downwards and upwards again. Fails when the post that crosses it is not pushed,
/// when later ones are, or when merged posts are lost on the way back.
#[tokio::test]
async fn crossing_the_threshold_loses_and_repeats_nothing() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let mut readers = followers_of(&stage, &author, 3).await;
    let mut posts: Vec<String> = Vec::new();
    let mut add = async |readers: &[User], pushed: bool| {
        let (id, follower_reads) = post(&stage, &author).await;
        posts.insert(0, id);
        assert_eq!(
            follower_reads > 0,
            pushed,
            "{} posts, {follower_reads} reads of followers",
            posts.len()
        );
        assert_all_see(&stage, readers, &posts).await;
    };
    add(&readers, true).await;
    readers.extend(followers_of(&stage, &author, 2).await);
    assert_eq!(merge_mode(&stage, &author).await, None);
    add(&readers, true).await;
    assert_eq!(merge_mode(&stage, &author).await.as_deref(), Some("yes"));
    add(&readers, false).await;
    add(&readers, false).await;
    // An author doesn't switch because of one follower.
    let left = readers.split_off(3);
    for reader in &left {
        reader.unfollow(&author).await;
    }
    stage.world.wait_until_drained().await;
    add(&readers, false).await;
    readers[2].unfollow(&author).await;
    stage.world.wait_until_drained().await;
    readers.truncate(2);
    add(&readers, true).await;
    assert_eq!(merge_mode(&stage, &author).await, None);
    add(&readers, true).await;
    // Readers who unfollowed see nothing of the author; readers who follow see everything.
    for reader in &left {
        assert!(reader.feed_ids(10).await.is_empty());
        reader.follow(&author).await;
    }
    stage.world.wait_until_drained().await;
    readers.extend(left);
    add(&readers, true).await;
    add(&readers, false).await;
    assert_eq!(merge_mode(&stage, &author).await.as_deref(), Some("yes"));
}

/// The consumer dies at each of its calls while it announces an influencer. Fails when pushing ends before every feed
/// knows of the announcement.
#[tokio::test]
async fn an_announcement_survives_a_crash_at_any_call() {
    let stage = stage().await;
    stage.world.pause_queue("FanOutQueue").await.unwrap();
    for when in [When::Before, When::After] {
        for nth in 1.. {
            assert!(nth < 40);
            let author = stage.world.user("author");
            let readers = followers_of(&stage, &author, 4).await;
            let mut posts = Vec::new();
            let kill = FaultRule::kill("fan-out", nth, when);
            let fault = stage.world.on_call(kill).unwrap();
            for times in 0..3 {
                posts.insert(0, author.post_id(&times.to_string()).await);
                let messages = stage.take("FanOutQueue").await;
                for again in 1.. {
                    let messages: Vec<_> = messages.iter().map(|it| (it.clone(), again)).collect();
                    if stage
                        .deliver_with_counts("fan-out", &messages)
                        .await
                        .is_empty()
                    {
                        break;
                    }
                }
                for reader in &readers {
                    assert_eq!(reader.feed_ids(5).await, posts, "{nth} {when:?}");
                }
            }
            assert_eq!(merge_mode(&stage, &author).await.as_deref(), Some("yes"));
            let died = fault.fired() > 0;
            fault.clear();
            if !died {
                assert!(nth > 8, "a fan-out that makes {nth} calls");
                break;
            }
        }
    }
}

/// Followers are added to shards that did not exist when the fan-out read their number, and read their feeds before the
/// announcement begins. Fails when the announcement goes only to the shards read before.
#[tokio::test]
async fn an_announcement_reaches_shards_that_are_new() {
    let options = World::options().parameter("InfluencerFollowers", "3");
    let stage = Backstage::of(&World::with(options).await).await;
    stage.world.pause_queue("FanOutQueue").await.unwrap();
    let author = stage.world.user("author");
    let mut readers = followers_of(&stage, &author, 4).await;
    stage.world.pause_queue("FollowsQueue").await.unwrap();
    let first = author.post_id("first").await;
    let messages = stage.take("FanOutQueue").await;
    // Shorter than a call may take.
    let pause = FaultAction::Delay(Duration::from_millis(1_500));
    let looked = FaultRule::new(When::After, pause)
        .function("fan-out")
        .operation("BatchGetItem");
    let looked = stage.world.on_call(looked).unwrap();
    let grow = async {
        looked.wait().await;
        stage.spread_followers(&author, 16).await;
        let late: Vec<User> = (0..4).map(|_| stage.world.user("late")).collect();
        for reader in &late {
            reader.follow(&author).await;
        }
        let follows = stage.take("FollowsQueue").await;
        assert!(stage.deliver("follow-consumer", &follows).await.is_empty());
        for reader in &late {
            assert_eq!(reader.feed_ids(5).await, std::slice::from_ref(&first));
        }
        assert_eq!(merge_mode(&stage, &author).await, None, "too late to tell");
        late
    };
    let (failed, late) = tokio::join!(stage.deliver("fan-out", &messages), grow);
    assert!(failed.is_empty());
    let chunks = stage.take("FanOutQueue").await;
    assert!(stage.deliver("fan-out", &chunks).await.is_empty());
    assert_eq!(merge_mode(&stage, &author).await.as_deref(), Some("yes"));
    readers.extend(late);
    let second = author.post_id("second").await;
    let messages = stage.take("FanOutQueue").await;
    assert!(stage.deliver("fan-out", &messages).await.is_empty());
    for reader in &readers {
        assert_eq!(reader.feed_ids(5).await, [second.clone(), first.clone()]);
    }
}

/// Posts are pushed until the last chunk of the announcement is done. Fails when its first chunk is enough.
#[tokio::test]
async fn an_announcement_is_done_after_all_its_chunks() {
    let stage = stage().await;
    stage.world.pause_queue("FanOutQueue").await.unwrap();
    let (author, followers) = author_with_followers(&stage, 40, 16).await;
    let first = author.post_id("first").await;
    let chunks = async || {
        let whole = stage.take("FanOutQueue").await;
        assert!(stage.deliver("fan-out", &whole).await.is_empty());
        stage.take("FanOutQueue").await
    };
    let announcing = chunks().await;
    assert_eq!(announcing.len(), 16);
    let name = merge_mode(&stage, &author).await.unwrap();
    assert_ne!(name, "yes");
    let (last, others) = announcing.split_last().unwrap();
    for chunk in others {
        assert!(
            stage
                .deliver("fan-out", std::slice::from_ref(chunk))
                .await
                .is_empty()
        );
    }
    assert_eq!(merge_mode(&stage, &author).await, Some(name.clone()));
    // Another post is pushed too, and brings the same announcement.
    let second = author.post_id("second").await;
    let also = chunks().await;
    assert_eq!(also.len(), 16);
    assert!(also.iter().all(|chunk| chunk.contains(&name)), "{also:?}");
    assert!(
        stage
            .deliver("fan-out", std::slice::from_ref(last))
            .await
            .is_empty()
    );
    assert_eq!(merge_mode(&stage, &author).await.as_deref(), Some("yes"));
    // From now on nothing is pushed, and every feed merges the author in.
    let third = author.post_id("third").await;
    assert!(chunks().await.is_empty());
    assert!(stage.unfinished_fan_outs().await.contains(&second));
    for chunk in &also {
        assert!(
            stage
                .deliver("fan-out", std::slice::from_ref(chunk))
                .await
                .is_empty()
        );
    }
    assert!(stage.unfinished_fan_outs().await.is_empty());
    let cache = stage.cache().await;
    let pushed = [second, first].map(|post| PostId::parse(&post).unwrap());
    for follower in &followers {
        let Feed::Cached(feed) = cache.feed(follower).await.unwrap() else {
            panic!("gone")
        };
        assert_eq!(feed.posts.ids(), pushed);
        assert_eq!(feed.merged, [UserId::parse(&author.id).unwrap()]);
    }
    assert_eq!(author.feed_ids(1).await, [third]);
}

/// A feed leads to the first post of each author, in pages of any size, while the cache keeps eight posts. Fails when a
/// page ends where the cached part does, or when it omits posts between an influencer's posts.
#[tokio::test]
async fn a_feed_goes_back_to_the_first_post_of_everybody() {
    let options = retrying_soon()
        .parameter("InfluencerFollowers", "1")
        .parameter("FeedLength", "8");
    let stage = Backstage::of(&World::with(options).await).await;
    let authors: Vec<User> = ["star", "friend", "star"]
        .map(|name| stage.world.user(name))
        .into();
    let reader = stage.world.user("reader");
    for author in &authors {
        reader.follow(author).await;
    }
    for star in authors.iter().step_by(2) {
        followers_of(&stage, star, 2).await;
    }
    reader.feed(5).await;
    let mut posts: Vec<String> = Vec::new();
    for n in 0..60 {
        let by = [&authors[0], &authors[1], &authors[0], &reader, &authors[2]][n % 5];
        posts.insert(0, by.post_id("x").await);
        if n % 7 == 0 {
            stage.world.wait_until_drained().await;
        }
    }
    stage.world.wait_until_drained().await;
    assert_eq!(
        merge_mode(&stage, &authors[0]).await.as_deref(),
        Some("yes")
    );
    assert_eq!(merge_mode(&stage, &authors[1]).await, None);
    for size in [1, 3, 7, 25, 100] {
        let walked = reader.walk_ids("/v1/feed", size).await;
        assert_eq!(walked, posts, "{size} a page");
    }
    // Half of the posts are deleted, and the cache is emptied in the middle of a walk.
    let mut walked = Vec::new();
    let mut cursor = String::new();
    for n in (0..60).rev().step_by(2) {
        let gone = posts.remove(n);
        let by = [&authors[0], &authors[1], &authors[0], &reader, &authors[2]][(59 - n) % 5];
        by.delete_post(&gone).await;
    }
    loop {
        let (page, next) = reader.page(&format!("/v1/feed?limit=4{cursor}")).await;
        walked.extend(page.iter().map(crate::support::id_of));
        stage.world.flush_cache().await.unwrap();
        let Some(next) = next else { break };
        assert_eq!(page.len(), 4);
        cursor = format!("&cursor={next}");
    }
    assert_eq!(walked, posts);
}

/// A warm page with influencers costs four calls to the cache, two of them together, and none to the store.
#[tokio::test]
async fn a_warm_page_with_influencers_costs_no_call_to_the_store() {
    let mut options = retrying_soon().parameter("InfluencerFollowers", "1");
    options.workers = 1;
    let stage = Backstage::of(&World::with(options).await).await;
    let (star, friend) = (stage.world.user("star"), stage.world.user("friend"));
    let reader = stage.world.user("reader");
    followers_of(&stage, &star, 2).await;
    for author in [&star, &friend] {
        reader.follow(author).await;
    }
    stage.world.wait_until_drained().await;
    for _ in 0..12 {
        for author in [&star, &friend] {
            author.post_id("x").await;
        }
    }
    stage.world.wait_until_drained().await;
    let warm = reader.feed(20).await;
    assert_eq!(reader.feed(20).await, warm);
    stage.world.reset_calls();
    assert_eq!(reader.feed(20).await, warm);
    let calls = stage.world.calls();
    let made = |cache: bool| -> u64 {
        let of = calls.iter().filter(|(call, _)| {
            call.function == "feed" && (call.service == Service::Cache) == cache
        });
        of.map(|(_, count)| count).sum()
    };
    assert_eq!(made(false), 0, "{calls:?}");
    assert!((3..=4).contains(&made(true)), "{calls:?}");
}

/// A feed of 200 posts costs 2.6 KB at most, and no key stays for ever. Fails when a list's elements grow, or when a key is
/// written without a TTL.
#[tokio::test]
async fn a_feed_of_200_costs_two_and_a_half_kilobytes() {
    let stage = Backstage::of(&World::with(retrying_soon()).await).await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    let post = author.post_id("x").await;
    reader.like(&post).await;
    stage.world.wait_until_drained().await;
    reader.feed(5).await;
    let cache = stage.cache().await;
    // This id is as long as those of sign-in providers.
    let somebody = UserId::parse("auth0_5f7c8ec7c33c6c004bbafe82_abcdefghi").unwrap();
    super::large_fan_out::cache_empty_feeds(&cache, std::slice::from_ref(&somebody)).await;
    let ids = IdSource::new();
    let mut longest = 0;
    for n in 1..=600 {
        let push = Push::of(PostId(ids.mint()));
        cache
            .push(&push, std::slice::from_ref(&somebody))
            .await
            .unwrap();
        let bytes = stage.memory(&format!("feed:{{{somebody}}}")).await;
        if n == 200 {
            assert!(bytes <= 2_662, "{bytes}");
        }
        longest = bytes.max(longest);
    }
    assert!(longest <= 2_900, "{longest} before it is cut back");
    for key in stage.keys().await {
        let ttl = stage.ttl(&key).await;
        assert!(ttl > 0, "{} has no TTL", String::from_utf8_lossy(&key));
    }
}
