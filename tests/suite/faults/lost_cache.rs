//! Rule 5: the cache is disposable.

use std::time::Instant;

use purrline_local::{Outage, Service};

use super::{LONGEST, assert_unavailable, stage};
use crate::support::backstage::{Backstage, id_of};
use crate::support::{User, eventually};

/// Returns a reader who follows three authors with 13 posts each, the authors, and all posts, newest first.
async fn reader_with_feed(stage: &Backstage) -> (User, Vec<User>, Vec<String>) {
    let authors: Vec<User> = (0..3).map(|_| stage.world.user("author")).collect();
    let reader = stage.world.user("reader");
    for author in &authors {
        reader.follow(author).await;
    }
    let mut posts = Vec::new();
    for _ in 0..13 {
        for author in &authors {
            posts.insert(0, author.post_id("meow").await);
        }
    }
    stage.world.wait_until_drained().await;
    (reader, authors, posts)
}

/// Walks the feed, and runs `happens` after each page.
async fn walk_while(
    reader: &User,
    size: usize,
    mut happens: impl AsyncFnMut(usize),
) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    for pages in 0.. {
        let (page, next) = reader.page(&format!("/v1/feed?limit={size}{cursor}")).await;
        ids.extend(page.iter().map(id_of));
        happens(pages).await;
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    ids
}

/// The bar: the cache is emptied in the middle of paging, as a whole or key by key, and the walk yields each post once and
/// in order. Fails when only the cache understands a position.
#[tokio::test]
async fn each_post_comes_once_when_the_cache_is_emptied_while_paging() {
    let stage = stage().await;
    let (reader, authors, posts) = reader_with_feed(&stage).await;
    for size in [1, 4, 7, 20] {
        let walked = walk_while(&reader, size, async |_| {
            stage.world.flush_cache().await.unwrap();
        })
        .await;
        assert_eq!(walked, posts, "emptied after every {size}");
        let evict = async |pages: usize| {
            let keys = stage.keys().await;
            for key in keys.iter().skip(pages % 3).step_by(3) {
                stage.evict(key).await;
            }
        };
        assert_eq!(
            walk_while(&reader, size, evict).await,
            posts,
            "a third gone after every {size}"
        );
    }
    // Others post meanwhile: posts that existed throughout come once.
    let walked = walk_while(&reader, 5, async |_| {
        authors[0].post("meanwhile").await;
        stage.world.flush_cache().await.unwrap();
    })
    .await;
    assert_eq!(walked, posts);
}

/// The cache is killed, hangs, or refuses connections: reads stay correct and in time, requests that need it fail
/// properly, and once it is back everything is correct. Fails when a read needs the cache, when a deletion is answered
/// although the cache doesn't know of it, or when a consumer skips the cache.
#[tokio::test]
async fn answers_stay_correct_without_a_cache() {
    let stage = stage().await;
    let (reader, authors, mut posts) = reader_with_feed(&stage).await;
    for how in ["killed", "stopped", "closed"] {
        reader.feed(10).await;
        match how {
            "killed" => stage.world.kill_cache().await.unwrap(),
            "stopped" => stage.world.pause_cache().unwrap(),
            _ => stage.world.stop_service(Service::Cache, Outage::Closed),
        }
        let started = Instant::now();
        assert_eq!(reader.feed_ids(100).await, posts, "{how}");
        assert!(
            started.elapsed() < LONGEST,
            "{how}: {:?}",
            started.elapsed()
        );
        assert_eq!(walk_while(&reader, 20, async |_| ()).await, posts, "{how}");
        let new = authors[0].post_id("without a cache").await;
        let gone = posts.remove(0);
        let by = author_of(&authors, &reader, &gone).await;
        assert_unavailable(how, by.delete(&format!("/v1/posts/{gone}"))).await;
        by.get(&format!("/v1/posts/{gone}")).await.problem(404);
        reader.like(&posts[0]).await;
        reader.unfollow(&authors[1]).await;
        match how {
            "killed" => stage.world.start_cache().await.unwrap(),
            "stopped" => stage.world.resume_cache().unwrap(),
            _ => stage.world.resume_service(Service::Cache),
        }
        // Repeating the request succeeds: 204, or 404 if fan-out told the cache first.
        let again = by.delete(&format!("/v1/posts/{gone}")).await;
        assert!(
            [204, 404].contains(&again.status),
            "{how}: {}",
            again.text()
        );
        stage.sweep_until_settled().await;
        posts.insert(0, new);
        let without: Vec<String> = posts_not_by(&reader, &authors[1], &posts).await;
        let feed = async || (reader.feed_ids(100).await == without).then_some(());
        eventually(&format!("the feed is right after it was {how}"), feed).await;
        let liked = reader.read_post(&posts[1]).await;
        assert_eq!(liked["liked"], true, "{how}");
        reader.follow(&authors[1]).await;
        stage.world.wait_until_drained().await;
        assert_eq!(reader.walk_ids("/v1/feed", 9).await, posts, "{how}");
        let status = stage.world.status().await.unwrap();
        assert!(
            status.queues.values().all(|queue| queue.dead_letters == 0),
            "{how}: {status:#?}"
        );
    }
}

/// A server that dies by itself is started again, and functions find it: reads come from the cache again. Fails when nothing
/// supervises the server.
#[tokio::test]
async fn a_cache_that_dies_is_restarted() {
    let stage = stage().await;
    let (reader, authors, mut posts) = reader_with_feed(&stage).await;
    assert_eq!(reader.feed_ids(100).await, posts);
    stage.world.crash_cache().unwrap();
    let kept = async || {
        let reply = reader.get("/v1/feed?limit=100").await;
        let server = !stage.world.cache_log().is_empty();
        let feed = format!("feed:{{{}}}", reader.id);
        (reply.status == 200 && server && is_kept(&stage, &feed).await).then_some(())
    };
    eventually("the feed is kept again", kept).await;
    posts.insert(0, authors[0].post_id("after the crash").await);
    stage.world.wait_until_drained().await;
    assert_eq!(reader.feed_ids(100).await, posts);
    let log = stage.world.cache_log();
    assert!(
        log.len() == 1 && log[0].contains("ended unexpectedly"),
        "{log:#?}"
    );
}

/// Returns whether the cache can be reached and has a key.
async fn is_kept(stage: &Backstage, key: &str) -> bool {
    let client = redis::Client::open(stage.world.endpoints().cache.clone().unwrap()).unwrap();
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
        return false;
    };
    let mut exists = redis::cmd("EXISTS");
    let exists = exists.arg(key).query_async(&mut connection).await;
    exists.unwrap_or(false)
}

/// Returns the author of a post.
async fn author_of(authors: &[User], reader: &User, post: &str) -> User {
    let post = reader.read_post(post).await;
    authors
        .iter()
        .find(|author| post["author"]["id"] == *author.id)
        .unwrap()
        .clone()
}

/// Returns the posts that this author did not write.
async fn posts_not_by(reader: &User, author: &User, posts: &[String]) -> Vec<String> {
    let theirs = reader
        .walk_ids(&format!("/v1/users/{}/posts", author.id), 100)
        .await;
    posts
        .iter()
        .filter(|post| !theirs.contains(post))
        .cloned()
        .collect()
}
