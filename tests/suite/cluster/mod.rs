//! The cache as it is deployed: several nodes, TLS, users, slots that move and nodes that die. The functions are the real
//! ones; the cluster is the system's Valkey or Redis.

mod nodes;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use purrline::domain::Timestamp;

use crate::support::retrying_soon;
use crate::support::{User, World, eventually};
use nodes::{ANY_PASSWORD, ENTRY, Nodes};

/// Starts a stack whose functions have these additional settings.
async fn stack(settings: impl IntoIterator<Item = (String, String)>) -> World {
    let mut options = retrying_soon();
    options.environment.extend(settings);
    World::with(options).await
}

/// A reader, three authors whom the reader follows, and the authors' posts, newest first.
struct Readers {
    reader: User,
    authors: Vec<User>,
    posts: Vec<String>,
}

impl Readers {
    async fn on(world: &World) -> Self {
        let authors: Vec<User> = (0..3).map(|_| world.user("author")).collect();
        let reader = world.user("reader");
        for author in &authors {
            reader.follow(author).await;
        }
        world.wait_until_drained().await;
        let mut readers = Self {
            reader,
            authors,
            posts: Vec::new(),
        };
        // Read once, so that the cache has a feed to push to.
        readers.assert_right("before anybody posted").await;
        for _ in 0..7 {
            readers.post(world).await;
        }
        readers
    }

    /// Adds a post of each author.
    async fn post(&mut self, world: &World) {
        for author in &self.authors {
            self.posts.insert(0, author.post_id("meow").await);
        }
        world.wait_until_drained().await;
    }

    async fn assert_right(&self, when: &str) {
        assert_eq!(self.reader.feed_ids(100).await, self.posts, "{when}");
        assert_eq!(
            self.reader.walk_ids("/v1/feed", 4).await,
            self.posts,
            "{when}"
        );
    }

    fn feed_key(&self) -> String {
        format!("feed:{{{}}}", self.reader.id)
    }
}

/// The maximum time that functions wait for the cache, all attempts included. A faster read got an answer from the
/// cache.
const CACHE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Returns the functions' complaints about an unreachable cache.
fn cache_warnings(world: &World) -> Vec<String> {
    let names = world.plan().functions.values();
    let lines = names.flat_map(|function| world.logs(&function.name).unwrap_or_default());
    let complaint =
        |line: &String| line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#);
    lines.filter(complaint).collect()
}

fn assert_no_cache_warnings(world: &World) {
    assert_eq!(cache_warnings(world), Vec::<String>::new());
}

/// Fails if the certificate's authority is not trusted, if the password is not sent, if one command's keys are in several
/// slots, or if a pipeline is sent to one node only.
#[tokio::test]
async fn three_nodes_serve_with_tls_and_a_password() {
    let cluster = Nodes::start().await;
    let world = stack(cluster.environment()).await;
    let readers = Readers::on(&world).await;
    readers.assert_right("on three nodes").await;
    readers.reader.like(&readers.posts[0]).await;
    world.wait_until_drained().await;
    let liked = readers.reader.read_post(&readers.posts[0]).await;
    assert_eq!(
        (&liked["likes"], &liked["liked"]),
        (&1.into(), &true.into())
    );
    let keys = cluster.keys().await;
    assert!(keys.iter().all(|keys| *keys > 0), "{keys:?}");
    assert_no_cache_warnings(&world);
}

/// With IAM, a token is the password. AWS checks its signature; this test checks that every connection sends it.
#[tokio::test]
async fn every_connection_signs_in_with_iam() {
    let cluster = Nodes::start().await;
    let [_, authority] = cluster.environment();
    let identity = [
        ("CACHE_URL", cluster.address()),
        ("CACHE_USER", ANY_PASSWORD.to_owned()),
        ("CACHE_NAME", "purrline-cache".to_owned()),
        ("CACHE_KIND", "nodes".to_owned()),
    ];
    let identity = identity.map(|(name, value)| (name.to_owned(), value));
    let world = stack(identity.into_iter().chain([authority])).await;
    Readers::on(&world)
        .await
        .assert_right("signed in by token")
        .await;
    assert_no_cache_warnings(&world);
    let users = cluster.connected().await;
    assert!(users.iter().any(|user| user == ANY_PASSWORD), "{users:?}");
}

/// A cache that refuses the user is treated as no cache: answers stay correct.
#[tokio::test]
async fn answers_come_from_the_tables_when_the_cache_refuses_sign_in() {
    let cluster = Nodes::start().await;
    let [_, authority] = cluster.environment();
    let address = cluster.address().replace("//", "//purrline:wrong@");
    let world = stack([("CACHE_URL".to_owned(), address), authority]).await;
    let (reader, author) = (world.user("reader"), world.user("author"));
    let post = author.post_id("meow").await;
    assert_eq!(
        author.read_post(&post).await["id"],
        post.as_str(),
        "without a cache"
    );
    assert!(reader.feed_ids(10).await.is_empty());
    assert!(
        !cache_warnings(&world).is_empty(),
        "this is how it is noticed"
    );
}

