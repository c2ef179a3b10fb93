//! The cost of a warm read of the feed.

use purrline_local::Service;
use serde_json::Value;

use crate::support::{World, eventually};

/// Returns how many times the cache ran each command, not counting the command that asks for this.
async fn commands(world: &World) -> Vec<(String, u64)> {
    let client = redis::Client::open(world.endpoints().cache.clone().unwrap()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut connection)
        .await
        .unwrap();
    let of_line = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    stats.lines().filter_map(of_line).collect()
}

/// Returns the numbers of round trips and of calls to the store that the function logs for its nth read, counted from
/// 1. Log lines come a little later than answers.
async fn logged_cost(world: &World, nth: usize) -> (Option<u64>, Option<u64>) {
    let line: Value = eventually("the function's line", async || {
        let logs = world.logs("feed").unwrap();
        let lines = logs
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut reads = lines.filter(|line: &Value| line["message"] == "request");
        reads.nth(nth - 1)
    })
    .await;
    (line["cache"].as_u64(), line["dynamodb"].as_u64())
}

/// Authors are requested only once their posts are known.
#[tokio::test]
async fn a_process_that_sees_posts_for_the_first_time_needs_a_third_round_trip() {
    let mut options = World::options();
    options.workers = 1;
    let world = World::with(options).await;
    let (reader, author) = (world.user("reader"), world.user("nabi"));
    reader.follow(&author).await;
    let post = author.post_id("meow").await;
    let other = world.user("other");
    other.post_id("purr").await;
    world.wait_until_drained().await;
    for reader in [&reader, &other, &reader, &other] {
        assert_eq!(reader.feed_ids(20).await.len(), 1);
    }

    assert_eq!(world.kill_function("feed").unwrap(), 1);
    // The new process found the cache's nodes before its first read.
    assert_eq!(other.feed_ids(20).await.len(), 1);
    assert_eq!(logged_cost(&world, 5).await, (Some(3), Some(0)));
    world.reset_calls();
    assert_eq!(reader.feed_ids(20).await, [post]);
    assert_eq!(logged_cost(&world, 6).await, (Some(3), Some(0)));
    let calls = world.calls();
    let of_store = calls.keys().find(|call| call.service == Service::Tables);
    assert_eq!(of_store, None);
}

#[tokio::test]
async fn a_warm_read_of_20_posts_costs_two_round_trips_and_no_call_to_the_store() {
    // One process, so that the measured process is the warm one.
    let mut options = World::options();
    options.workers = 1;
    let world = World::with(options).await;
    let reader = world.user("reader");
    let authors = [world.user("nabi"), world.user("coco"), world.user("momo")];
    for author in &authors {
        reader.follow(author).await;
    }
    for n in 0..25 {
        let post = authors[n % 3].post_id("#tag").await;
        if n % 2 == 0 {
            reader.like(&post).await;
        }
    }
    world.wait_until_drained().await;
    let warm = reader.feed(20).await;
    assert_eq!(reader.feed(20).await, warm);

    let before = commands(&world).await;
    world.reset_calls();
    let measured = reader.feed(20).await;
    let calls = world.calls();
    let after = commands(&world).await;

    assert_eq!((measured.len(), &measured), (20, &warm));
    // Nothing else runs, so every call belongs to the read.
    let made = |service: Service| -> u64 {
        calls
            .iter()
            .filter(|(call, _)| call.service == service)
            .map(|(_, count)| count)
            .sum()
    };
    let trips = made(Service::Cache);
    assert!((1..=2).contains(&trips), "{trips} round trips: {calls:?}");
    assert_eq!(
        calls.values().sum::<u64>(),
        trips,
        "no other service is called: {calls:?}"
    );

    assert_eq!(logged_cost(&world, 3).await, (Some(trips), Some(0)));

    // By the cache's own count, which includes commands within scripts, the cache was read but not written to.
    let count = |of: &[(String, u64)], name: &str| {
        of.iter()
            .find(|(known, _)| known == name)
            .map_or(0, |(_, calls)| *calls)
    };
    let ran: Vec<(&str, u64)> = after
        .iter()
        .map(|(name, calls)| (name.as_str(), calls - count(&before, name)))
        .filter(|(name, calls)| {
            *calls > 0 && !["info", "client|setinfo", "client", "hello", "ping"].contains(name)
        })
        .collect();
    let reads = [
        "evalsha",
        "lrange",
        "get",
        "mget",
        "hmget",
        "hget",
        "smismember",
        "sismember",
        "touch",
        "expire",
        "getex",
        "exists",
    ];
    assert!(
        !ran.is_empty() && ran.iter().all(|(name, _)| reads.contains(name)),
        "{ran:?}"
    );
}
