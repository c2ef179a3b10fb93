//! Operators' tasks, done by the real `ops` program on a running stack.

use std::process::Output;

use aws_sdk_dynamodb::types::AttributeValue;
use purrline_local::{FaultAction, FaultRule, Service, When};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::backstage::{Backstage, Item};
use crate::support::retrying_soon;
use crate::support::{User, World, binaries, eventually};

/// Runs `ops` on this stack. Returns its output, and whether it succeeded.
async fn ops(world: &World, arguments: &[&str]) -> (String, bool) {
    let (printed, status) = ops_status(world, arguments).await;
    (printed, status == Some(0))
}

/// Runs `ops`. Returns its output and its exit status.
async fn ops_status(world: &World, arguments: &[&str]) -> (String, Option<i32>) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(binaries().join("purrline-ops"))
        .args(["--local", world.url()])
        .args(arguments)
        .output()
        .await
        .unwrap();
    let printed = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (printed.concat(), status.code())
}

/// Runs `ops`, asserts that it succeeded, and returns its output.
async fn ops_succeeds(world: &World, arguments: &[&str]) -> String {
    let (printed, well) = ops(world, arguments).await;
    assert!(well, "{arguments:?}: {printed}");
    printed
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn key<const N: usize>(of: [(&str, &str); N]) -> Item {
    of.map(|(name, value)| (name.to_owned(), text(value)))
        .into()
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Dead letters are counted, shown with their trace, and sent again, but not on a dry run.
#[tokio::test]
async fn dead_letters_are_shown_and_replayed() {
    let stage = Backstage::of(&World::with(retrying_soon()).await).await;
    let world = &stage.world;
    let (author, reader) = (world.user("author"), world.user("reader"));
    let post = author.post_id("meow").await;
    world.wait_until_drained().await;
    let broken = FaultRule::new(When::Before, FaultAction::Status(500)).function("like-consumer");
    let broken = broken.service(Service::Tables).times(u64::MAX);
    world
        .on_call(broken.operation("TransactWriteItems"))
        .unwrap();
    reader.like(&post).await;
    eventually("the like rests", async || {
        let status = world.status().await.unwrap();
        (status.queues["LikesQueue"].dead_letters == 1).then_some(())
    })
    .await;
    world.clear_faults();

    let listed = ops_succeeds(world, &["dead-letters", "list"]).await;
    let line = |queue: &str| {
        let mut lines = listed
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.find(|words| words[0] == queue).unwrap()
    };
    assert_eq!(line("likes"), ["likes", "0", "0", "1"]);
    for queue in ["follows", "fan-out", "index"] {
        assert_eq!(line(queue)[3], "0", "{listed}");
    }

    let sees_it = |printed: &str| {
        assert!(
            printed.contains(&format!(r#""post":"{post}""#)),
            "{printed}"
        );
        assert!(
            printed.contains(&format!(r#""user":"{}""#, reader.id)),
            "{printed}"
        );
        assert!(printed.contains("Root=1-"), "{printed}");
    };
    sees_it(&ops_succeeds(world, &["dead-letters", "show", "likes"]).await);
    let printed = ops_succeeds(world, &["--dry-run", "dead-letters", "replay", "likes"]).await;
    sees_it(&printed);
    assert!(printed.contains("1 would be sent again"), "{printed}");
    let printed = ops_succeeds(world, &["dead-letters", "replay", "likes", "--most", "0"]).await;
    assert!(printed.contains("0 sent again, 1 left"), "{printed}");
    assert_eq!(stage.likes_of(&post).await.0, 0);

    let printed = ops_succeeds(world, &["dead-letters", "replay", "likes"]).await;
    assert!(printed.contains("1 sent again, 0 left"), "{printed}");
    world.wait_until_drained().await;
    assert_eq!(stage.likes_of(&post).await.0, 1);
    let printed = ops_succeeds(world, &["dead-letters", "replay", "likes"]).await;
    assert!(printed.contains("0 sent again, 0 left"), "{printed}");
    let printed = ops_succeeds(world, &["dead-letters", "show", "likes"]).await;
    assert_eq!(printed, "there are no dead letters of likes\n");
    let (printed, well) = ops(world, &["dead-letters", "show", "meows"]).await;
    assert!(
        !well && printed.contains("likes, follows, fan-out, index"),
        "{printed}"
    );
}

/// An author with two posts, and a reader who follows the author, and likes and comments on the first.
struct Scene {
    stage: Backstage,
    author: User,
    reader: User,
    posts: [String; 2],
}

impl Scene {
    async fn new() -> Self {
        let stage = Backstage::of(&World::own().await).await;
        let (author, reader) = (stage.world.user("author"), stage.world.user("reader"));
        let posts = [
            author.post_id("one #meow").await,
            author.post_id("two").await,
        ];
        reader.follow(&author).await;
        reader.like(&posts[0]).await;
        reader.comment(&posts[0], "purr").await;
        stage.world.wait_until_drained().await;
        Self {
            stage,
            author,
            reader,
            posts,
        }
    }

    async fn set(&self, table: &str, row: Item, name: &str, to: AttributeValue) {
        let table = self.stage.table(table);
        let update = self.stage.tables.update_item().table_name(table);
        update
            .set_key(Some(row))
            .update_expression("SET #name = :to")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":to", to)
            .send()
            .await
            .unwrap();
    }

    async fn put(&self, table: &str, row: Item) {
        let table = self.stage.table(table);
        let put = self.stage.tables.put_item().table_name(table);
        put.set_item(Some(row)).send().await.unwrap();
    }

    async fn delete(&self, table: &str, row: Item) {
        let table = self.stage.table(table);
        let delete = self.stage.tables.delete_item().table_name(table);
        delete.set_key(Some(row)).send().await.unwrap();
    }

    /// Makes counters wrong, including those in the cache. Returns the expected findings.
    async fn miscount(&self) -> Vec<String> {
        let [post, _] = &self.posts;
        let likes = key([("post", post), ("user", "#count")]);
        self.set("LikesTable", likes, "likes", number(7)).await;
        let counts = format!("counts:{{{post}}}");
        self.stage.evict(counts.as_bytes()).await;
        assert_eq!(self.likes_shown().await, 7);
        let author = &self.author.id;
        let row = key([("id", author)]);
        self.set("UsersTable", row, "posts", number(9)).await;
        vec![
            format!("post {post}: likes says 7, there are 1"),
            format!("user {author}: posts says 9, there are 2"),
        ]
    }

    /// Deletes one of the two rows of a follow, of a block, of a cat and of a handle. Returns the expected findings.
    async fn halve(&self) -> Vec<String> {
        let (author, reader) = (&self.author.id, &self.reader.id);
        let followers = format!("followers#{author}");
        let half = key([("list", &followers), ("user", reader)]);
        self.delete("FollowsTable", half).await;
        let other = self.stage.world.user("other");
        other.block(&self.author).await;
        let half = key([("user", author), ("other", &other.id)]);
        self.delete("BlocksTable", half).await;
        let cat = other.cat_id("Mimi").await;
        let list = format!("owner#{}", other.id);
        self.delete("CatsTable", key([("list", &list), ("cat", &cat)]))
            .await;
        let handle = other.own_handle();
        let profile = json!({ "name": "Other", "handle": handle });
        other.put_me(&profile).await.expect(201);
        self.delete("HandlesTable", key([("handle", &handle)]))
            .await;
        [
            format!("user {reader} follows user {author}"),
            format!("user {} blocks user {author}", other.id),
            format!("cat {cat} is user {}'s", other.id),
            format!("handle {handle} is user {}'s", other.id),
        ]
        .map(|what| format!("{what} by one of two rows only"))
        .to_vec()
    }

    /// Removes a post from a list where it belongs, and adds another that doesn't. Returns the expected findings.
    async fn swap(&self) -> Vec<String> {
        let mut list = None;
        for number in 0..16 {
            let tagged = format!("tag#meow#{number}");
            let rows = self.stage.partition("PostListsTable", "list", &tagged);
            list = list.or((!rows.await.is_empty()).then_some(tagged));
        }
        let (list, [first, second]) = (list.unwrap(), &self.posts);
        let row = |post| key([("list", &list), ("post", post)]);
        self.delete("PostListsTable", row(first)).await;
        self.put("PostListsTable", row(second)).await;
        vec![
            format!("post {first} is missing from {list}"),
            format!("post {second} does not belong in {list}"),
        ]
    }

    /// Leaves a fan-out where no sweep finds it. Returns the expected findings.
    async fn strand(&self) -> Vec<String> {
        let [_, post] = &self.posts;
        let row = || key([("id", post)]);
        self.set("PostsTable", row(), "due_at", number(1)).await;
        // A shard that `sweep` does not know.
        self.set("PostsTable", row(), "outbox", text("none")).await;
        vec![format!("post {post} is not fanned out")]
    }

    /// Returns the likes that the reader sees on the first post.
    async fn likes_shown(&self) -> Value {
        self.reader.feed(10).await[1]["likes"].clone()
    }
}

/// `check` finds each kind of difference, and nothing else.
#[tokio::test]
async fn check_finds_every_difference() {
    let scene = Scene::new().await;
    let printed = ops_succeeds(&scene.stage.world, &["check"]).await;
    assert!(
        printed.ends_with(" of 9 tables read, 0 differences found\n"),
        "{printed}"
    );
    let mut expected = scene.miscount().await;
    expected.extend(scene.halve().await);
    expected.extend(scene.swap().await);
    expected.extend(scene.strand().await);
    let row = key([("post", "no post"), ("id", "no id")]);
    scene.put("CommentsTable", row).await;

    let (printed, well) = ops(&scene.stage.world, &["check"]).await;
    assert!(!well, "{printed}");
    let mut found: Vec<&str> = printed.lines().collect();
    let last = found.pop().unwrap();
    assert!(last.ends_with(" 10 differences found"), "{printed}");
    let comments = scene.stage.table("CommentsTable");
    let unreadable = format!("the row no post no id of {comments} can't be read: ");
    let at = found.iter().position(|line| line.starts_with(&unreadable));
    found.remove(at.unwrap_or_else(|| panic!("{printed}")));
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// A recount corrects counters, including those shown from the cache, but not on a dry run.
#[tokio::test]
async fn counters_are_corrected() {
    let scene = Scene::new().await;
    let (world, [post, _]) = (&scene.stage.world, &scene.posts);
    scene.miscount().await;
    let printed = ops_succeeds(world, &["recount", "post", post, "--dry-run"]).await;
    assert!(printed.contains("likes says 7, there are 1\n"), "{printed}");
    assert!(printed.ends_with("1 would be corrected\n"), "{printed}");
    assert_eq!(scene.likes_shown().await, 7);
    let printed = ops_succeeds(world, &["recount", "post", post]).await;
    assert!(printed.ends_with("likes: corrected to 1\n"), "{printed}");
    assert_eq!(scene.likes_shown().await, 1);
    let author = scene.author.id.as_str();
    ops_succeeds(world, &["recount", "user", author]).await;
    let me = scene.author.me().await;
    assert_eq!((&me["posts"], &me["followers"]), (&json!(2), &json!(1)));
    let printed = ops_succeeds(world, &["recount", "user", author]).await;
    assert!(printed.ends_with("nothing to correct\n"), "{printed}");
    ops_succeeds(world, &["check"]).await;
    for (of, nothing) in [("user", "nobody"), ("post", "0000000000000")] {
        let (printed, status) = ops_status(world, &["recount", of, nothing]).await;
        let expected = format!("error: there is no {of} {nothing}\n");
        assert_eq!((printed, status), (expected, Some(1)));
    }
}

/// A feed that is wrong in the cache is corrected, but not on a dry run.
#[tokio::test]
async fn a_feed_is_rebuilt() {
    let stage = Backstage::of(&World::own().await).await;
    let world = &stage.world;
    let [author, stranger, reader] = ["author", "stranger", "reader"].map(|name| world.user(name));
    reader.follow(&author).await;
    world.wait_until_drained().await;
    let post = author.post_id("meow").await;
    let other = stranger.post_id("hiss").await;
    world.wait_until_drained().await;
    assert_eq!(reader.feed_ids(10).await, std::slice::from_ref(&post));
    let feed = format!("feed:{{{}}}", reader.id);
    let before = ops_succeeds(world, &["cache", "--user", &reader.id]).await;
    let line = |printed: &str| {
        let line = printed.lines().find(|line| line.contains(&feed)).unwrap();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(&line(&before)[1..3], ["list", "2"], "{before}");
    stage.push(&reader, &other).await;
    let printed = ops_succeeds(world, &["rebuild-feed", &reader.id, "--dry-run"]).await;
    assert_eq!(&line(&printed)[1..3], ["list", "3"], "{printed}");
    assert!(
        printed.ends_with("the feed would be forgotten and rebuilt\n"),
        "{printed}"
    );
    let after = ops_succeeds(world, &["cache", "--user", &reader.id]).await;
    assert_eq!(&line(&after)[1..3], ["list", "3"], "{after}");
    for more in [&[][..], &["--dry-run"]] {
        let nobody = [&["rebuild-feed", "nobody-xyz"][..], more].concat();
        let (printed, status) = ops_status(world, &nobody).await;
        let expected = "error: there is no user nobody-xyz\n".to_owned();
        assert_eq!((printed, status), (expected, Some(1)));
    }
    ops_succeeds(world, &["rebuild-feed", &reader.id]).await;
    let after = ops_succeeds(world, &["cache", "--user", &reader.id]).await;
    assert_eq!(&line(&after)[1..3], ["list", "2"], "{after}");
    assert_eq!(reader.feed_ids(10).await, [post]);
}

/// `cache` shows the nodes, and what the cache has of a post.
#[tokio::test]
async fn the_cache_is_shown() {
    let world = World::own().await;
    let (author, reader) = (world.user("author"), world.user("reader"));
    reader.follow(&author).await;
    let post = author.post_id("meow").await;
    world.wait_until_drained().await;
    reader.feed(10).await;
    let printed = ops_succeeds(&world, &["cache"]).await;
    for word in ["127.0.0.1:", "used_memory_human", "maxmemory_human", "db0"] {
        assert!(printed.contains(word), "{printed}");
    }
    let printed = ops_succeeds(&world, &["cache", "--post", &post]).await;
    for kept in [format!("post:{{{post}}}"), format!("counts:{{{post}}}")] {
        let line = printed.lines().find(|line| line.contains(&kept)).unwrap();
        assert!(line.contains(" bytes, goes in "), "{printed}");
    }
}

/// Help names the command that people type, in `ops` and in the other tools.
#[tokio::test]
async fn help_names_what_people_type() {
    for (program, arguments, usage) in [
        (
            "purrline-ops",
            &["dead-letters", "--help"][..],
            "Usage: ./dev ops dead-letters ",
        ),
        (
            "purrline-ops",
            &["recount", "user", "--help"],
            "Usage: ./dev ops recount user ",
        ),
        ("purrline-ops", &["meow"], "Usage: ./dev ops "),
        ("purrline-bench", &["--help"], "Usage: ./dev bench "),
        ("purrline-plan", &["--help"], "Usage: ./dev plan "),
        ("purrline-plan", &["--meow"], "Usage: ./dev plan "),
    ] {
        let run = Command::new(binaries().join(program))
            .args(arguments)
            .output();
        let output = run.await.unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            printed.contains(usage),
            "{program} {arguments:?}: {printed}"
        );
        assert!(
            !printed.contains(program),
            "{program} {arguments:?}: {printed}"
        );
    }
}

/// Without a stack, `ops` says so, and what to do.
#[tokio::test]
async fn ops_without_a_stack_says_what_to_do() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let run = Command::new(binaries().join("purrline-ops"))
        .args(["--local", &url, "check"])
        .output();
    let output = run.await.unwrap();
    assert!(!output.status.success());
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        printed,
        format!("error: no local stack answers at {url}. Start one with: ./dev up\n")
    );
}

/// A lost index is made again from the tables, but not on a dry run.
#[tokio::test]
async fn a_lost_index_is_rebuilt() {
    let scene = Scene::new().await;
    let world = &scene.stage.world;
    scene.author.cat_id("Mimi").await;
    world.wait_until_drained().await;
    let found = async |kind: &str, word: &str| {
        let path = format!("/v1/search?q={word}&type={kind}");
        scene.reader.page(&path).await.0.len()
    };
    assert_eq!(
        (found("posts", "two").await, found("cats", "Mimi").await),
        (1, 1)
    );
    scene.stage.delete_index().await;
    // A process that has searched before still has the old index.
    world.kill_function("search").unwrap();
    world.kill_function("index").unwrap();
    assert_eq!(found("posts", "two").await, 0);
    let printed = ops_succeeds(world, &["reindex", "--dry-run"]).await;
    assert!(
        printed.ends_with(" messages would be sent to the queue of index\n"),
        "{printed}"
    );
    world.wait_until_drained().await;
    assert_eq!(found("posts", "two").await, 0);
    let printed = ops_succeeds(world, &["reindex"]).await;
    assert!(
        printed.ends_with(" messages were sent to the queue of index\n"),
        "{printed}"
    );
    world.wait_until_drained().await;
    eventually("all is found again", async || {
        let all = (found("posts", "two").await, found("cats", "Mimi").await);
        (all == (1, 1)).then_some(())
    })
    .await;
}
