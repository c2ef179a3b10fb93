//! Leases, holds and counts.

use super::*;

#[tokio::test]
async fn a_lease_is_taken_only_where_nothing_stands() {
    let server = Server::start().await;
    let take = async |token| -> i64 { server.run(&TAKE_LEASE, &["k"], &[token, "10"]).await };
    assert_eq!(take("?1").await, 1);
    assert!((9_000..=10_000).contains(&server.ttl("k").await));
    assert_eq!(take("?2").await, 0);
    assert_eq!(server.get("k").await.as_deref(), Some("?1"));
}

#[tokio::test]
async fn a_lease_ends_writers_whose_time_is_up() {
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
async fn a_lease_is_filled_only_while_it_stands() {
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
async fn a_filled_value_stays_until_the_first_deadline_of_a_writer() {
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
async fn nothing_is_filled_in_beside_a_writer_that_hides_or_is_late() {
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
async fn leases_on_fields_are_taken_where_no_value_stands() {
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
async fn leases_on_fields_are_filled_while_they_stand() {
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
async fn a_hold_shortens_the_life_of_the_value() {
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
async fn a_hold_that_hides_forgets_the_value() {
    let server = Server::start().await;
    server.ask::<()>(&["SET", "k", "{}"]).await;
    server
        .run::<i64>(&HOLD, &["k", "held:k"], &["!w", "10"])
        .await;
    assert_eq!(server.get("k").await, None);
    assert_eq!(server.writers("held:k").await, ["!w"]);
}

#[tokio::test]
async fn forgetting_takes_value_lease_and_writer_away() {
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
async fn counts_are_replaced_by_later_ones_only() {
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
async fn put_counts_stay_until_the_deadline_of_another_writer() {
    let server = Server::start().await;
    server.ask::<()>(&["SET", "k", r#"{"rev":1}"#]).await;
    server.writer("held:k", "w", 1_000).await;
    server.writer("held:k", "other", 5_000).await;
    let args = ["w", "put", "2", "100"];
    let put: i64 = server.run(&PUT_COUNTS, &["k", "held:k"], &args).await;
    assert_eq!(put, 1);
    assert!((4_000..=5_000).contains(&server.ttl("k").await));
}
