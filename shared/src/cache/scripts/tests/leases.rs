//! Leases, holds and counts.

use super::*;

#[tokio::test]
async fn lease_is_taken_only_for_a_missing_key() {
    let server = Server::start().await;
    let take = async |token| -> i64 { server.run(&TAKE_LEASE, &["k"], &[token, "10"]).await };
    assert_eq!(take("?1").await, 1);
    assert!((9_000..=10_000).contains(&server.ttl("k").await));
    assert_eq!(take("?2").await, 0);
    assert_eq!(server.get("k").await.as_deref(), Some("?1"));
}

#[tokio::test]
async fn taking_a_lease_removes_expired_writers() {
    let server = Server::start().await;
    server.writer("held:k", "dead", -1).await;
    server.writer("held:k", "alive", 10_000).await;
    let keys = ["k", "held:k"];
    server.ask::<()>(&["SET", "k", "{}"]).await;
    assert_eq!(
        server.run::<i64>(&TAKE_LEASE, &keys, &["?1", "10"]).await,
        0
    );
    assert_eq!(server.writers("held:k").await, ["alive", "dead"]);
    server.ask::<()>(&["DEL", "k"]).await;
    assert_eq!(
        server.run::<i64>(&TAKE_LEASE, &keys, &["?1", "10"]).await,
        1
    );
    assert_eq!(server.writers("held:k").await, ["alive"]);
}

#[tokio::test]
async fn fill_requires_the_callers_lease() {
    let server = Server::start().await;
    let args = ["?1", "value", "100"];
    assert_eq!(server.run::<i64>(&FILL_LEASE, &["k"], &args).await, 0);
    server.ask::<()>(&["SET", "k", "?2"]).await;
    assert_eq!(server.run::<i64>(&FILL_LEASE, &["k"], &args).await, 0);
    assert_eq!(server.get("k").await.as_deref(), Some("?2"));
    server.ask::<()>(&["SET", "k", "?1"]).await;
    assert_eq!(server.run::<i64>(&FILL_LEASE, &["k"], &args).await, 1);
    assert_eq!(server.get("k").await.as_deref(), Some("value"));
    assert!((90_000..=100_000).contains(&server.ttl("k").await));
}

#[tokio::test]
async fn filled_value_expires_at_the_earliest_writer_deadline() {
    let server = Server::start().await;
    let keys = ["k", "held:k"];
    server.ask::<()>(&["SET", "k", "?1"]).await;
    server.writer("held:k", "later", 50_000).await;
    server.writer("held:k", "sooner", 5_000).await;
    let filled: i64 = server
        .run(&FILL_LEASE, &keys, &["?1", "value", "100"])
        .await;
    assert_eq!(filled, 1);
    assert!((4_000..=5_000).contains(&server.ttl("k").await));
}

#[tokio::test]
async fn fill_is_refused_while_a_writer_hides_or_is_overdue() {
    let server = Server::start().await;
    for (token, millis) in [("!hides", 5_000), ("late", -1)] {
        server.ask::<()>(&["FLUSHALL"]).await;
        server.ask::<()>(&["SET", "k", "?1"]).await;
        server.writer("held:k", token, millis).await;
        let args = ["?1", "value", "100"];
        let filled: i64 = server.run(&FILL_LEASE, &["k", "held:k"], &args).await;
        assert_eq!((filled, server.get("k").await), (0, None), "{token}");
    }
}

#[tokio::test]
async fn field_leases_are_taken_only_for_fields_without_a_value() {
    let server = Server::start().await;
    server
        .ask::<()>(&["HSET", "h", "liked", "l", "left", "?0"])
        .await;
    let args = ["?1", "100", "liked", "left", "new"];
    server.run::<i64>(&TAKE_FIELD_LEASES, &["h"], &args).await;
    let fields: Vec<String> = server.ask(&["HMGET", "h", "liked", "left", "new"]).await;
    assert_eq!(fields, ["l", "?1", "?1"]);
    assert!((90_000..=100_000).contains(&server.ttl("h").await));
    let longer = ["?2", "900", "liked"];
    server.run::<i64>(&TAKE_FIELD_LEASES, &["h"], &longer).await;
    assert!(server.ttl("h").await <= 100_000);
}

#[tokio::test]
async fn field_fill_requires_the_callers_lease() {
    let server = Server::start().await;
    server
        .ask::<()>(&["HSET", "h", "mine", "?1", "theirs", "?2", "known", "s"])
        .await;
    let args = ["?1", "mine", "l", "theirs", "l", "known", "l", "gone", "l"];
    server.run::<i64>(&FILL_FIELD_LEASES, &["h"], &args).await;
    let fields: Vec<Option<String>> = server
        .ask(&["HMGET", "h", "mine", "theirs", "known", "gone"])
        .await;
    let fields: Vec<_> = fields.iter().map(Option::as_deref).collect();
    assert_eq!(fields, [Some("l"), Some("?2"), Some("s"), None]);
}

