//! Rule 8: each function's role allows only the calls it makes, on the resources it uses.
//!
//! Locally no role is enforced. So the flows of the API are run, the calls of each function are
//! taken down, and they are compared with what the template allows it: a call that isn't allowed
//! would fail on AWS, and what is allowed and never called is too much. Of tables and their indexes each action is
//! compared with what it is done to; a transaction is as many as it has parts.

use std::collections::{BTreeMap, BTreeSet};

use purrline_local::{Outage, Service};
use saphyr::{LoadableYamlNode as _, MarkedYamlOwned, ScalarOwned, YamlDataOwned};
use serde_json::{Value, json};

use crate::faults::backstage::Backstage;
use crate::support::{JPEG, User, World, comments, eventually, image, repository};

/// YAML as JSON; `!Sub x` becomes `{"!Sub": x}`.
fn plain(yaml: &MarkedYamlOwned) -> Value {
    match &yaml.data {
        YamlDataOwned::Value(ScalarOwned::String(text)) => json!(text),
        YamlDataOwned::Value(ScalarOwned::Integer(number)) => json!(number),
        YamlDataOwned::Value(ScalarOwned::Boolean(value)) => json!(value),
        YamlDataOwned::Sequence(items) => items.iter().map(plain).collect(),
        YamlDataOwned::Mapping(entries) => {
            let text = |key: Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            let members = entries
                .iter()
                .map(|(key, value)| (text(plain(key)), plain(value)));
            Value::Object(members.collect())
        }
        YamlDataOwned::Tagged(tag, inner) => json!({ format!("!{}", tag.suffix): plain(inner) }),
        _ => Value::Null,
    }
}

fn template() -> Value {
    let text = std::fs::read_to_string(repository().join("template.yaml")).unwrap();
    plain(&MarkedYamlOwned::load_from_str(&text).unwrap()[0])
}

fn list(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map_or_else(|| vec![value], |items| items.iter().collect())
}

/// The statements of a function's role: its own policies, or those of the role that it names.
fn statements<'a>(template: &'a Value, function: &str) -> Vec<&'a Value> {
    let resources = &template["Resources"];
    let properties = &resources[function]["Properties"];
    let policies = match properties["Role"]["!GetAtt"].as_str() {
        Some(role) => &resources[role.split('.').next().unwrap()]["Properties"]["Policies"],
        None => &properties["Policies"],
    };
    let documents = policies.as_array().into_iter().flatten();
    let document = |policy: &'a Value| policy.get("PolicyDocument").unwrap_or(policy);
    documents
        .flat_map(|policy| list(&document(policy)["Statement"]))
        .collect()
}

fn actions(statement: &Value) -> impl Iterator<Item = String> + '_ {
    list(&statement["Action"])
        .into_iter()
        .map(|action| action.as_str().unwrap().to_owned())
}

/// The actions that a call needs; one of them is enough, since a transaction doesn't tell its parts.
fn needed(service: Service, operation: &str) -> Vec<String> {
    let names: &[&str] = match (service, operation) {
        (Service::Tables, "TransactWriteItems") => {
            &["PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"]
        }
        (Service::Queues, "SendMessageBatch") => &["SendMessage"],
        (Service::Bucket, "HeadObject") => &["GetObject"],
        (Service::Bucket, "DeleteObjects") => &["DeleteObject"],
        (Service::Bucket, "ListObjects") => &["ListBucket"],
        (Service::Functions, "Invoke") => &["InvokeFunction"],
        (_, operation) => &[operation],
    };
    let prefix = match service {
        Service::Tables => "dynamodb",
        Service::Queues => "sqs",
        Service::Bucket => "s3",
        Service::Functions => "lambda",
        Service::Cache => return Vec::new(),
    };
    names
        .iter()
        .map(|name| format!("{prefix}:{name}"))
        .collect()
}

/// What is allowed of tables: actions, and what they may be done to.
fn granted(world: &World, statements: &[&Value]) -> BTreeSet<(String, String)> {
    let mut granted = BTreeSet::new();
    for statement in statements {
        for resource in list(&statement["Resource"]) {
            let (name, index) = match (resource["!GetAtt"].as_str(), resource["!Sub"].as_str()) {
                (Some(attribute), _) => (attribute.strip_suffix(".Arn").unwrap(), ""),
                (_, Some(text)) => {
                    let text = text.strip_prefix("${").unwrap();
                    text.split_once(".Arn}").unwrap()
                }
                _ => panic!("not a resource of the template: {resource}"),
            };
            let tables = actions(statement).filter(|action| action.starts_with("dynamodb:"));
            granted.extend(tables.map(|action| {
                let table = world.table_name(name).unwrap();
                (action, format!("{table}{index}"))
            }));
        }
    }
    granted
}

