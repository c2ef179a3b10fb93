//! Token buckets and stamps.

use super::*;

const BUCKET: [&str; 3] = ["bucket", "stamp", "full"];

#[tokio::test]
async fn call_without_limit_or_stamp_writes_no_key() {
    let server = Server::start().await;
    let admitted: (i64, i64, bool) = server.run(&ADMIT, &BUCKET, &["0", "0", "0"]).await;
    assert_eq!(admitted, (0, 0, false));
    assert_eq!(server.ask::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn empty_bucket_returns_the_wait_for_the_next_token() {
    let server = Server::start().await;
    // Sixty a minute: one a second.
    let admit =
        async || -> (i64, i64, bool) { server.run(&ADMIT, &BUCKET, &["60", "2", "0"]).await };
    assert_eq!(admit().await.0, 0);
    assert_eq!(admit().await.0, 0);
    let wait = admit().await.0;
    assert!((900..=1_000).contains(&wait), "{wait}");
    assert!((1_900..=2_000).contains(&server.ttl("bucket").await));
    // A second later.
    let at: i64 = server.ask(&["HGET", "bucket", "at"]).await;
    let earlier = (at - 1_000).to_string();
    server.ask::<()>(&["HSET", "bucket", "at", &earlier]).await;
    assert_eq!(admit().await.0, 0);
    assert!(admit().await.0 > 0);
}

#[tokio::test]
async fn a_bucket_never_holds_more_than_its_size() {
    let server = Server::start().await;
    let long_ago = "0";
    server
        .ask::<()>(&["HSET", "bucket", "tokens", "1", "at", long_ago])
        .await;
    let admit =
        async || -> (i64, i64, bool) { server.run(&ADMIT, &BUCKET, &["60", "2", "0"]).await };
    let waits = [admit().await.0, admit().await.0, admit().await.0];
    assert_eq!(waits[..2], [0, 0]);
    assert!(waits[2] > 0);
}

#[tokio::test]
async fn stamps_increase_when_the_clock_goes_back() {
    let server = Server::start().await;
    let stamp = async || -> i64 {
        let (wait, stamp, _): (i64, i64, bool) =
            server.run(&ADMIT, &BUCKET, &["0", "0", "100"]).await;
        assert_eq!(wait, 0);
        stamp
    };
    let now = server.now().await * 1000;
    let first = stamp().await;
    assert!((0..1_000_000).contains(&(first - now)));
    assert!(stamp().await > first);
    let ahead = first + 60_000_000;
    server
        .ask::<()>(&["SET", "stamp", &ahead.to_string()])
        .await;
    assert_eq!(stamp().await, ahead + 1);
    assert!((90_000..=100_000).contains(&server.ttl("stamp").await));
}

#[tokio::test]
async fn stamped_call_returns_whether_the_caller_is_at_the_follow_limit() {
    let server = Server::start().await;
    let full = async || -> bool {
        let admitted: (i64, i64, bool) = server.run(&ADMIT, &BUCKET, &["0", "0", "100"]).await;
        admitted.2
    };
    assert!(!full().await);
    server.ask::<()>(&["SET", "full", "1"]).await;
    assert!(full().await);
}
