//! `GET /v1/feed`.

use std::collections::HashSet;

use futures::StreamExt as _;
use purrline_local::{Outage, Service};
use serde_json::json;

use super::shapes::assert_post;
use crate::support::{User, World, eventually};

/// Waits until the caller's feed begins with exactly these posts.
async fn eventually_feed(caller: &User, expected: &[String]) {
    eventually("the feed is as expected", async || {
        (caller.feed_ids(100).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_feed_has_only_own_and_followed_posts_newest_first() {
    let world = World::shared().await;
    let (nabi, coco, stranger) = (
        world.user("nabi"),
        world.user("coco"),
        world.user("stranger"),
    );
    assert!(nabi.feed(20).await.is_empty());
    let earlier = coco.post_id("before anybody followed").await;
    stranger.post("not for nabi").await;
    nabi.follow(&coco).await;
    eventually_feed(&nabi, std::slice::from_ref(&earlier)).await;
    let mine = nabi.post_id("mine").await;
    let theirs = coco.post_id("theirs").await;
    eventually_feed(&nabi, &[theirs.clone(), mine, earlier.clone()]).await;
    for post in nabi.feed(20).await {
        assert_post(&post);
    }
    world.wait_until_drained().await;
    assert_eq!(coco.feed_ids(20).await, [theirs, earlier]);
}

/// The author's feed shows a post even before its fan-out, whether the feed is cached, rebuilt, or read from the store.
/// After the fan-out, the feed doesn't show the post twice.
#[tokio::test]
async fn an_own_post_is_in_the_feed_once_it_is_answered() {
    let world = World::own().await;
    world.pause_queue("FanOutQueue").await.unwrap();
    let mut posts = Vec::new();
    let nabi = world.user("nabi");
    for n in 0..9 {
        match n {
            3 => world.flush_cache().await.unwrap(),
            6 => world.stop_service(Service::Cache, Outage::Closed),
            _ => {}
        }
        posts.insert(0, nabi.post_id("mine").await);
        assert_eq!(nabi.feed_ids(20).await, posts, "{n}");
    }
    world.resume_service(Service::Cache);
    // In all page sizes, and to the end.
    eventually_feed(&nabi, &posts).await;
    world.resume_queue("FanOutQueue").unwrap();
    world.wait_until_drained().await;
    for size in [1, 2, 4, 100] {
        assert_eq!(nabi.walk_ids("/v1/feed", size).await, posts, "{size}");
    }
}

/// Two hundred users post and read at once.
#[tokio::test]
async fn everybody_finds_their_own_post_at_once() {
    let world = World::own().await;
    let people = (0..200).map(|n| world.user_with_id(&format!("author{}", n % 40)));
    futures::stream::iter(people)
        .map(|author| async move {
            let post = author.post_id("mine").await;
            let feed = author.feed_ids(20).await;
            assert!(feed.contains(&post), "{post} is not in {feed:?}");
        })
        .buffer_unordered(8)
        .collect::<Vec<()>>()
        .await;
    world.wait_until_drained().await;
    let feed = world.user_with_id("author0").walk_ids("/v1/feed", 3).await;
    assert_eq!(feed.iter().collect::<HashSet<_>>().len(), 5, "{feed:?}");
}

/// Posts in a feed equal those read by id, counts and flags included.
#[tokio::test]
async fn posts_in_the_feed_are_complete() {
    let world = World::shared().await;
    let (nabi, coco, fan) = (world.user("nabi"), world.user("coco"), world.user("fan"));
    nabi.follow(&coco).await;
    let key = coco.upload_photo().await;
    let post = coco
        .create("/v1/posts", &json!({ "text": "#tag", "images": [key] }))
        .await
        .expect(201)
        .json();
    let id = post["id"].as_str().unwrap();
    nabi.like(id).await;
    fan.like(id).await;
    world.wait_until_drained().await;
    // First from the store, then from the cache.
    for _ in 0..2 {
        let feed = nabi.feed(20).await;
        assert_eq!(feed, [nabi.read_post(id).await]);
        assert_post(&feed[0]);
        assert_eq!(
            (&feed[0]["likes"], &feed[0]["liked"]),
            (&json!(2), &json!(true))
        );
        assert_eq!(feed[0]["images"], post["images"]);
    }
}

#[tokio::test]
async fn an_unfollowed_authors_posts_are_gone() {
    let world = World::shared().await;
    let (nabi, coco, momo) = (world.user("nabi"), world.user("coco"), world.user("momo"));
    nabi.follow(&coco).await;
    nabi.follow(&momo).await;
    let (first, second) = (coco.post_id("coco's").await, momo.post_id("momo's").await);
    eventually_feed(&nabi, &[second.clone(), first.clone()]).await;
    nabi.unfollow(&coco).await;
    eventually_feed(&nabi, std::slice::from_ref(&second)).await;
    coco.post("unseen").await;
    world.wait_until_drained().await;
    assert_eq!(nabi.feed_ids(20).await, std::slice::from_ref(&second));
    // When the author is followed again, the feed includes what was posted meanwhile.
    nabi.follow(&coco).await;
    world.wait_until_drained().await;
    let feed = nabi.feed(20).await;
    assert_eq!(
        feed.iter().map(|post| &post["text"]).collect::<Vec<_>>(),
        ["unseen", "momo's", "coco's"]
    );
}

/// The feed continues beyond the cached part, to the very first post, in several page sizes.
#[tokio::test]
async fn the_feed_goes_back_to_the_first_post() {
    let world = World::own().await;
    let reader = world.user("reader");
    let authors = [world.user("nabi"), world.user("coco"), world.user("momo")];
    for author in &authors {
        reader.follow(author).await;
    }
    world.wait_until_drained().await;
    reader.feed(1).await;
    // 250 posts: a rebuild finds the first half, the second half is pushed to the cached feed.
    let posts = |range: std::ops::Range<usize>| {
        futures::stream::iter(range)
            .map(|n| authors[n % 3].post_id("x"))
            .buffer_unordered(4)
            .collect::<Vec<String>>()
    };
    let mut posted = posts(0..125).await;
    world.flush_cache().await.unwrap();
    reader.feed(1).await;
    posted.extend(posts(125..250).await);
    world.wait_until_drained().await;
    posted.sort_unstable_by(|a, b| b.cmp(a));
    for size in [100, 37, 20] {
        assert_eq!(reader.walk_ids("/v1/feed", size).await, posted, "by {size}");
    }
    world.flush_cache().await.unwrap();
    assert_eq!(reader.walk_ids("/v1/feed", 100).await, posted, "rebuilt");
    // Deletions on both sides of the cached part's end leave no gap and no short page.
    let deleted: HashSet<&String> = [0, 5, 6, 7, 150, 198, 199, 200, 201, 202, 230, 249]
        .map(|n: usize| &posted[n])
        .into();
    for id in &deleted {
        let author = authors
            .iter()
            .map(async |author| author.delete(&format!("/v1/posts/{id}")).await.status);
        let statuses = futures::future::join_all(author).await;
        assert_eq!(
            statuses.iter().filter(|status| **status == 204).count(),
            1,
            "{statuses:?}"
        );
    }
    let kept: Vec<&String> = posted.iter().filter(|id| !deleted.contains(id)).collect();
    for size in [100, 19] {
        assert_eq!(
            reader
                .walk_ids("/v1/feed", size)
                .await
                .iter()
                .collect::<Vec<_>>(),
            kept,
            "by {size}"
        );
    }
}

/// The reader follows and unfollows others in the middle of a walk: posts of authors followed throughout appear once each,
/// in order.
#[tokio::test]
async fn a_walk_survives_follows_and_unfollows() {
    let world = World::shared().await;
    let (reader, kept, left, met) = (
        world.user("reader"),
        world.user("kept"),
        world.user("left"),
        world.user("met"),
    );
    reader.follow(&kept).await;
    reader.follow(&left).await;
    let mut of_kept = Vec::new();
    for _ in 0..9 {
        of_kept.push(kept.post_id("x").await);
        left.post("x").await;
        met.post("x").await;
    }
    of_kept.reverse();
    world.wait_until_drained().await;
    let (mut walked, mut cursor, mut turn) = (Vec::new(), String::new(), 0);
    loop {
        let (page, next) = reader.page(&format!("/v1/feed?limit=4{cursor}")).await;
        if turn > 1 {
            assert!(
                page.iter().all(|post| post["author"]["id"] != left.id),
                "unfollowed, and still there: {page:#?}"
            );
        }
        walked.extend(page);
        turn += 1;
        match turn {
            1 => reader.unfollow(&left).await,
            2 => reader.follow(&met).await,
            _ => {}
        }
        world.wait_until_drained().await;
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let ids: Vec<&str> = walked
        .iter()
        .map(|post| post["id"].as_str().unwrap())
        .collect();
    assert!(
        ids.windows(2).all(|pair| pair[0] > pair[1]),
        "not newest first, each once: {ids:?}"
    );
    let found: Vec<&str> = walked
        .iter()
        .filter(|post| post["author"]["id"] == kept.id)
        .map(|post| post["id"].as_str().unwrap())
        .collect();
    assert_eq!(found, of_kept);
    assert!(
        walked.iter().any(|post| post["author"]["id"] == met.id),
        "whom they follow now"
    );
}

/// The cache is emptied in the middle of paging: each post still appears once.
#[tokio::test]
async fn a_walk_survives_an_emptied_cache() {
    let world = World::own().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    reader.follow(&nabi).await;
    let mut posted: Vec<String> = futures::stream::iter(0..30)
        .map(|_| nabi.post_id("x"))
        .buffer_unordered(4)
        .collect()
        .await;
    world.wait_until_drained().await;
    posted.sort_unstable_by(|a, b| b.cmp(a));
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = reader.page(&format!("/v1/feed?limit=4{cursor}")).await;
        walked.extend(
            page.iter()
                .map(|post| post["id"].as_str().unwrap().to_owned()),
        );
        world.flush_cache().await.unwrap();
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, posted);
}
