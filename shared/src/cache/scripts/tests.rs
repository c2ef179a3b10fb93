//! Each branch of each script, against a server of the system's Valkey or Redis.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, Script, ToRedisArgs, cmd};
use tempfile::TempDir;

use super::*;

/// A server of the test's own, which ends with it.
struct Server {
    child: Child,
    connection: MultiplexedConnection,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let named = |name: &'static str| std::env::split_paths(&path).map(move |at| at.join(name));
    let mut programs = named("valkey-server").chain(named("redis-server"));
    programs
        .find(|program| program.is_file())
        .expect("valkey-server or redis-server must be installed: ./dev up says how")
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let child = Command::new(program())
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let client = Client::open(format!("redis+unix://{}", socket.display())).unwrap();
        for _ in 0..500 {
            if let Ok(connection) = client.get_multiplexed_async_connection().await {
                return Self {
                    child,
                    connection,
                    _folder: folder,
                };
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server did not start");
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[impl ToRedisArgs],
    ) -> T {
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(*key);
        }
        for arg in args {
            invocation.arg(arg);
        }
        let mut connection = self.connection.clone();
        invocation.invoke_async(&mut connection).await.unwrap()
    }

    async fn ask<T: FromRedisValue>(&self, words: &[impl ToRedisArgs]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        let mut connection = self.connection.clone();
        command.query_async(&mut connection).await.unwrap()
    }

    async fn get(&self, key: &str) -> Option<String> {
        self.ask(&["GET", key]).await
    }

    /// The milliseconds that a key has left.
    async fn ttl(&self, key: &str) -> i64 {
        self.ask(&["PTTL", key]).await
    }

    /// The server's time in milliseconds.
    async fn now(&self) -> i64 {
        let (seconds, micros): (i64, i64) = self.ask(&["TIME"]).await;
        seconds * 1000 + micros / 1000
    }

    /// Adds a writer whose deadline is that many milliseconds away.
    async fn writer(&self, held: &str, token: &str, millis: i64) {
        let deadline = (self.now().await + millis).to_string();
        self.ask::<()>(&["HSET", held, token, &deadline]).await;
    }

    async fn writers(&self, held: &str) -> Vec<String> {
        let mut tokens: Vec<String> = self.ask(&["HKEYS", held]).await;
        tokens.sort();
        tokens
    }

    async fn push(&self, list: &str, elements: &[Vec<u8>]) {
        for element in elements {
            let mut connection = self.connection.clone();
            let push = cmd("RPUSH").arg(list).arg(element).clone();
            push.query_async::<()>(&mut connection).await.unwrap();
        }
        self.ask::<()>(&["EXPIRE", list, "100"]).await;
    }

    async fn list(&self, list: &str) -> Vec<Vec<u8>> {
        self.ask(&["LRANGE", list, "0", "-1"]).await
    }
}

/// The element of a post's id; ids of other sizes than a Lua number can tell apart.
fn id(number: u64) -> Vec<u8> {
    (0xF000_0000_0000_0000 + number).to_be_bytes().to_vec()
}

fn floor(number: u64) -> Vec<u8> {
    [b"-".to_vec(), id(number)].concat()
}

fn text(element: &str) -> Vec<u8> {
    element.as_bytes().to_vec()
}

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
        // What stands there, the revision that is put, and what stands there then.
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

async fn trim(server: &Server, elements: &[Vec<u8>]) -> (i64, Vec<Vec<u8>>) {
    server.ask::<()>(&["DEL", "l"]).await;
    server.push("l", elements).await;
    let trimmed = server.run(&TRIM, &["l"], &["3"]).await;
    assert!((90_000..=100_000).contains(&server.ttl("l").await));
    (trimmed, server.list("l").await)
}

#[tokio::test]
async fn a_list_that_is_short_enough_is_not_trimmed() {
    let server = Server::start().await;
    let short = [id(1), id(2), id(3)];
    assert_eq!(trim(&server, &short).await, (0, short.to_vec()));
    let marks = [text("@merged:a"), text("@merged:b"), floor(1), id(2), id(3)];
    assert_eq!(trim(&server, &marks).await, (0, marks.to_vec()));
}

#[tokio::test]
async fn a_list_in_order_loses_its_oldest_ids() {
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
async fn a_list_out_of_order_is_sorted_and_each_id_stays_once() {
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
async fn a_list_out_of_order_without_a_lifetime_stays() {
    let server = Server::start().await;
    let elements = [id(2), id(1), id(4), id(3), id(5)];
    server.push("l", &elements).await;
    server.ask::<()>(&["PERSIST", "l"]).await;
    assert_eq!(server.run::<i64>(&TRIM, &["l"], &["3"]).await, 0);
    assert_eq!(server.list("l").await, elements);
}

#[tokio::test]
async fn a_rebuild_begins_where_the_list_or_its_companion_is_gone() {
    let server = Server::start().await;
    let begin =
        async |keys: &[&str]| -> i64 { server.run(&BEGIN_REBUILD, keys, &["?1", "10"]).await };
    assert_eq!(begin(&["l", "set"]).await, 1);
    assert_eq!(server.list("l").await, [text("?1")]);
    assert!((9_000..=10_000).contains(&server.ttl("l").await));
    // Somebody is at it.
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
async fn a_rebuild_keeps_what_was_pushed_meanwhile() {
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
async fn a_rebuild_puts_the_companion_in_its_place() {
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
async fn a_rebuild_whose_placeholder_is_gone_changes_nothing() {
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

const BUCKET: [&str; 3] = ["bucket", "stamp", "full"];

#[tokio::test]
async fn a_call_without_limit_or_stamp_leaves_no_trace() {
    let server = Server::start().await;
    let admitted: (i64, i64, bool) = server.run(&ADMIT, &BUCKET, &["0", "0", "0"]).await;
    assert_eq!(admitted, (0, 0, false));
    assert_eq!(server.ask::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn an_empty_bucket_says_when_it_has_a_token() {
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
async fn stamps_rise_even_where_the_clock_went_back() {
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
async fn a_stamped_call_says_whether_the_caller_follows_the_most() {
    let server = Server::start().await;
    let full = async || -> bool {
        let admitted: (i64, i64, bool) = server.run(&ADMIT, &BUCKET, &["0", "0", "100"]).await;
        admitted.2
    };
    assert!(!full().await);
    server.ask::<()>(&["SET", "full", "1"]).await;
    assert!(full().await);
}