/// Allowed for what no function calls itself (the poller's calls, what a presigned URL lets its bearer
/// do, S3 saying "not found" instead of "forbidden"), or not here: more than a thousand followers are
/// cut into messages of their own, which `faults::large_fan_out` does, and what search has no use for any
/// more is removed after a quarter of an hour.
fn is_not_seen_here(function: &str, action: &str) -> bool {
    matches!(
        (function, action),
        (
            _,
            "sqs:ReceiveMessage" | "sqs:DeleteMessage" | "sqs:GetQueueAttributes"
        ) | ("upload-url", "s3:PutObject" | "s3:PutObjectTagging")
            | (
                "cat" | "post-write" | "classify" | "profile",
                "s3:ListBucket"
            )
            | ("fan-out", "sqs:SendMessage")
            | ("index", "s3:DeleteObject")
    )
}

/// Does everything that the API can do at least once, with and without the cache.
async fn everything(world: &World) {
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    let (kept, deleted) = posts(world, &nabi, &fan).await;
    let photo = profiles(&nabi, &fan).await;
    feeds(world, &nabi, &fan).await;
    community(world, &nabi, &fan, &kept).await;
    cats_and_search(world, &nabi, &fan, &photo).await;
    fan.like(&deleted).await;
    let others = format!("/v1/posts/{kept}");
    fan.change(&others, &json!({ "text": "mine" }))
        .await
        .expect(403);
    fan.delete(&others).await.expect(403);
    fan.comment(&deleted, "gone with it").await;
    world.drained().await;
    nabi.delete_post(&deleted).await;
    fan.unlike(&kept).await;
    fan.unfollow(&nabi).await;
    world.drained().await;
    left_unsent(world, &nabi).await;
    leaving(world, &nabi, &fan, &kept).await;
}

/// Answers a post that stays, and one that is to go.
async fn posts(world: &World, nabi: &User, fan: &User) -> (String, String) {
    let wanted = json!({ "content_type": "image/png", "size": 1 });
    for _ in 0..2 {
        nabi.create_once("/v1/uploads", "key", &wanted)
            .await
            .expect(201);
    }
    let key = nabi.upload("image/png", b"x").await;
    fan.follow(nabi).await;
    fan.me().await;
    let body = json!({ "text": "#x", "images": [key] });
    let mut posts = Vec::new();
    for key in ["a", "a", "b", "c"] {
        posts.push(
            nabi.create_once("/v1/posts", key, &body)
                .await
                .expect(201)
                .json(),
        );
    }
    let [_, edited, deleted, kept] =
        [0, 1, 2, 3].map(|n: usize| posts[n]["id"].as_str().unwrap().to_owned());
    fan.like(&kept).await;
    nabi.change(&format!("/v1/posts/{edited}"), &json!({ "text": "y" }))
        .await
        .expect(200);
    world.drained().await;
    fan.like(&kept).await;
    fan.follow(nabi).await;
    world.drained().await;
    for _ in 0..2 {
        for user in [nabi, fan] {
            user.feed(20).await;
            user.me().await;
            user.see(nabi).await;
            user.read_post(&kept).await;
            for list in ["posts", "followers", "following"] {
                user.walk(&format!("/v1/users/{}/{list}", nabi.id), 2).await;
                user.walk(&format!("/v1/users/{}/{list}", fan.id), 2).await;
            }
        }
        world.flush_cache().await.unwrap();
    }
    (kept, deleted)
}

/// Answers a photo.
async fn profiles(nabi: &User, fan: &User) -> String {
    let photo = nabi.upload("image/jpeg", &image(JPEG)).await;
    let profile = json!({ "handle": "nabi", "name": "나비", "avatar": photo });
    nabi.put_me(&profile).await.expect(201);
    // One that is given up, and taken back.
    for handle in ["nabi_2", "nabi"] {
        let profile = json!({ "handle": handle, "name": "나비", "avatar": photo });
        nabi.put_me(&profile).await.expect(200);
    }
    // Chosen and generated.
    for handle in [json!("nabi"), fan.me().await["handle"].clone()] {
        let path = format!("/v1/users/@{}", handle.as_str().unwrap());
        fan.get(&path).await.expect(200);
        fan.page(&format!("{path}/posts")).await;
        fan.page(&format!("{path}/cats")).await;
    }
    photo
}

