//! Leaving: the user is hidden at once, then erased everywhere, even if the erasure dies at any of its calls.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use purrline::domain::{IdSource, PostId, Timestamp};
use purrline_local::{FaultRule, Outage, Service, When};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::backstage::{Backstage, scan_all, text};
use crate::support::{
    JPEG, User, World, eventually, eventually_within, id_of, image, retrying_soon,
};

/// Posts and followers of the largest account to erase: 300 by default. Larger numbers show how the cost of an erasure
/// grows.
const SIZE: &str = "PURRLINE_LEAVER";
/// Time limit of the largest erasure.
const PATIENCE: Duration = Duration::from_mins(30);

pub(super) async fn stage() -> Backstage {
    let options = retrying_soon().parameter("ErasureSeconds", "1");
    Backstage::of(&World::with(options).await).await
}

/// A user who did everything that leaves a trace, and a friend who did the same to them.
struct Account {
    leaver: User,
    friend: User,
    /// A user who blocks the leaver, and whom the leaver blocks.
    blocker: User,
    /// The leaver's post, which the friend likes and saved.
    post: String,
    /// The friend's post, which the leaver likes.
    liked: String,
}

impl Account {
    async fn of(world: &World) -> Self {
        let (leaver, friend, bad) = (
            world.user("leaver"),
            world.user("friend"),
            world.user("bad"),
        );
        let photo = leaver.upload("image/jpeg", &image(JPEG)).await;
        // Two handles, one of them given up.
        for (handle, status) in [("old", 201), ("new", 200)] {
            let handle = handle_of(&leaver, handle);
            let profile =
                json!({ "handle": handle, "name": "Leaver", "bio": "bye", "avatar": photo });
            leaver.put_me(&profile).await.expect(status);
        }
        leaver.upload("image/jpeg", &image(JPEG)).await;
        let body = json!({ "text": "#bye", "images": [photo] });
        let post = leaver
            .create_once("/v1/posts", "key", &body)
            .await
            .expect(201);
        let post = id_of(&post.json());
        leaver.post("another").await;
        let cat = leaver.cat_id("Momo").await;
        leaver.post_of("with a cat", &[&cat]).await;
        let deleted = leaver.post_id("deleted").await;
        leaver.delete_post(&deleted).await;
        let liked = friend.post_id("friend's").await;
        let unliked = friend.post_id("unliked").await;
        for (by, other, post) in [(&leaver, &friend, &liked), (&friend, &leaver, &post)] {
            by.follow(other).await;
            by.like(post).await;
            by.put(&format!("/v1/posts/{post}/save")).await.expect(204);
        }
        leaver.like(&unliked).await;
        leaver.unlike(&unliked).await;
        leaver.follow(&bad).await;
        bad.follow(&leaver).await;
        world.wait_until_drained().await;
        leaver.block(&bad).await;
        bad.block(&leaver).await;
        // Comments on each other's posts, and one on a deleted post.
        leaver.comment(&liked, "bye").await;
        friend.comment(&post, "bye").await;
        leaver.comment(&unliked, "bye").await;
        friend.delete_post(&unliked).await;
        leaver.feed(5).await;
        friend.feed(5).await;
        Self {
            leaver,
            friend,
            blocker: bad,
            post,
            liked,
        }
    }

