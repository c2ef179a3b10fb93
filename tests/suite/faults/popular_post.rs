//! A post that all users read and comment on is read from the cache, and an unreadable item fails no page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use purrline_local::{FaultAction, FaultRule, Outage, Service, When};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{followers_of, stage};
use crate::support::{User, World, comments, eventually, id_of};

/// Returns how many times reads of feeds called the store since the calls were last reset.
fn store_calls(world: &World) -> u64 {
    let calls = world.calls().into_iter();
    let asked =
        calls.filter(|(call, _)| call.function == "feed" && call.service == Service::Tables);
    asked.map(|(_, times)| times).sum()
}

fn comments_of(feed: &[Value], post: &str) -> u64 {
    let post = feed.iter().find(|item| id_of(item) == post).unwrap();
    post["comments"].as_u64().unwrap()
}

/// Eight comments at the same time leave correct counts in the cache, readable at once. So do likes and changes of the
/// author's profile. Fails when overlapping holds hide what they hold.
#[tokio::test]
async fn concurrent_changes_leave_the_cache_readable() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    let post = author.post_id("popular").await;
    stage.world.wait_until_drained().await;
    assert_eq!(comments_of(&reader.feed(20).await, &post), 0);
    let fans: Vec<User> = (0..8).map(|_| stage.world.user("fan")).collect();
    for round in 1..=3 {
        stage.world.reset_calls();
        join_all(fans.iter().map(|fan| fan.comment(&post, "purr"))).await;
        assert_eq!(comments_of(&reader.feed(20).await, &post), 8 * round);
        assert_eq!(store_calls(&stage.world), 0, "round {round}");
    }
    join_all(fans.iter().map(|fan| fan.like(&post))).await;
    stage.world.wait_until_drained().await;
    stage.world.reset_calls();
    let feed = reader.feed(20).await;
    assert_eq!(
        (&feed[0]["likes"], comments_of(&feed, &post)),
        (&8.into(), 24)
    );
    assert_eq!(store_calls(&stage.world), 0, "after likes");
    let profile = |n: usize| json!({ "handle": author.own_handle(), "name": n.to_string() });
    let profiles: Vec<Value> = (0..4).map(profile).collect();
    join_all(profiles.iter().map(|profile| author.put_me(profile))).await;
    let name = author.me().await["name"].clone();
    for _ in 0..2 {
        let feed = reader.feed(20).await;
        assert_eq!(feed[0]["author"]["name"], name);
    }
    stage.world.reset_calls();
    reader.feed(20).await;
    assert_eq!(store_calls(&stage.world), 0, "the author is held");
}

/// A popular author's profile is read from the cache while it changes, however many times. Fails when a change of a profile
/// hides it until the change is done.
#[tokio::test]
async fn an_author_who_changes_their_profile_is_read_from_the_cache() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    author.post_id("popular").await;
    stage.world.wait_until_drained().await;
    reader.feed(20).await;
    let slow = FaultRule::new(When::Before, FaultAction::Delay(Duration::from_millis(900)));
    let slow = slow.function("profile").operation("TransactWriteItems");
    stage.world.on_call(slow).unwrap();
    let profile = json!({ "handle": author.own_handle(), "name": "slow" });
    let change = author.put_me(&profile);
    let read = async {
        // The hold is taken by now, and the store waits.
        tokio::time::sleep(Duration::from_millis(400)).await;
        reader.feed(20).await;
        stage.world.reset_calls();
        let feed = reader.feed(20).await;
        (feed[0]["author"]["name"].clone(), store_calls(&stage.world))
    };
    let (reply, (name, asked)) = futures::join!(change, read);
    reply.expect(201);
    assert_eq!(asked, 0, "while the profile is changed");
    assert_ne!(name, "slow");
    assert_eq!(reader.feed(20).await[0]["author"]["name"], "slow");
}

