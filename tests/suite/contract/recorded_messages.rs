//! A rolling deploy: for a while, the functions of two releases send each other messages. `tests/messages/<release>.json`
//! records the messages of each release.
//!
//! This release must handle the messages of earlier releases, and earlier releases must handle this release's messages.
//! All releases ignore unknown fields. So every field that an earlier release knows must still be there, and a new
//! field must make no difference to a release that ignores it: list such a field in [`IGNORABLE_FIELDS`], or give the
//! message another `v`.
//!
//! With `RECORD=<release>` in the environment, this release's messages are recorded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::backstage::Backstage;
use crate::support::{User, World, eventually, repository};

/// Messages by their queue.
type Messages = BTreeMap<String, Vec<Value>>;

/// Fields that came after the first release and that earlier releases may ignore: queue and path.
const IGNORABLE_FIELDS: &[(&str, &str)] = &[
    // Without this field, requests are ordered by their endpoint's clock, as before.
    ("LikesQueue", "/own_clock"),
    ("FollowsQueue", "/own_clock"),
];

const CONSUMERS: [(&str, &str); 5] = [
    ("LikesQueue", "like-consumer"),
    ("FollowsQueue", "follow-consumer"),
    ("FanOutQueue", "fan-out"),
    ("IndexQueue", "index"),
    ("PhotosQueue", "photo"),
];

fn folder() -> PathBuf {
    repository().join("tests/messages")
}

fn recorded_messages() -> BTreeMap<String, Messages> {
    let read = |path: PathBuf| {
        let release = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let messages = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        (release, messages)
    };
    let files = std::fs::read_dir(folder()).unwrap();
    files.map(|file| read(file.unwrap().path())).collect()
}

/// Starts a stack whose messages stay in the queues, and on which two followers make an author an influencer.
async fn stage() -> Backstage {
    let options = World::options().parameter("InfluencerFollowers", "2");
    let world = World::with(options).await;
    for (queue, _) in CONSUMERS {
        world.pause_queue(queue).await.unwrap();
    }
    Backstage::of(&world).await
}

/// Takes a queue's messages, keeps one of each shape in `into`, and returns the bodies.
async fn take_and_record(stage: &Backstage, queue: &str, into: &mut Messages) -> Vec<String> {
    let bodies = stage.take(queue).await;
    let known = into.entry(queue.to_owned()).or_default();
    for body in &bodies {
        let message: Value = serde_json::from_str(body).unwrap();
        if !known.iter().any(|other| shape(other) == shape(&message)) {
            known.push(message);
        }
    }
    bodies
}

async fn deliver_all(stage: &Backstage, consumer: &str, bodies: &[String]) {
    let failed = stage.deliver(consumer, bodies).await;
    assert!(
        failed.is_empty(),
        "{consumer} refuses {failed:?} of {bodies:#?}"
    );
}

/// Returns each kind of message, as this release sends it.
async fn current_messages() -> Messages {
    let stage = stage().await;
    let mut sent = Messages::new();
    let author = stage.world.user("author");
    let fans: Vec<User> = (0..3).map(|_| stage.world.user("fan")).collect();
    let post = author.post_id("purr").await;
    author.cat_id("Mimi").await;
    author
        .put_me(&json!({ "name": "Nabi", "handle": author.own_handle() }))
        .await;
    fans[0].like(&post).await;
    fans[0].unlike(&post).await;
    take_and_record(&stage, "LikesQueue", &mut sent).await;
    take_and_record(&stage, "IndexQueue", &mut sent).await;
    let whole = take_and_record(&stage, "FanOutQueue", &mut sent).await;
    // The fan-out is split by shard.
    stage.spread_followers(&author, 16).await;
    deliver_all(&stage, "fan-out", &whole).await;
    let chunks = take_and_record(&stage, "FanOutQueue", &mut sent).await;
    assert_eq!(chunks.len(), 16);
    for fan in &fans {
        fan.follow(&author).await;
    }
    fans[0].unfollow(&fans[1]).await;
    let follows = take_and_record(&stage, "FollowsQueue", &mut sent).await;
    deliver_all(&stage, "follow-consumer", &follows).await;
    // The author is an influencer now, which is announced to all followers.
    author.post_id("purr again").await;
    let whole = take_and_record(&stage, "FanOutQueue", &mut sent).await;
    deliver_all(&stage, "fan-out", &whole).await;
    take_and_record(&stage, "FanOutQueue", &mut sent).await;
    take_and_record(&stage, "IndexQueue", &mut sent).await;
    // A notice of the bucket's, and reviews.
    let body = json!({ "images": [author.upload_photo().await] });
    let post = author.create("/v1/posts", &body).await.expect(201).json();
    author.delete_post(post["id"].as_str().unwrap()).await;
    fans[1].delete("/v1/me").await.expect(202);
    eventually("both tasks are sent", async || {
        take_and_record(&stage, "PhotosQueue", &mut sent).await;
        (sent["PhotosQueue"].len() >= 3).then_some(())
    })
    .await;
    sent
}

/// Returns the kinds of values by their paths, and the value itself where only few are possible.
fn shape(message: &Value) -> BTreeMap<String, String> {
    let mut paths = BTreeMap::new();
    walk("", message, &mut paths);
    paths
}

