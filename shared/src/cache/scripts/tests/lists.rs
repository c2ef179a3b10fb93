//! Lists of posts: trimming and rebuilding.

use super::*;

/// Returns the element of a post's id. The ids are too large for a Lua number to tell them apart.
fn id(number: u64) -> Vec<u8> {
    (0xF000_0000_0000_0000 + number).to_be_bytes().to_vec()
}

fn floor(number: u64) -> Vec<u8> {
    [b"-".to_vec(), id(number)].concat()
}

fn text(element: &str) -> Vec<u8> {
    element.as_bytes().to_vec()
}

async fn trim(server: &Server, elements: &[Vec<u8>]) -> (i64, Vec<Vec<u8>>) {
    server.ask::<()>(&["DEL", "l"]).await;
    server.push("l", elements).await;
    let trimmed = server.run(&TRIM, &["l"], &["3"]).await;
    assert!((90_000..=100_000).contains(&server.ttl("l").await));
    (trimmed, server.list("l").await)
}

#[tokio::test]
async fn short_list_is_not_trimmed() {
    let server = Server::start().await;
    let short = [id(1), id(2), id(3)];
    assert_eq!(trim(&server, &short).await, (0, short.to_vec()));
    let marks = [text("@merged:a"), text("@merged:b"), floor(1), id(2), id(3)];
    assert_eq!(trim(&server, &marks).await, (0, marks.to_vec()));
}

#[tokio::test]
async fn trimming_drops_the_oldest_ids_of_an_ordered_list() {
    let server = Server::start().await;
    let elements = [
        text("?token"),
        text("@merged:a"),
        floor(0),
        id(1),
        id(2),
        id(3),
        id(5),
        id(4),
    ];
    let (trimmed, list) = trim(&server, &elements).await;
    let expected = [
        text("?token"),
        floor(2),
        text("@merged:a"),
        id(3),
        id(5),
        id(4),
    ];
    assert_eq!((trimmed, list), (1, expected.to_vec()));
}

#[tokio::test]
async fn trimming_never_lowers_the_floor() {
    let server = Server::start().await;
    let elements = [floor(7), id(1), id(2), id(8), id(9), id(10)];
    let (_, list) = trim(&server, &elements).await;
    assert_eq!(list, [floor(7), id(8), id(9), id(10)]);
}

#[tokio::test]
async fn trimming_sorts_and_deduplicates_an_unordered_list() {
    let server = Server::start().await;
    let elements = [id(6), id(2), id(4), id(2), text("@merged:a"), id(5), id(5)];
    let (trimmed, list) = trim(&server, &elements).await;
    let expected = [floor(2), text("@merged:a"), id(4), id(5), id(6)];
    assert_eq!((trimmed, list), (1, expected.to_vec()));
    let placeholder = [text("?token"), id(2), id(1), id(4), id(3)];
    let (_, list) = trim(&server, &placeholder).await;
    assert_eq!(list, [text("?token"), floor(1), id(2), id(3), id(4)]);
}

#[tokio::test]
async fn unordered_list_without_a_ttl_is_not_trimmed() {
    let server = Server::start().await;
    let elements = [id(2), id(1), id(4), id(3), id(5)];
    server.push("l", &elements).await;
    server.ask::<()>(&["PERSIST", "l"]).await;
    assert_eq!(server.run::<i64>(&TRIM, &["l"], &["3"]).await, 0);
    assert_eq!(server.list("l").await, elements);
}

#[tokio::test]
async fn rebuild_begins_if_the_list_or_its_companion_is_missing() {
    let server = Server::start().await;
    let begin =
        async |keys: &[&str]| -> i64 { server.run(&BEGIN_REBUILD, keys, &["?1", "10"]).await };
    assert_eq!(begin(&["l", "set"]).await, 1);
    assert_eq!(server.list("l").await, [text("?1")]);
    assert!((9_000..=10_000).contains(&server.ttl("l").await));
    // Another process is rebuilding it.
    assert_eq!(begin(&["l", "set"]).await, -1);
    server.ask::<()>(&["DEL", "l"]).await;
    server.push("l", &[text("."), id(1)]).await;
    assert_eq!(begin(&["l"]).await, 0);
    server.ask::<()>(&["SADD", "set", "nabi"]).await;
    assert_eq!(begin(&["l", "set"]).await, 0);
    server.ask::<()>(&["DEL", "set"]).await;
    assert_eq!(begin(&["l", "set"]).await, 1);
    assert_eq!(server.list("l").await, [text("?1")]);
}

#[tokio::test]
async fn rebuild_keeps_ids_pushed_in_the_meantime() {
    let server = Server::start().await;
    server
        .push("l", &[text("?1"), id(9), text("@merged:b")])
        .await;
    let mut args = vec![text("?1"), text("3"), text("100")];
    args.extend([id(9), id(8), id(7), id(6), text("@merged:a")]);
    let committed: i64 = server.run(&COMMIT_REBUILD, &["l"], &args).await;
    let expected = [
        floor(6),
        text("@merged:b"),
        text("@merged:a"),
        id(7),
        id(8),
        id(9),
    ];
    assert_eq!((committed, server.list("l").await), (1, expected.to_vec()));
    assert!((90_000..=100_000).contains(&server.ttl("l").await));
}

#[tokio::test]
async fn committed_rebuild_replaces_the_companion() {
    let server = Server::start().await;
    server.push("l", &[text("?1")]).await;
    server.ask::<()>(&["SADD", "fresh", "nabi"]).await;
    let keys = ["l", "set", "fresh"];
    let args = ["?1", "3", "100"];
    assert_eq!(server.run::<i64>(&COMMIT_REBUILD, &keys, &args).await, 1);
    assert_eq!(server.list("l").await, [text(".")]);
    assert!(server.ask::<bool>(&["SISMEMBER", "set", "nabi"]).await);
    assert!((90_000..=100_000).contains(&server.ttl("set").await));
    assert!(!server.ask::<bool>(&["EXISTS", "fresh"]).await);
}

#[tokio::test]
async fn rebuild_without_its_placeholder_changes_nothing() {
    let server = Server::start().await;
    let args = ["?1", "3", "100"];
    assert_eq!(server.run::<i64>(&COMMIT_REBUILD, &["l"], &args).await, 0);
    server.push("l", &[text("?2"), id(1)]).await;
    server.ask::<()>(&["SADD", "fresh", "nabi"]).await;
    let keys = ["l", "set", "fresh"];
    assert_eq!(server.run::<i64>(&COMMIT_REBUILD, &keys, &args).await, 0);
    assert_eq!(server.list("l").await, [text("?2"), id(1)]);
    assert!(!server.ask::<bool>(&["EXISTS", "set"]).await);
}