/// Reads a feed down to its end, and without the cache.
async fn feeds(world: &World, nabi: &User, fan: &User) {
    for _ in 0..3 {
        nabi.post_id("deep").await;
    }
    world.drained().await;
    fan.walk("/v1/feed", 1).await;
    world.stop_service(Service::Cache, Outage::Closed);
    fan.feed(20).await;
    world.resume_service(Service::Cache);
}

async fn community(world: &World, nabi: &User, fan: &User, kept: &str) {
    for user in [nabi, fan] {
        user.walk(&format!("/v1/posts/{kept}/likes"), 2).await;
        let save = format!("/v1/posts/{kept}/save");
        user.put(&save).await.expect(204);
        user.walk("/v1/me/saved", 2).await;
        user.delete(&save).await.expect(204);
    }
    for user in [nabi, fan] {
        let comments = comments(kept);
        let body = json!({ "text": "purr" });
        for _ in 0..2 {
            user.create_once(&comments, "comment", &body)
                .await
                .expect(201);
        }
        let ids = fan.walk_ids(&comments, 2).await;
        user.uncomment(kept, &ids[0]).await.expect(204);
    }
    let other = world.user("other");
    fan.block(nabi).await;
    nabi.block(fan).await;
    fan.walk("/v1/me/blocked", 2).await;
    nabi.block(&other).await;
    fan.delete("/v1/users/@nabi/block").await.expect(204);
    let generated = other.me().await["handle"].as_str().unwrap().to_owned();
    let block = format!("/v1/users/@{generated}/block");
    fan.put(&block).await.expect(204);
    fan.delete(&block).await.expect(204);
    for (by, whom) in [(fan, nabi), (nabi, fan), (nabi, &other)] {
        by.unblock(whom).await;
    }
}

async fn cats_and_search(world: &World, nabi: &User, fan: &User, photo: &str) {
    nabi.classify_upload("", photo).await.expect(200);
    nabi.page("/v1/breeds").await;
    for key in ["cat", "cat"] {
        let cat = json!({ "name": "나비", "photo": photo });
        nabi.create_once("/v1/cats", key, &cat).await.expect(201);
    }
    let cat = nabi.cat_id("coco").await;
    nabi.change(&format!("/v1/cats/{cat}"), &json!({ "bio": "x" }))
        .await
        .expect(200);
    fan.walk(&format!("/v1/users/{}/cats", nabi.id), 1).await;
    nabi.post_of("x", &[&cat]).await;
    fan.walk(&format!("/v1/cats/{cat}/posts"), 1).await;
    fan.walk("/v1/tags/x/posts", 1).await;
    fan.page("/v1/tags/trending").await;
    world.drained().await;
    for (kind, word) in [
        ("posts", "x"),
        ("users", "nabi"),
        ("cats", "coco"),
        ("tags", "x"),
    ] {
        let found = fan.page(&format!("/v1/search?q={word}&type={kind}")).await;
        assert!(!found.0.is_empty(), "no {kind}");
    }
    nabi.delete(&format!("/v1/cats/{cat}")).await.expect(204);
}

/// What a crash left unsent.
async fn left_unsent(world: &World, nabi: &User) {
    // One that has no index yet.
    world.kill_function("index").unwrap();
    world.pause_queue("FanOutQueue").await.unwrap();
    let image = nabi.upload("image/png", b"x").await;
    let body = json!({ "text": "unsent", "images": [image] });
    nabi.create("/v1/posts", &body).await.expect(201);
    Backstage::of(world).await.sweep().await;
    world.resume_queue("FanOutQueue").unwrap();
    world.drained().await;
}

/// Somebody leaves who has left something of everything.
async fn leaving(world: &World, nabi: &User, fan: &User, kept: &str) {
    fan.follow(nabi).await;
    fan.like(kept).await;
    fan.comment(kept, "bye").await;
    fan.put(&format!("/v1/posts/{kept}/save")).await.expect(204);
    fan.block(&world.user("other")).await;
    let profile = json!({ "handle": "fan", "name": "Fan" });
    fan.put_me(&profile).await.expect(201);
    fan.cat_id("Momo").await;
    fan.create_once("/v1/posts", "bye", &json!({ "text": "bye" }))
        .await
        .expect(201);
    fan.upload("image/png", b"x").await;
    world.drained().await;
    fan.delete("/v1/me").await.expect(202);
    let stage = Backstage::of(world).await;
    eventually("they are erased", async || {
        world.run_schedule("sweep").await.unwrap();
        let seen = stage.item("UsersTable", "id", &fan.id).await;
        seen.is_none().then_some(())
    })
    .await;
    world.drained().await;
}