fn walk(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let kind = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                walk(&format!("{path}/{name}"), value, into);
            }
            return;
        }
        Value::String(kind) if path == "/kind" => kind,
        Value::String(_) => "text",
        Value::Number(number) if path == "/v" => &number.to_string(),
        Value::Number(_) => "number",
        Value::Bool(yes) => &yes.to_string(),
        Value::Null => "nothing",
        Value::Array(_) => "list",
    };
    into.insert(path.to_owned(), kind.to_owned());
}

#[tokio::test]
async fn messages_have_every_field_that_earlier_releases_know() {
    let sent = current_messages().await;
    if let Ok(release) = std::env::var("RECORD") {
        let text = serde_json::to_string_pretty(&sent).unwrap() + "\n";
        let path = folder().join(format!("{release}.json"));
        assert!(!path.exists(), "what {release} sent is recorded");
        std::fs::write(path, text).unwrap();
    }
    for (release, recorded) in recorded_messages() {
        for (queue, messages) in &sent {
            // An earlier release has no consumer for a later queue.
            let Some(recorded) = recorded.get(queue) else {
                continue;
            };
            for message in messages {
                let mut known = shape(message);
                known
                    .retain(|path, _| !IGNORABLE_FIELDS.contains(&(queue.as_str(), path.as_str())));
                assert!(
                    recorded.iter().any(|other| shape(other) == known),
                    "{release} knows no message of {queue} such as {message}"
                );
            }
        }
    }
}

/// Returns a message as recorded, and again with an additional field at each level, as a later release might send it.
fn versions(message: &Value) -> [String; 2] {
    let mut more = message.clone();
    more["later"] = json!({ "than": "this" });
    if let Some(chunk) = more.get_mut("chunk") {
        chunk["later"] = json!([1]);
    }
    [message.to_string(), more.to_string()]
}

/// Returns a recorded message that is about these objects instead.
fn with_objects(message: &Value, post: &str, cat: &str, author: &User, fan: &User) -> Value {
    let mut message = message.clone();
    let id = match message["kind"].as_str() {
        Some("post") => post,
        Some("cat") => cat,
        _ => &fan.id,
    };
    for (name, id) in [
        ("id", id),
        ("post", post),
        ("user", &fan.id),
        ("follower", &fan.id),
        ("followee", &author.id),
    ] {
        if let Some(field) = message.get_mut(name) {
            *field = json!(id);
        }
    }
    if let Some(chunk) = message.get_mut("chunk") {
        chunk["author"] = json!(author.id);
    }
    message
}

#[tokio::test]
async fn messages_of_earlier_releases_are_handled() {
    for (release, recorded) in recorded_messages() {
        for version in 0..2 {
            let stage = stage().await;
            let (author, fan) = (stage.world.user("author"), stage.world.user("fan"));
            let profile = json!({ "name": "Nabi", "handle": fan.own_handle() });
            fan.put_me(&profile).await.expect(201);
            let (post, cat) = (author.post_id("purr").await, author.cat_id("Mimi").await);
            let with_objects =
                |message: &Value, post: &str| with_objects(message, post, &cat, &author, &fan);
            let message =
                |message: &Value| versions(&with_objects(message, &post))[version].clone();
            let of = |queue: &str| -> Vec<String> { recorded[queue].iter().map(message).collect() };
            let says = |queue, field: &str, value: bool| -> Vec<String> {
                let mut said: Vec<Value> = of(queue)
                    .iter()
                    .map(|body| serde_json::from_str(body).unwrap())
                    .collect();
                said.retain(|message| message[field] == value);
                assert!(
                    !said.is_empty(),
                    "{release}: {queue} never says {field}: {value}"
                );
                said.iter().map(Value::to_string).collect()
            };
            deliver_all(
                &stage,
                "follow-consumer",
                &says("FollowsQueue", "follow", true),
            )
            .await;
            assert_eq!(author.me().await["followers"], 1, "{release}");
            deliver_all(&stage, "like-consumer", &says("LikesQueue", "like", true)).await;
            assert_eq!(stage.likes_of(&post).await.0, 1, "{release}");
            // Each message pushes a different post onto an existing feed.
            let mut posts = Vec::<String>::new();
            assert_eq!(fan.feed_ids(10).await, posts, "{release}");
            for message in &recorded["FanOutQueue"] {
                posts.insert(0, author.post_id("purr").await);
                let body = versions(&with_objects(message, &posts[0]))[version].clone();
                deliver_all(&stage, "fan-out", &[body]).await;
                if message["chunk"]["announces"].is_string() {
                    // From now on readers merge the author's posts in, including the one that was never pushed.
                    posts.push(post.clone());
                }
                assert_eq!(fan.feed_ids(10).await, posts, "{release}: {message}");
            }
            deliver_all(&stage, "index", &of("IndexQueue")).await;
            for (word, kind, id) in [
                ("purr", "posts", &post),
                ("Mimi", "cats", &cat),
                ("Nabi", "users", &fan.id),
            ] {
                let found = eventually("it is found", async || {
                    let path = format!("/v1/search?q={word}&type={kind}");
                    let found = fan.page(&path).await.0;
                    (!found.is_empty()).then_some(found)
                })
                .await;
                assert_eq!(found[0]["id"], **id, "{release}: {kind}");
            }
            deliver_all(&stage, "like-consumer", &says("LikesQueue", "like", false)).await;
            deliver_all(
                &stage,
                "follow-consumer",
                &says("FollowsQueue", "follow", false),
            )
            .await;
            assert_eq!(stage.likes_of(&post).await.0, 0, "{release}");
            assert_eq!(author.me().await["followers"], 0, "{release}");
        }
    }
}