/// A moving slot changes no answer while none, some or all of its keys have moved, nor afterwards. That holds for
/// readers and for fan-outs that push meanwhile. While a slot moves, the cache answers no command about several of its
/// keys, and readers that have waited long enough read the tables. Once the slot has moved, the cache serves again.
/// Fails if a redirection is taken for a failure of the cache.
#[tokio::test]
async fn a_moving_slot_changes_no_answer() {
    let cluster = Nodes::start().await;
    let world = stack(cluster.environment()).await;
    let mut readers = Readers::on(&world).await;
    let (slot, from) = cluster.slot(&readers.feed_key()).await;
    let to = (from + 1) % 3;
    for (from, to) in [(from, to), (to, from)] {
        cluster.begin_move(slot, from, to).await;
        readers.assert_right("no key has moved").await;
        readers.post(&world).await;
        readers
            .assert_right("no key has moved, and all posted")
            .await;
        assert_eq!(cluster.move_keys(slot, from, to, 1).await, 1);
        readers.assert_right("a key has moved").await;
        readers.post(&world).await;
        readers
            .assert_right("a key has moved, and all posted")
            .await;
        while cluster.move_keys(slot, from, to, 10).await > 0 {}
        readers.assert_right("all keys have moved").await;
        readers.post(&world).await;
        readers
            .assert_right("all keys have moved, and all posted")
            .await;
        world.wait_until_drained().await;
        cluster.end_move(slot, to).await;
        readers.assert_right("it has moved").await;
        readers.post(&world).await;
        readers.assert_right("it has moved, and all posted").await;
        // Processes that were redirected in vain for too long have learnt the new owner by now.
        eventually("the cache serves again", async || {
            let moved = Timestamp::now().to_string();
            readers.assert_right("it moved a while ago").await;
            readers
                .assert_right("the lines of these reads are there")
                .await;
            let since = |line: &String| line.split('"').nth(3) > Some(moved.as_str());
            (!cache_warnings(&world).iter().any(since)).then_some(())
        })
        .await;
    }
}

/// Concurrent readers.
const CLIENTS: usize = 8;
/// The number of reads by all clients together.
const READS: usize = 10_000;

/// The bar: a node dies in the middle of 10,000 reads and its replica takes over. No answer is wrong, and fewer than
/// one in a hundred fails, always with 503 and `Retry-After`.
#[tokio::test]
async fn a_failover_during_ten_thousand_reads_gives_no_wrong_answer() {
    let mut cluster = Nodes::start().await;
    let world = stack(cluster.environment()).await;
    let readers = Readers::on(&world).await;
    let (_, shard) = cluster.slot(&readers.feed_key()).await;
    let (read, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let taken_over = AtomicBool::new(false);
    let client = async || {
        // Continue until both are done: a fast machine reads more before a replica has taken over.
        while read.fetch_add(1, Ordering::Relaxed) < READS || !taken_over.load(Ordering::Relaxed) {
            let reply = readers.reader.get("/v1/feed?limit=100").await;
            if reply.status == 503 {
                assert!(reply.header("retry-after").is_some(), "{}", reply.text());
                refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let page = reply.expect(200).json();
            let items = page["items"].as_array().unwrap().iter();
            let ids: Vec<&str> = items.map(|post| post["id"].as_str().unwrap()).collect();
            assert_eq!(ids, readers.posts);
        }
    };
    let failover = async {
        let started = async || (read.load(Ordering::Relaxed) > READS / 4).then_some(());
        eventually("a quarter is read", started).await;
        cluster.kill(shard).await;
        cluster.taken_over(shard).await;
        taken_over.store(true, Ordering::Relaxed);
        read.load(Ordering::Relaxed)
    };
    let clients = join_all((0..CLIENTS).map(|_| client()));
    let (taken_over_at, _) = futures::future::join(failover, clients).await;
    let (read, refused) = (read.into_inner(), refused.into_inner());
    println!("{refused} of {read} reads were refused; it was over at {taken_over_at}");
    assert!(refused * 100 < read, "{refused} of {read} were refused");
    readers.assert_right("afterwards").await;
}

/// A node's machine is lost, so nothing closes the connections to it. Functions open new ones once a connection gets no
/// answer, and find the replica that took over. Fails if they do so only once a connection is closed.
#[tokio::test]
async fn functions_leave_a_node_that_hangs() {
    let cluster = Nodes::start().await;
    let world = stack(cluster.environment()).await;
    let mut readers = Readers::on(&world).await;
    // The reader's feed must not be on the node whose address the functions have: on AWS, that address is the whole
    // cache's.
    while cluster.slot(&readers.feed_key()).await.1 == ENTRY {
        readers = Readers::on(&world).await;
    }
    let (_, shard) = cluster.slot(&readers.feed_key()).await;
    cluster.silence(shard).await;
    cluster.taken_over(shard).await;
    eventually("feeds are read from the cache again", async || {
        let started = Instant::now();
        readers.assert_right("while it is silent").await;
        (started.elapsed() < CACHE_TIMEOUT).then_some(())
    })
    .await;
    readers.post(&world).await;
    readers.assert_right("after it fell silent").await;
    let cache_warnings = cache_warnings(&world);
    let anew = cache_warnings
        .iter()
        .filter(|line| line.contains("connected to anew"));
    assert!(anew.count() > 0, "{cache_warnings:?}");
}

/// Networks and servers close idle connections: the next caller notices nothing.
#[tokio::test]
async fn idle_connections_that_were_closed_are_opened_again() {
    let cluster = Nodes::start().await;
    let world = stack(cluster.environment()).await;
    let mut readers = Readers::on(&world).await;
    cluster.close_idle_connections().await;
    readers.assert_right("after a while").await;
    cluster.close_idle_connections().await;
    readers.post(&world).await;
    readers.assert_right("after another").await;
    assert_no_cache_warnings(&world);
}