#[tokio::test]
async fn every_call_is_allowed_and_nothing_else() {
    let mut options = World::options().parameter("ErasureSeconds", "1");
    // Nobody meets a limit, but all are asked for: that is what most functions use the cache for.
    for limit in ["ReadLimit", "WriteLimit", "ClassifyLimit"] {
        options = options.parameter(limit, "9999999/9999999");
    }
    // Feeds as short as possible, so that they have an end to be read beyond.
    let world = World::with(options.parameter("FeedLength", "1")).await;
    everything(&world).await;
    let template = template();
    let mut made: BTreeMap<String, BTreeSet<(Service, String)>> = BTreeMap::new();
    for call in world
        .calls()
        .into_keys()
        .filter(|call| call.service != Service::Cache)
    {
        made.entry(call.function)
            .or_default()
            .insert((call.service, call.operation));
    }
    let mut wrong = Vec::new();
    for function in world.plan().functions.values() {
        let allowed: BTreeSet<String> = statements(&template, &function.logical_id)
            .into_iter()
            .flat_map(actions)
            .collect();
        let mut used = BTreeSet::new();
        for (service, operation) in made.get(&function.name).into_iter().flatten() {
            let needed = needed(*service, operation);
            if !needed.iter().any(|action| allowed.contains(action)) {
                wrong.push(format!(
                    "{} calls {operation}, which its role doesn't allow",
                    function.name
                ));
            }
            used.extend(needed);
        }
        let tables = world.asked().into_iter();
        let tables = tables.filter(|asked| asked.function == function.name);
        let asked: BTreeSet<_> = tables.map(|it| (it.action, it.resource)).collect();
        let mut granted = granted(&world, &statements(&template, &function.logical_id));
        for (action, resource) in asked.difference(&granted) {
            let name = &function.name;
            wrong.push(format!(
                "{name} does {action} to {resource}, which its role doesn't allow"
            ));
        }
        // Only where the cache is lost between two calls of one read.
        if function.name == "feed" {
            let whom = world.table_name("FollowsTable").unwrap().to_owned();
            granted.remove(&("dynamodb:BatchGetItem".to_owned(), whom));
        }
        for (action, resource) in granted.difference(&asked) {
            let name = &function.name;
            wrong.push(format!(
                "{name} may do {action} to {resource}, which it never does"
            ));
        }
        for action in allowed.iter().filter(|action| !used.contains(*action)) {
            if !is_not_seen_here(&function.name, action) {
                wrong.push(format!(
                    "{} may {action}, which it never does",
                    function.name
                ));
            }
        }
    }
    // Who signs in to the cache: those who use it.
    let sign_in = &template["Resources"]["CacheSignIn"]["Properties"]["Roles"];
    let sign_in: BTreeSet<&str> = list(sign_in)
        .into_iter()
        .map(|role| role["!Ref"].as_str().unwrap())
        .collect();
    let calls = world.calls().into_keys();
    let cache = calls.filter(|call| call.service == Service::Cache);
    let callers: BTreeSet<String> = cache.map(|call| call.function).collect();
    for function in world.plan().functions.values() {
        let resource = &template["Resources"][&function.logical_id];
        let role = match resource["Properties"]["Role"]["!GetAtt"].as_str() {
            Some(role) => role.split('.').next().unwrap().to_owned(),
            None => format!("{}Role", function.logical_id),
        };
        let (uses, may) = (
            callers.contains(&function.name),
            sign_in.contains(role.as_str()),
        );
        if uses != may {
            wrong.push(format!(
                "{}: uses the cache: {uses}, may sign in: {may}",
                function.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No wildcard actions, and only resources of this very template.
#[tokio::test]
async fn roles_name_their_actions_and_resources() {
    let world = World::shared().await;
    let template = template();
    for function in world.plan().functions.values() {
        for statement in statements(&template, &function.logical_id) {
            assert_eq!(statement["Effect"], "Allow", "{}", function.name);
            for action in actions(statement) {
                assert!(!action.contains('*'), "{}: {action}", function.name);
            }
            for resource in list(&statement["Resource"]) {
                let name = match (resource["!GetAtt"].as_str(), resource["!Sub"].as_str()) {
                    (Some(attribute), _) => attribute.strip_suffix(".Arn"),
                    (_, Some(text)) => text
                        .strip_prefix("${")
                        .and_then(|text| text.split_once(".Arn}"))
                        .map(|(name, _)| name),
                    _ => None,
                };
                let known = name.is_some_and(|name| template["Resources"].get(name).is_some());
                assert!(known, "{}: {resource}", function.name);
            }
        }
    }
}