    /// Asserts that no user sees anything of the leaver's.
    async fn assert_gone(&self) {
        let Self {
            leaver,
            friend,
            post,
            liked,
            ..
        } = self;
        let user = format!("/v1/users/{}", leaver.id);
        for path in [
            user.clone(),
            format!("{user}/posts"),
            format!("{user}/followers"),
            format!("{user}/following"),
            format!("/v1/posts/{post}"),
            format!("/v1/posts/{post}/likes"),
        ] {
            friend.get(&path).await.problem(404);
        }
        let own = format!("/v1/users/{}", friend.id);
        for list in [
            format!("{own}/followers"),
            format!("{own}/following"),
            format!("/v1/posts/{liked}/likes"),
        ] {
            assert!(friend.walk(&list, 5).await.is_empty(), "{list}");
        }
        for list in ["/v1/feed", "/v1/me/saved"] {
            assert!(!friend.walk_ids(list, 5).await.contains(post), "{list}");
        }
        leaver.get("/v1/me").await.problem(404);
        // These requests must fail, since the erasure's last pass might not find what the leaver writes now.
        for (method, path, body) in [
            (
                Method::POST,
                "/v1/posts".to_owned(),
                json!({ "text": "still here" }),
            ),
            (
                Method::POST,
                format!("/v1/posts/{liked}/comments"),
                json!({ "text": "still here" }),
            ),
            (
                Method::POST,
                "/v1/cats".to_owned(),
                json!({ "name": "still here" }),
            ),
            (
                Method::PUT,
                "/v1/me".to_owned(),
                json!({ "handle": handle_of(leaver, "here"), "name": "x" }),
            ),
            (
                Method::PATCH,
                "/v1/me".to_owned(),
                json!({ "bio": "still here" }),
            ),
            (Method::PUT, format!("/v1/posts/{liked}/save"), Value::Null),
            (Method::PUT, format!("{own}/block"), Value::Null),
            (
                Method::POST,
                "/v1/uploads".to_owned(),
                json!({ "content_type": "image/png", "size": 1 }),
            ),
        ] {
            let mut request = leaver.request(method, &path);
            if !body.is_null() {
                request = request.json(&body);
            }
            leaver.send(request).await.problem(403);
        }
    }
}

/// Returns a handle of the user that doesn't contain the id.
fn handle_of(user: &User, name: &str) -> String {
    let number = user.id.rsplit('-').next().unwrap();
    format!("{name}_{number}")
}

fn mentions(value: &AttributeValue, id: &str) -> bool {
    format!("{value:?}").contains(id)
}

/// Returns everything that mentions a user: items, objects by name, objects of the index by content, and keys of the cache.
pub(super) async fn traces(stage: &Backstage, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let tables = stage.tables.list_tables().send().await.unwrap();
    for table in tables.table_names() {
        let scan = stage.tables.scan().table_name(table);
        let items = scan_all(scan.consistent_read(true)).await;
        let items = items
            .iter()
            .filter(|item| item.values().any(|value| mentions(value, id)));
        found.extend(items.map(|item| format!("{table}: {item:?}")));
    }
    let bucket = stage.world.bucket_name("UploadsBucket").unwrap();
    let list = stage
        .world
        .s3()
        .list_objects_v2()
        .bucket(bucket)
        .prefix(format!("uploads/{id}/"));
    let objects = list.send().await.unwrap();
    found.extend(
        objects
            .contents()
            .iter()
            .map(|object| format!("{:?}", object.key())),
    );
    let search = stage.world.bucket_name("SearchBucket").unwrap();
    let list = stage.world.s3().list_objects_v2().bucket(search);
    for object in list.send().await.unwrap().contents() {
        let key = object.key().unwrap();
        let get = stage.world.s3().get_object().bucket(search).key(key);
        // The object may have been removed meanwhile.
        let Ok(object) = get.send().await else {
            continue;
        };
        let bytes = object.body.collect().await.unwrap().into_bytes();
        if bytes.windows(id.len()).any(|part| part == id.as_bytes()) {
            found.push(format!("{search}: {key}"));
        }
    }
    let keys = stage.keys().await;
    let keys = keys
        .iter()
        .map(|key| String::from_utf8_lossy(key).into_owned());
    found.extend(keys.filter(|key| key.contains(id)));
    found
}

