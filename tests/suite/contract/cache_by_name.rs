//! Functions find the cache by its name if its address is not given.

use std::process::Output;

use purrline_local::Service;
use tokio::process::Command;

use crate::support::elasticache::{ElastiCache, error, group, serverless};
use crate::support::{World, binaries};

/// Only the name is given, so both kinds of cache are searched. The first request is refused, and sent again.
#[tokio::test]
async fn functions_find_the_cache_by_its_name() {
    let elasticache = ElastiCache::start().await;
    let mut options = World::options();
    options
        .environment
        .extend(elasticache.environment("cats", ""));
    let world = World::with(options).await;
    let address = world.endpoints().cache.clone().unwrap();
    let no_such = "ServerlessCacheNotFoundFault";
    elasticache.set_answers([
        error("DescribeServerlessCaches", 404, no_such),
        group(&address),
    ]);
    let author = world.user("author");
    let post = author.post_id("meow").await;
    world.wait_until_drained().await;
    assert_eq!(author.feed_ids(10).await, [post]);
    let callers = world.calls().into_keys();
    let mut callers = callers.filter(|call| call.service == Service::Cache);
    assert!(callers.any(|call| call.function == "feed"));
    let requests = elasticache.requests();
    for action in [
        "Action=DescribeServerlessCaches&Version=2015-02-02&ServerlessCacheName=cats",
        "Action=DescribeReplicationGroups&Version=2015-02-02&ReplicationGroupId=cats",
    ] {
        let request = requests.iter().find(|request| request.ends_with(action));
        let request = request.unwrap_or_else(|| panic!("nobody asked {action}"));
        assert!(request.contains("/elasticache/aws4_request"), "{request}");
    }
}

/// Runs `ops` with the settings of a function of this stack, and additional ones.
async fn ops(
    world: &World,
    settings: impl IntoIterator<Item = (String, String)>,
    arguments: &[&str],
) -> (String, Option<i32>) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(binaries().join("purrline-ops"))
        .args(arguments)
        .env("PURRLINE_OPS", "1")
        .envs(world.environment("feed").unwrap())
        .envs(settings)
        .output()
        .await
        .unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (said.concat(), status.code())
}

#[tokio::test]
async fn operators_see_the_caches_state_and_limits() {
    let world = World::shared().await;
    let elasticache = ElastiCache::start().await;
    let of_kind = |kind| {
        let settings = elasticache.environment("cats", kind).into_iter();
        settings.filter(|(name, _)| name != "CACHE_URL")
    };
    let arguments = ["--stack", "cats", "cache"];
    let cases = [
        (
            serverless(),
            "serverless",
            &[
                "available",
                "valkey 8.1",
                "rediss://cats.example:6379",
                "at most 10 GB",
                "at most 50000 ECPU a second",
            ][..],
        ),
        (
            group("redis://127.0.0.1:6379"),
            "nodes",
            &["available", "redis://127.0.0.1:6379", "cache.r7g.large"],
        ),
    ];
    for (answer, kind, told) in cases {
        elasticache.set_answers([answer]);
        let (said, status) = ops(&world, of_kind(kind), &arguments).await;
        assert_eq!(status, Some(0), "{said}");
        for word in told.iter().chain(&["used_memory_human"]) {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

#[tokio::test]
async fn a_name_that_no_cache_has_is_an_error() {
    let world = World::shared().await;
    let elasticache = ElastiCache::start().await;
    for (answer, kind, told) in [
        (
            error(
                "DescribeServerlessCaches",
                404,
                "ServerlessCacheNotFoundFault",
            ),
            "serverless",
            "CACHE_NAME names no cache of this account and region",
        ),
        (
            error(
                "DescribeReplicationGroups",
                404,
                "ReplicationGroupNotFoundFault",
            ),
            "nodes",
            "CACHE_NAME names no cache of this account and region",
        ),
        (
            error("DescribeServerlessCaches", 403, "AccessDenied"),
            "serverless",
            "CACHE_NAME can't be asked for at AWS",
        ),
    ] {
        elasticache.set_answers([answer]);
        let settings = elasticache.environment("cats", kind);
        let (said, status) = ops(&world, settings, &["cache"]).await;
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains(told), "{said}");
    }
}
