//! What a warm read of the feed costs.

use purrline_local::Service;
use serde_json::Value;

use crate::support::World;

/// How often the cache ran each command, itself excepted.
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

#[tokio::test]
async fn a_warm_read_of_20_posts_costs_two_round_trips_and_no_call_to_the_store() {
    // One process, so that the one measured is the one warmed up.
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
    world.drained().await;
    let warm = reader.feed(20).await;
    assert_eq!(reader.feed(20).await, warm);

    let before = commands(&world).await;
    let lines = world.logs("feed").unwrap().len();
    world.reset_calls();
    let measured = reader.feed(20).await;
    let calls = world.calls();
    let after = commands(&world).await;

    assert_eq!((measured.len(), &measured), (20, &warm));
    // Nothing else runs, so every call is the read's.
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

    // As the function itself counts them.
    let logs = world.logs("feed").unwrap();
    let line: Value = logs[lines..]
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find(|line: &Value| line["message"] == "feed")
        .unwrap();
    assert_eq!(
        (line["posts"].as_u64(), line["cache_trips"].as_u64()),
        (Some(20), Some(trips)),
        "{line}"
    );

    // As the cache counts them, commands within scripts too: it was asked, and nothing was written.
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