/// Runs `sweep` until nothing of the user is left.
pub(super) async fn sweep_until_erased(stage: &Backstage, id: &str) {
    eventually("the account is erased", async || {
        stage.sweep().await;
        stage.sweep_until_settled().await;
        stage
            .item("UsersTable", "id", id)
            .await
            .is_none()
            .then_some(())
    })
    .await;
    // Deleted documents leave the index's bucket with later batches.
    eventually("nothing is left", async || {
        stage.world.run_schedule("sweep").await.unwrap();
        stage.world.wait_until_drained().await;
        let left = traces(stage, id).await;
        if !left.is_empty() {
            println!("left: {left:#?}");
        }
        left.is_empty().then_some(())
    })
    .await;
}

pub(super) async fn leave(user: &User) {
    let reply = user.delete("/v1/me").await.expect(202);
    assert_eq!(reply.json(), json!({ "status": "withdrawn" }));
}

/// Fails if what is shown ignores who has left, or if any step of the erasure is left out.
#[tokio::test]
async fn a_departed_user_is_hidden_at_once_and_then_erased_everywhere() {
    let stage = stage().await;
    let account = Account::of(&stage.world).await;
    let Account { leaver, friend, .. } = &account;
    assert!(traces(&stage, &leaver.id).await.len() > 15);
    for _ in 0..2 {
        leave(leaver).await;
        account.assert_gone().await;
        stage.world.flush_cache().await.unwrap();
        account.assert_gone().await;
    }
    sweep_until_erased(&stage, &leaver.id).await;
    friend
        .get(&format!("/v1/users/{}", leaver.id))
        .await
        .problem(404);
    // Old links don't immediately lead to another user.
    for handle in ["old", "new"].map(|handle| handle_of(leaver, handle)) {
        friend
            .get(&format!("/v1/users/@{handle}"))
            .await
            .problem(404);
        let profile = json!({ "handle": handle, "name": "Not me" });
        friend.put_me(&profile).await.problem(409);
    }
    let counts = friend.me().await;
    assert_eq!(
        (&counts["followers"], &counts["following"]),
        (&json!(0), &json!(0))
    );
    let read = friend.read_post(&account.liked).await;
    assert_eq!((&read["likes"], &read["comments"]), (&json!(0), &json!(0)));
    stage
        .assert_exact(
            std::slice::from_ref(&friend.id),
            std::slice::from_ref(&account.liked),
        )
        .await;
}

/// Fails if consumers ignore who has left: a request made before leaving is void, whenever it is delivered.
#[tokio::test]
async fn stale_edges_are_ignored_after_rejoining() {
    let stage = stage().await;
    let world = &stage.world;
    let account = Account::of(world).await;
    let Account { leaver, friend, .. } = &account;
    for queue in ["LikesQueue", "FollowsQueue"] {
        world.pause_queue(queue).await.unwrap();
    }
    let other = friend.post_id("other").await;
    leaver.like(&other).await;
    leaver.follow(friend).await;
    friend.follow(leaver).await;
    let late = [
        stage.take("LikesQueue").await,
        stage.take("FollowsQueue").await,
    ];
    leave(leaver).await;
    // During the erasure, and after it.
    for _ in 0..2 {
        for (function, words) in ["like-consumer", "follow-consumer"].iter().zip(&late) {
            assert!(!words.is_empty());
            assert!(stage.deliver(function, words).await.is_empty());
        }
        assert_eq!(friend.read_post(&other).await["likes"], 0);
        for queue in ["LikesQueue", "FollowsQueue"] {
            world.resume_queue(queue).unwrap();
        }
        sweep_until_erased(&stage, &leaver.id).await;
    }

    // A follow doesn't bring an erased user back.
    friend.follow(leaver).await;
    world.wait_until_drained().await;
    let gone = format!("/v1/users/{}", leaver.id);
    friend.get(&gone).await.problem(404);
    assert!(traces(&stage, &leaver.id).await.is_empty());

    let me = leaver.me().await;
    for count in ["followers", "following", "posts"] {
        assert_eq!(me[count], 0, "{count}");
    }
    let post = leaver.post_id("again").await;
    leaver.like(&other).await;
    friend.follow(leaver).await;
    world.wait_until_drained().await;
    assert_eq!(friend.read_post(&other).await["likes"], 1);
    assert_eq!(friend.feed_ids(1).await, [post]);
}