#[tokio::test]
async fn hold_shortens_the_ttl_of_the_value() {
    let server = Server::start().await;
    let keys = ["k", "held:k"];
    server.run::<i64>(&HOLD, &keys, &["w1", "10"]).await;
    assert_eq!(server.get("k").await, None);
    server.ask::<()>(&["SET", "k", "{}", "EX", "100"]).await;
    server.run::<i64>(&HOLD, &keys, &["w2", "10"]).await;
    assert_eq!(server.get("k").await.as_deref(), Some("{}"));
    assert!((9_000..=10_000).contains(&server.ttl("k").await));
    assert!((19_000..=20_000).contains(&server.ttl("held:k").await));
    server.run::<i64>(&HOLD, &keys, &["w3", "60"]).await;
    assert!(server.ttl("k").await <= 10_000);
    assert_eq!(server.writers("held:k").await, ["w1", "w2", "w3"]);
    let deadline: i64 = server.ask(&["HGET", "held:k", "w3"]).await;
    assert!((59_000..=60_000).contains(&(deadline - server.now().await)));
}

#[tokio::test]
async fn hiding_hold_deletes_the_value() {
    let server = Server::start().await;
    server.ask::<()>(&["SET", "k", "{}"]).await;
    server
        .run::<i64>(&HOLD, &["k", "held:k"], &["!w", "10"])
        .await;
    assert_eq!(server.get("k").await, None);
    assert_eq!(server.writers("held:k").await, ["!w"]);
}

#[tokio::test]
async fn forget_deletes_the_value_the_lease_and_the_writer() {
    let server = Server::start().await;
    let forget = async |keys: &[&str]| -> i64 { server.run(&FORGET, keys, &["w"]).await };
    assert_eq!(forget(&["k"]).await, 0);
    for value in ["{}", "?1"] {
        server.ask::<()>(&["SET", "k", value]).await;
        server.writer("held:k", "w", 10_000).await;
        server.writer("held:k", "other", 10_000).await;
        assert_eq!(forget(&["k"]).await, 1, "{value}");
        assert_eq!(server.writers("held:k").await, ["other", "w"]);
        assert_eq!(forget(&["k", "held:k"]).await, 0);
        assert_eq!(server.writers("held:k").await, ["other"]);
    }
    server.ask::<()>(&["SET", "k", "!1"]).await;
    assert_eq!(forget(&["k", "held:k"]).await, 0);
    assert_eq!(server.get("k").await.as_deref(), Some("!1"));
}

#[tokio::test]
async fn counts_are_replaced_only_by_a_later_revision() {
    let server = Server::start().await;
    let cases = [
        // The value before, the revision that is put, and the value after.
        (None, 2, None),
        (Some("?1"), 2, None),
        (Some("!1"), 2, Some("!1")),
        (Some(r#"{"likes":9,"rev":1}"#), 2, Some("put")),
        (Some(r#"{"likes":9}"#), 0, Some("put")),
        (
            Some(r#"{"likes":9,"rev":2}"#),
            2,
            Some(r#"{"likes":9,"rev":2}"#),
        ),
        (
            Some(r#"{"likes":9,"rev":3}"#),
            2,
            Some(r#"{"likes":9,"rev":3}"#),
        ),
    ];
    for (before, rev, after) in cases {
        server.ask::<()>(&["FLUSHALL"]).await;
        if let Some(before) = before {
            server.ask::<()>(&["SET", "k", before]).await;
        }
        server.writer("held:k", "w", 10_000).await;
        let args = ["w", "put", &rev.to_string(), "100"];
        server
            .run::<i64>(&PUT_COUNTS, &["k", "held:k"], &args)
            .await;
        assert_eq!(server.get("k").await.as_deref(), after, "{before:?} {rev}");
        assert!(server.writers("held:k").await.is_empty());
    }
}

#[tokio::test]
async fn put_counts_expire_at_another_writers_deadline() {
    let server = Server::start().await;
    server.ask::<()>(&["SET", "k", r#"{"rev":1}"#]).await;
    server.writer("held:k", "w", 1_000).await;
    server.writer("held:k", "other", 5_000).await;
    let args = ["w", "put", "2", "100"];
    let put: i64 = server.run(&PUT_COUNTS, &["k", "held:k"], &args).await;
    assert_eq!(put, 1);
    assert!((4_000..=5_000).contains(&server.ttl("k").await));
}
