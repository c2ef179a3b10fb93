use purrline_local::{Call, Calls, FaultAction, FaultRule, Options, Outage, Service, Stack, When};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncCommands as _, RedisResult};

use super::{options, start, until};

async fn connect(stack: &Stack) -> RedisResult<ClusterConnection> {
    ClusterClient::builder([stack.endpoints().cache.clone().unwrap()])
        .retries(0)
        .build()?
        .get_async_connection()
        .await
}

#[tokio::test]
async fn cache_is_a_cluster_of_one_node() {
    let stack = start().await;
    let mut cache = connect(&stack).await.unwrap();
    let _: () = cache.set("{a}1", "x").await.unwrap();
    assert_eq!(cache.get::<_, String>("{a}1").await.unwrap(), "x");
    let nodes: String = redis::cmd("CLUSTER")
        .arg("SHARDS")
        .query_async::<redis::Value>(&mut cache)
        .await
        .map(|value| format!("{value:?}"))
        .unwrap();
    let port = stack
        .endpoints()
        .cache
        .as_ref()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    assert!(
        nodes.contains(&format!("int({port})")),
        "the node announces the proxy's port {port}: {nodes}"
    );
}

#[tokio::test]
async fn cache_can_be_flushed_killed_and_restarted() {
    let stack = start().await;
    let mut cache = connect(&stack).await.unwrap();
    let _: () = cache.set("a", "x").await.unwrap();
    stack.flush_cache().await.unwrap();
    assert_eq!(cache.get::<_, Option<String>>("a").await.unwrap(), None);
    let _: () = cache.set("a", "x").await.unwrap();
    stack.kill_cache().await.unwrap();
    assert!(connect(&stack).await.is_err());
    stack.start_cache().await.unwrap();
    let mut cache = connect(&stack).await.unwrap();
    assert_eq!(cache.get::<_, Option<String>>("a").await.unwrap(), None);
    stack.pause_cache().unwrap();
    let paused = tokio::time::timeout(
        std::time::Duration::from_millis(100),
        cache.get::<_, Option<String>>("a"),
    );
    assert!(paused.await.is_err());
    stack.resume_cache().unwrap();
    let mut cache = connect(&stack).await.unwrap();
    assert_eq!(cache.get::<_, Option<String>>("a").await.unwrap(), None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn cache_calls_are_attributed_to_their_function() {
    let options = options()
        .parameter("Timeout", "10")
        .parameter("CacheScheme", "redis");
    let stack = Stack::start(options).await.unwrap();
    let get = Call {
        function: "probe".to_owned(),
        service: Service::Cache,
        operation: "GET".to_owned(),
    };
    let event = serde_json::json!({ "path": "/cache" });
    for times in 1..=5 {
        stack.invoke("probe", &event).await.unwrap();
        assert_eq!(stack.calls().get(&get), Some(&times), "{:?}", stack.calls());
    }
    let fault = stack
        .on_call(
            FaultRule::kill("probe", 1, When::Before)
                .service(Service::Cache)
                .operation("GET"),
        )
        .unwrap();
    assert!(stack.invoke("probe", &event).await.is_err());
    assert_eq!(fault.fired(), 1);
}

#[tokio::test]
async fn round_trips_are_recorded_and_can_fail() {
    let stack = start().await;
    let mut cache = connect(&stack).await.unwrap();
    stack.reset_calls();
    let mut pipeline = redis::cmd("GET");
    let _: Option<String> = pipeline.arg("a").query_async(&mut cache).await.unwrap();
    let calls: u64 = stack
        .calls()
        .iter()
        .filter(|(call, _)| call.service == Service::Cache)
        .map(|(_, count)| count)
        .sum();
    assert_eq!(calls, 1);
    let rule = FaultRule::new(When::After, FaultAction::Disconnect)
        .service(Service::Cache)
        .operation("SET");
    let fault = stack.on_call(rule).unwrap();
    assert!(cache.set::<_, _, ()>("a", "x").await.is_err());
    assert_eq!(fault.fired(), 1);
    until("it reconnects", async || {
        let Ok(mut cache) = connect(&stack).await else {
            return false;
        };
        cache
            .get::<_, Option<String>>("a")
            .await
            .is_ok_and(|value| value.as_deref() == Some("x"))
    })
    .await;
    stack.stop_service(Service::Cache, Outage::Closed);
    assert!(connect(&stack).await.is_err());
    stack.resume_service(Service::Cache);
    assert!(connect(&stack).await.is_ok());
}

#[tokio::test]
async fn crashed_server_is_restarted() {
    for calls in [Calls::Watched, Calls::Direct] {
        let options = Options { calls, ..options() };
        let stack = Stack::start(options).await.unwrap();
        let mut cache = connect(&stack).await.unwrap();
        let _: () = cache.set("a", "x").await.unwrap();
        for times in 1..=2 {
            stack.crash_cache().unwrap();
            until("it is restarted, empty", async || {
                let Ok(mut cache) = connect(&stack).await else {
                    return false;
                };
                matches!(cache.get::<_, Option<String>>("a").await, Ok(None))
                    && stack.cache_log().len() == times
            })
            .await;
            let warning = stack.cache_log().pop().unwrap();
            assert!(
                warning.contains("ended unexpectedly (signal: 9 (SIGKILL))"),
                "{warning}"
            );
            let mut cache = connect(&stack).await.unwrap();
            let _: () = cache.set("a", "x").await.unwrap();
        }
        // A stopped cache isn't restarted.
        stack.kill_cache().await.unwrap();
        assert!(connect(&stack).await.is_err());
        assert_eq!(stack.cache_log().len(), 2);
    }
}