/// Rule 7: if an erasure dies at any call, the next one finishes it, and other users' counts are exact.
#[tokio::test]
async fn an_erasure_survives_a_crash_at_any_call() {
    let stage = stage().await;
    let world = &stage.world;
    let mut nth = 1;
    loop {
        let account = Account::of(world).await;
        leave(&account.leaver).await;
        let fault = world
            .on_call(FaultRule::kill("sweep", nth, When::After))
            .unwrap();
        stage.make_overdue().await;
        let outcome = world.run_schedule("sweep").await;
        let died = fault.fired() > 0;
        assert_eq!(outcome.is_err(), died, "{nth}");
        fault.clear();
        account.assert_gone().await;
        sweep_until_erased(&stage, &account.leaver.id).await;
        stage
            .assert_exact(
                std::slice::from_ref(&account.friend.id),
                std::slice::from_ref(&account.liked),
            )
            .await;
        assert_eq!(
            account.friend.read_post(&account.liked).await["likes"],
            0,
            "{nth}"
        );
        // Only the other user's block is kept, and it is complete.
        let kept = stage
            .partition("BlocksTable", "user", &account.blocker.id)
            .await;
        assert_eq!(kept.len(), 1, "{nth}: {kept:?}");
        let left = text(&kept[0], "other");
        let blocked = stage.partition("BlocksTable", "user", &left).await;
        assert_eq!(blocked.len(), 1, "{nth}: {blocked:?}");
        if !died {
            assert!(nth > 20, "the erasure made only {nth} calls");
            return;
        }
        nth += 3;
    }
}

/// After a pass that found the indexes empty, another finds a like that an index had not shown, removes it, and dies: the
/// next empty look counts as the first of two again. Fails when a pass notes what it found only at its end.
#[tokio::test]
async fn an_interrupted_pass_counts_as_one_that_found_something() {
    let stage = stage().await;
    let (leaver, friend) = (stage.world.user("leaver"), stage.world.user("friend"));
    let post = friend.post_id("x").await;
    leaver.like(&post).await;
    leaver.unlike(&post).await;
    stage.world.wait_until_drained().await;
    let mut like = Vec::new();
    for shard in 0..16 {
        let partition = format!("{post}#{shard}");
        like.extend(stage.partition("LikesTable", "post", &partition).await);
    }
    let like = like.pop().unwrap();
    leave(&leaver).await;
    let row = async || stage.item("UsersTable", "id", &leaver.id).await.unwrap();
    eventually("the indexes were found empty", async || {
        stage.world.run_schedule("sweep").await.unwrap();
        row().await.contains_key("empty_since").then_some(())
    })
    .await;
    let put = stage
        .tables
        .put_item()
        .table_name(stage.table("LikesTable"));
    put.set_item(Some(like)).send().await.unwrap();
    stage.make_overdue().await;
    let rule = FaultRule::kill("sweep", 1, When::After).operation("TransactWriteItems");
    let kill = stage.world.on_call(rule).unwrap();
    eventually("the like is taken away", async || {
        let _ = stage.world.run_schedule("sweep").await;
        (kill.fired() > 0).then_some(())
    })
    .await;
    assert!(!row().await.contains_key("empty_since"));
    sweep_until_erased(&stage, &leaver.id).await;
}

#[tokio::test]
async fn without_the_cache_leaving_is_not_answered() {
    let stage = stage().await;
    let account = Account::of(&stage.world).await;
    stage.world.stop_service(Service::Cache, Outage::Closed);
    let reply = account.leaver.delete("/v1/me").await;
    reply.problem(503);
    assert!(reply.header("retry-after").is_some());
    stage.world.resume_service(Service::Cache);
    leave(&account.leaver).await;
    account.assert_gone().await;
}