/// 64 clients read their feeds continuously while the newest post gets ten comments a second: none sees a count from before
/// an answered comment, no answer is a 5xx, and at most one read in a hundred calls the store. `PURRLINE_SECONDS=60` runs it
/// for a minute. Fails when a comment removes the cached counts.
#[tokio::test]
async fn a_post_that_is_commented_on_all_the_time_is_read_from_the_cache() {
    const READERS: usize = 64;
    const PERIOD: Duration = Duration::from_millis(100);
    let seconds = std::env::var("PURRLINE_SECONDS");
    let seconds: u64 = seconds.map_or(5, |seconds| seconds.parse().unwrap());
    let stage = stage().await;
    let author = stage.world.user("author");
    let readers = followers_of(&stage, &author, READERS).await;
    let post = author.post_id("popular").await;
    stage.world.wait_until_drained().await;
    join_all(readers.iter().map(|reader| reader.feed(20))).await;
    let fans: Vec<User> = (0..10).map(|_| stage.world.user("fan")).collect();
    stage.world.reset_calls();

    let (answered, reads) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let started = Instant::now();
    let (answered, reads, done) = (&answered, &reads, &done);
    let read = |reader: &User| {
        let (reader, post) = (reader.clone(), post.clone());
        async move {
            while !done.load(Ordering::SeqCst) {
                let before = answered.load(Ordering::SeqCst);
                let feed = reader.feed(20).await;
                let shown = comments_of(&feed, &post);
                assert!(shown >= before, "{shown} of {before} that were answered");
                reads.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let write = async {
        let mut ticks = tokio::time::interval(PERIOD);
        let mut underway = JoinSet::new();
        for n in 0..10 * seconds {
            ticks.tick().await;
            let fan = fans[usize::try_from(n % 10).unwrap()].clone();
            let (path, answered) = (comments(&post), Arc::clone(answered));
            // Earlier comments are still on their way.
            underway.spawn(async move {
                let reply = fan.create(&path, &json!({ "text": "purr" })).await;
                assert_eq!(reply.status, 201, "{}", reply.text());
                answered.fetch_add(1, Ordering::SeqCst);
            });
        }
        underway.join_all().await;
        done.store(true, Ordering::SeqCst);
    };
    futures::join!(join_all(readers.iter().map(read)), write);

    let (answered, reads) = (
        answered.load(Ordering::SeqCst),
        reads.load(Ordering::SeqCst),
    );
    let asked = store_calls(&stage.world);
    println!(
        "{reads} reads and {answered} comments in {:?}: the store was asked {asked} times",
        started.elapsed()
    );
    assert!(reads > 100, "{reads} reads are too few to tell");
    assert!(asked * 100 <= reads, "{asked} of {reads} reads");
    let stored = stage.comments_of(&post).await.0;
    assert_eq!(u64::try_from(stored).unwrap(), answered);
    assert_eq!(comments_of(&readers[0].feed(20).await, &post), answered);
}

/// Returns a page of each of these lists, once it has three items.
async fn full_pages(reader: &User, lists: &[String]) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    for list in lists {
        let page = eventually(list, async || {
            let page = reader.page(list).await.0;
            (page.len() >= 3).then_some(page)
        })
        .await;
        pages.push(page);
    }
    pages
}

/// Returns whether an item is a user, or the user's post or comment.
fn is_of(user: &User, item: &Value) -> bool {
    let author = &item["author"]["id"];
    let of = if author.is_null() {
        &item["id"]
    } else {
        author
    };
    *of == json!(user.id)
}

/// An item of a busy partition can't be read. Unreadable counts are shown as last known. An unreadable post, or whatever
/// belongs to an unreadable author, is left out of every list, with the cache and without. A request for the item by its id
/// is told to try again. Fails when one item's error fails the page.
#[tokio::test]
async fn an_unreadable_item_costs_no_page() {
    let stage = stage().await;
    let authors: Vec<User> = (0..3).map(|_| stage.world.user("author")).collect();
    let reader = stage.world.user("reader");
    let mut posts = Vec::new();
    for author in &authors {
        reader.follow(author).await;
        let name = json!({ "handle": author.own_handle(), "name": "throttledcats" });
        author.put_me(&name).await.expect(201);
        posts.insert(0, author.post_id("#throttled").await);
        reader.comment(&posts[0], "purr").await;
    }
    for author in &authors {
        author.like(&posts[2]).await;
        author.comment(&posts[2], "purr").await;
    }
    for post in &posts {
        reader
            .put(&format!("/v1/posts/{post}/save"))
            .await
            .expect(204);
    }
    stage.world.wait_until_drained().await;
    let whole = reader.feed(20).await;
    assert_eq!(whole.len(), 3);
    let lists = [
        "/v1/tags/throttled/posts?limit=20".to_owned(),
        "/v1/me/saved?limit=20".to_owned(),
        format!("/v1/posts/{}/comments?limit=20", posts[2]),
        format!("/v1/posts/{}/likes?limit=20", posts[2]),
        format!("/v1/users/{}/following?limit=20", reader.id),
        "/v1/search?type=posts&q=throttled".to_owned(),
        "/v1/search?type=users&q=throttledcats".to_owned(),
    ];
    let pages = full_pages(&reader, &lists).await;
    let of_busy = |item: &Value| is_of(&authors[1], item);
    let own_list = format!("/v1/users/{}/posts", authors[1].id);
    let likes = stage.table("LikesTable");
    let users = stage.table("UsersTable");
    let busy = [
        (likes.clone(), posts[1].clone()),
        (stage.table("PostsTable"), posts[1].clone()),
        (users.clone(), authors[1].id.clone()),
    ];
    for (table, key) in busy {
        stage.world.flush_cache().await.unwrap();
        stage.world.throttle(&table, &format!("\"{key}\""));
        let read = reader.feed(20).await;
        let by_id = format!("/v1/posts/{}", posts[1]);
        reader.get(&by_id).await.problem(503);
        if table == likes {
            // The post with unreadable counts is listed both alone and as the last of two posts.
            assert_eq!(reader.walk_ids(&own_list, 20).await, [posts[1].clone()]);
            let second = authors[1].post_id("y").await;
            let listed = reader.walk_ids(&own_list, 1).await;
            assert_eq!(listed, [second.clone(), posts[1].clone()]);
            authors[1].delete_post(&second).await;
            assert_eq!(read, whole, "with what was known last");
        } else {
            let others = [whole[0].clone(), whole[2].clone()];
            assert_eq!(read, others, "{table}");
        }
        for (list, page) in lists.iter().zip(&pages) {
            let found = reader.page(list).await.0;
            let of_posts =
                list.contains("/tags/") || list.contains("saved") || list.contains("type=posts");
            let left_out = if table == likes {
                false
            } else if table == users {
                true
            } else {
                of_posts
            };
            let kept = |item: &&Value| !(left_out && of_busy(item));
            let expected: Vec<String> = page.iter().filter(kept).map(id_of).collect();
            let found: Vec<String> = found.iter().map(id_of).collect();
            assert_eq!(found, expected, "{table}: {list}");
        }
        if table == users {
            let profile = format!("/v1/users/{}", authors[1].id);
            reader.get(&profile).await.problem(503);
        } else if table != likes {
            assert!(reader.walk_ids(&own_list, 20).await.is_empty());
        }
        stage.world.stop_service(Service::Cache, Outage::Closed);
        let found: Vec<String> = reader.feed_ids(20).await;
        stage.world.resume_service(Service::Cache);
        let expected = if table == likes {
            vec![posts[0].clone(), posts[1].clone(), posts[2].clone()]
        } else {
            vec![posts[0].clone(), posts[2].clone()]
        };
        assert_eq!(found, expected, "{table}: without the cache");
        stage.world.clear_faults();
        eventually("the whole feed", async || {
            (reader.feed(20).await == whole).then_some(())
        })
        .await;
    }
}