/// Writes rows directly into a table.
pub(super) async fn fill(stage: &Backstage, table: &str, rows: impl Iterator<Item = Value>) {
    let attribute = |value: Value| match value {
        Value::String(text) => AttributeValue::S(text),
        Value::Bool(value) => AttributeValue::Bool(value),
        Value::Array(_) => AttributeValue::L(Vec::new()),
        number => AttributeValue::N(number.to_string()),
    };
    let put = |row: Value| {
        let Value::Object(members) = row else {
            panic!("no row: {row}")
        };
        let item = members
            .into_iter()
            .map(|(name, value)| (name, attribute(value)));
        let put = PutRequest::builder().set_item(Some(item.collect()));
        WriteRequest::builder()
            .put_request(put.build().unwrap())
            .build()
    };
    let puts: Vec<WriteRequest> = rows.map(put).collect();
    for chunk in puts.chunks(25) {
        let write = stage.tables.batch_write_item();
        let output = write
            .request_items(stage.table(table), chunk.to_vec())
            .send()
            .await
            .unwrap();
        assert!(
            output
                .unprocessed_items
                .is_none_or(|items| items.is_empty())
        );
    }
}

/// Fails if a step of the erasure stops after its first part.
#[tokio::test]
async fn an_account_with_many_posts_and_followers_is_erased() {
    let size: usize = std::env::var(SIZE).map_or(300, |size| size.parse().unwrap());
    let stage = stage().await;
    let star = stage.world.user("star");
    star.me().await;
    let id = star.id.as_str();
    let ids = IdSource::new();
    let posts: Vec<PostId> = (0..size).map(|_| PostId(ids.mint())).collect();
    let fan = |n: usize| format!("fan-{n}");
    let post_row = |post: &PostId| json!({ "id": post.to_string(), "author": id, "rev": 0, "text": "x", "images": [], "cats": [] });
    fill(&stage, "PostsTable", posts.iter().map(post_row)).await;
    let place = |post: &PostId| json!({ "list": format!("author#{id}"), "post": post.to_string() });
    fill(&stage, "PostListsTable", posts.iter().map(place)).await;
    let edge = |list: String, user: String| json!({ "list": list, "user": user, "active": true, "version": 1, "since": 1 });
    let edges = (0..size).flat_map(|n| {
        [
            edge(format!("followers#{id}"), fan(n)),
            edge(format!("following#{}", fan(n)), id.to_owned()),
        ]
    });
    fill(&stage, "FollowsTable", edges).await;
    let fans = (0..size).map(|n| json!({ "id": fan(n), "created_at": 1, "following": 1 }));
    let counts = json!({ "id": id, "created_at": 1, "posts": size, "followers": size });
    fill(&stage, "UsersTable", fans.chain([counts])).await;
    assert_eq!(star.me().await["posts"], size);

    leave(&star).await;
    let started = Timestamp::now();
    let mut sweeps = 0;
    eventually_within(PATIENCE, "the account is erased", async || {
        stage.world.run_schedule("sweep").await.unwrap();
        sweeps += 1;
        stage
            .item("UsersTable", "id", id)
            .await
            .is_none()
            .then_some(())
    })
    .await;
    let seconds = (Timestamp::now().millis() - started.millis()) / 1000;
    println!("{size} posts and followers: erased in {seconds} s, {sweeps} sweeps");
    stage.world.wait_until_drained().await;
    stage.sweep_until_settled().await;
    let left = traces(&stage, id).await;
    assert!(left.is_empty(), "{left:#?}");
    for n in [0, size / 2, size - 1] {
        let fan = stage.item("UsersTable", "id", &fan(n)).await.unwrap();
        assert_eq!(fan["following"], AttributeValue::N("0".to_owned()));
    }
}
