//! Rule 8: each function's role allows only the calls it makes, on the resources it uses.
//!
//! Locally, no role is enforced. So this runs the flows of the API, records the calls of each function, and compares
//! them with what the template allows: a call that isn't allowed would fail on AWS, and a permission that is never used
//! is unnecessary. Each action is compared together with its resource: a table or an index, a queue, a bucket or a
//! folder of it, a function. A transaction counts as each of its parts.

use std::collections::BTreeSet;

use purrline_local::template::Plan;
use purrline_local::{Delivery, FaultAction, FaultRule, Outage, Service, When};
use saphyr::{LoadableYamlNode as _, MarkedYamlOwned, ScalarOwned, YamlDataOwned};
use serde_json::{Value, json};

use crate::support::backstage::Backstage;
use crate::support::user_pool::{POOL, UserPool};
use crate::support::{JPEG, User, World, comments, eventually, id_of, image, repository};

/// Converts YAML to JSON; `!Sub x` becomes `{"!Sub": x}`.
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

/// Returns the statements of a function's role: its own policies, or those of the role that it names.
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
        .map(enabled_branch)
        .collect()
}

/// Returns the branch of an `!If` in which all optional parts are enabled.
fn enabled_branch(value: &Value) -> &Value {
    value.get("!If").map_or(value, |branches| &branches[1])
}

/// Returns the name of a function's role, which either the function names or SAM creates.
fn role(template: &Value, function: &str) -> String {
    let properties = &template["Resources"][function]["Properties"];
    match properties["Role"]["!GetAtt"].as_str() {
        Some(role) => role.split('.').next().unwrap().to_owned(),
        None => format!("{function}Role"),
    }
}

fn actions(statement: &Value) -> impl Iterator<Item = String> + '_ {
    list(&statement["Action"])
        .into_iter()
        .map(|action| action.as_str().unwrap().to_owned())
}

/// An action, and the resource that it is allowed on or applies to.
type Action = (String, String);

/// Returns a resource's local name; tables, buckets and functions go by their names.
fn name<'a>(plan: &'a Plan, logical_id: &str) -> Option<&'a str> {
    let tables = plan.tables.iter().map(|it| (&it.logical_id, &it.name));
    let queues = plan.queues.iter().map(|it| (&it.logical_id, &it.name));
    let buckets = plan.buckets.iter().map(|it| (&it.logical_id, &it.name));
    let functions = plan.functions.values();
    let functions = functions.map(|it| (&it.logical_id, &it.name));
    let mut all = tables.chain(queues).chain(buckets).chain(functions);
    // The user pool is no part of the local stack; the test has a stand-in.
    if logical_id == "UserPool" {
        return Some(POOL);
    }
    all.find(|(id, _)| *id == logical_id)
        .map(|(_, name)| name.as_str())
}

/// Returns the actions and resources that a role allows.
fn granted(plan: &Plan, statements: &[&Value]) -> BTreeSet<Action> {
    let mut granted = BTreeSet::new();
    for statement in statements {
        for resource in list(&statement["Resource"]) {
            let (logical_id, rest) = arn(resource).expect("a resource of the template");
            let name = name(plan, logical_id).unwrap_or_else(|| panic!("what is {logical_id}?"));
            let resource = format!("{name}{rest}");
            granted.extend(actions(statement).map(|action| (action, resource.clone())));
        }
    }
    granted
}

/// Returns the resource whose ARN a policy names, and the part of it.
fn arn(resource: &Value) -> Option<(&str, &str)> {
    match (resource["!GetAtt"].as_str(), resource["!Sub"].as_str()) {
        (Some(attribute), _) => Some((attribute.strip_suffix(".Arn")?, "")),
        (_, Some(text)) => text.strip_prefix("${")?.split_once(".Arn}"),
        _ => None,
    }
}

/// Returns whether a grant includes an action on a resource.
fn covers(granted: &Action, asked: &Action) -> bool {
    let within = match granted.1.strip_suffix('*') {
        Some(prefix) => asked.1.starts_with(prefix),
        None => asked.1 == granted.1,
    };
    granted.0 == asked.0 && within
}

/// Returns the calls that Lambda makes with a function's role: it polls the function's queue.
fn poller_calls(plan: &Plan, function: &str) -> BTreeSet<Action> {
    let mappings = plan.mappings.iter();
    let arns = mappings.filter(|it| it.function == function);
    let queues = arns.flat_map(|it| plan.queues.iter().filter(|queue| queue.arn == it.queue_arn));
    let actions = ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"];
    queues
        .flat_map(|queue| actions.map(|action| (format!("sqs:{action}"), queue.name.clone())))
        .collect()
}

/// Returns whether a permission is for something that no function calls itself (what a presigned URL lets its bearer do, or
/// S3's answering "not found" instead of "forbidden"), or for something that doesn't happen here: more than a thousand
/// followers are split into several messages, which `faults::large_fan_out` does; the index's unused objects are removed
/// after a quarter of an hour; and a feed's follows are read only if the cache is lost between two calls of one read.
fn is_not_exercised(world: &World, function: &str, (action, resource): &Action) -> bool {
    let table = |logical_id| world.table_name(logical_id) == Some(resource);
    let queue = |logical_id| name(world.plan(), logical_id) == Some(resource);
    match (function, action.as_str()) {
        ("upload-url", "s3:PutObject" | "s3:PutObjectTagging")
        | ("classify" | "photo", "s3:ListBucket")
        | ("index", "s3:DeleteObject") => true,
        // The queue's consumer is faster.
        ("sweep", "dynamodb:DeleteItem") => table("PicturesTable"),
        ("fan-out", "sqs:SendMessage") => queue("FanOutQueue"),
        ("feed", "dynamodb:BatchGetItem") => table("FollowsTable"),
        _ => false,
    }
}

/// Does everything that the API offers at least once, with and without the cache.
async fn call_everything(world: &World) {
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    let (kept, deleted) = posts(world, &nabi, &fan).await;
    let photo = profiles(&nabi, &fan).await;
    feeds(world, &nabi, &fan).await;
    community(world, &nabi, &fan, &kept).await;
    cats_and_search(world, &nabi, &fan, &photo).await;
    pictures(world, &nabi).await;
    fan.like(&deleted).await;
    let others = format!("/v1/posts/{kept}");
    fan.change(&others, &json!({ "text": "mine" }))
        .await
        .expect(403);
    fan.delete(&others).await.expect(403);
    fan.comment(&deleted, "gone with it").await;
    world.wait_until_drained().await;
    nabi.delete_post(&deleted).await;
    fan.unlike(&kept).await;
    // The cache may be outdated, and claim that the limit of follows is reached.
    Backstage::of(world).await.note_follow_limits(&fan).await;
    fan.follow(&nabi).await;
    fan.unfollow(&nabi).await;
    world.wait_until_drained().await;
    leave_fan_out_unsent(world, &nabi).await;
    defer_invalidations(world, &nabi, &fan, &kept).await;
    leave(world, &nabi, &fan, &kept).await;
    leave_and_return(world, &nabi, &kept).await;
}

/// Returns a post that stays, and one that is to be deleted.
async fn posts(world: &World, nabi: &User, fan: &User) -> (String, String) {
    let wanted = json!({ "content_type": "image/png", "size": 1 });
    for _ in 0..2 {
        nabi.create_once("/v1/uploads", "key", &wanted)
            .await
            .expect(201);
    }
    // Once the allowance of bytes is used up, `upload-url` lists what the bucket has.
    let used_up = Backstage::of(world);
    let all = 10 * 1024 * 1024 * 1024;
    used_up
        .await
        .backdate_upload_grant(nabi, "bytes", all)
        .await;
    let key = nabi.upload_photo().await;
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
    world.wait_until_drained().await;
    fan.like(&kept).await;
    fan.follow(nabi).await;
    world.wait_until_drained().await;
    for _ in 0..2 {
        for user in [nabi, fan] {
            user.feed(20).await;
            user.me().await;
            user.read_user(nabi).await;
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

/// Sets and reads profiles. Returns the key of an uploaded photo.
async fn profiles(nabi: &User, fan: &User) -> String {
    let photo = nabi.upload("image/jpeg", &image(JPEG)).await;
    let profile = json!({ "handle": "nabi", "name": "나비", "avatar": photo });
    nabi.put_me(&profile).await.expect(201);
    // The handle is given up, and taken back.
    for handle in ["nabi_2", "nabi"] {
        let profile = json!({ "handle": handle, "name": "나비", "avatar": photo });
        nabi.put_me(&profile).await.expect(200);
    }
    // A chosen handle, and a generated one.
    for (by, handle) in [
        (fan, json!("nabi")),
        (nabi, fan.me().await["handle"].clone()),
    ] {
        let path = format!("/v1/users/@{}", handle.as_str().unwrap());
        fan.get(&path).await.expect(200);
        fan.page(&format!("{path}/posts")).await;
        fan.page(&format!("{path}/cats")).await;
        by.put(&format!("{path}/follow")).await.expect(202);
    }
    photo
}

/// Reads a feed down to its end, and without the cache.
async fn feeds(world: &World, nabi: &User, fan: &User) {
    for _ in 0..3 {
        nabi.post_id("deep").await;
    }
    world.wait_until_drained().await;
    fan.walk("/v1/feed", 1).await;
    world.stop_service(Service::Cache, Outage::Closed);
    fan.feed(20).await;
    nabi.post_id("by its own clock").await;
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
        user.delete_comment(kept, &ids[0]).await.expect(204);
    }
    let other = world.user("other");
    fan.block(nabi).await;
    nabi.block(fan).await;
    fan.walk("/v1/me/blocked", 2).await;
    let generated = other.me().await["handle"].as_str().unwrap().to_owned();
    nabi.block(&other).await;
    fan.delete("/v1/users/@nabi/block").await.expect(204);
    let block = format!("/v1/users/@{generated}/block");
    fan.put(&block).await.expect(204);
    fan.delete(&block).await.expect(204);
    for (by, whom) in [(fan, nabi), (nabi, fan), (nabi, &other)] {
        by.unblock(whom).await;
    }
}

async fn cats_and_search(world: &World, nabi: &User, fan: &User, photo: &str) {
    // On a busy machine, the first process may start so slowly that a call passes before its rate-limit token comes.
    eventually("classify asks the cache for a token", async || {
        nabi.classify_upload("", photo).await.expect(200);
        let mut calls = world.calls().into_keys();
        calls
            .any(|call| call.function == "classify" && call.service == Service::Cache)
            .then_some(())
    })
    .await;
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
    world.wait_until_drained().await;
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

/// Shows pictures that aren't made yet, replaces and drops them; some reviews are lost.
async fn pictures(world: &World, nabi: &User) {
    world.wait_until_drained().await;
    let lost = Delivery::default().dropping(|_| true);
    world.deliver("PhotosQueue", lost).unwrap();
    let [shown, avatar, photo, other, unused] = [
        nabi.upload_photo().await,
        nabi.upload_photo().await,
        nabi.upload_photo().await,
        nabi.upload_photo().await,
        nabi.upload_photo().await,
    ];
    let body = json!({ "images": [shown, unused] });
    let post = nabi.create("/v1/posts", &body).await.expect(201).json();
    let post = format!("/v1/posts/{}", id_of(&post));
    nabi.patch_me(&json!({ "avatar": avatar }))
        .await
        .expect(200);
    let body = json!({ "name": "x", "photo": photo });
    let cat = nabi.create("/v1/cats", &body).await.expect(201).json();
    let cat = format!("/v1/cats/{}", id_of(&cat));
    nabi.change(&cat, &json!({ "photo": other }))
        .await
        .expect(200);
    nabi.change(&post, &json!({ "images": [shown] }))
        .await
        .expect(200);
    world.wait_until_drained().await;
    // This review was lost.
    Backstage::of(world).await.age_upload(nabi, &unused).await;
    world.deliver("PhotosQueue", Delivery::default()).unwrap();
    world.run_schedule("sweep").await.unwrap();
    nabi.patch_me(&json!({ "avatar": "" })).await.expect(200);
    nabi.delete(&cat).await.expect(204);
    nabi.delete(&post).await.expect(204);
    nabi.upload_photo().await;
    world.wait_until_drained().await;
}

/// Leaves a fan-out unsent, as a crash would.
async fn leave_fan_out_unsent(world: &World, nabi: &User) {
    // A process that has no index yet.
    world.kill_function("index").unwrap();
    world.pause_queue("FanOutQueue").await.unwrap();
    let image = nabi.upload_photo().await;
    let body = json!({ "text": "unsent", "images": [image] });
    nabi.create("/v1/posts", &body).await.expect(201);
    Backstage::of(world).await.sweep().await;
    world.resume_queue("FanOutQueue").unwrap();
    world.wait_until_drained().await;
}

/// Makes consumers defer invalidations while the cache is unreachable.
async fn defer_invalidations(world: &World, nabi: &User, fan: &User, kept: &str) {
    for function in ["follow-consumer", "like-consumer", "save"] {
        let rule = FaultRule::new(When::Before, FaultAction::Disconnect).function(function);
        let rule = rule.service(Service::Cache).times(u64::MAX);
        world.on_call(rule).unwrap();
    }
    fan.follow(nabi).await;
    fan.like(kept).await;
    fan.delete(&format!("/v1/posts/{kept}/save"))
        .await
        .expect(204);
    world.wait_until_drained().await;
    world.clear_faults();
    world.run_schedule("sweep").await.unwrap();
}

/// Makes a user who has something of every kind leave.
async fn leave(world: &World, nabi: &User, fan: &User, kept: &str) {
    fan.follow(nabi).await;
    fan.like(kept).await;
    fan.comment(kept, "bye").await;
    fan.put(&format!("/v1/posts/{kept}/save")).await.expect(204);
    let other = world.user("other");
    other.me().await;
    fan.block(&other).await;
    other.block(fan).await;
    let profile = json!({ "handle": "fan", "name": "Fan" });
    fan.put_me(&profile).await.expect(201);
    let momo = json!({ "name": "Momo", "photo": fan.upload_photo().await });
    fan.create("/v1/cats", &momo).await.expect(201);
    fan.create_once("/v1/posts", "bye", &json!({ "text": "bye" }))
        .await
        .expect(201);
    fan.upload_photo().await;
    world.wait_until_drained().await;
    fan.delete("/v1/me").await.expect(202);
    wait_until_erased(world, fan).await;
    world.wait_until_drained().await;
}

async fn wait_until_erased(world: &World, user: &User) {
    let stage = Backstage::of(world).await;
    eventually("they are erased", async || {
        world.run_schedule("sweep").await.unwrap();
        let seen = stage.item("UsersTable", "id", &user.id).await;
        seen.is_none().then_some(())
    })
    .await;
}

/// Blocked users leave and return, each through another function.
async fn leave_and_return(world: &World, nabi: &User, kept: &str) {
    let other = world.user("other");
    let users: Vec<User> = (0..7).map(|_| world.user("returning")).collect();
    for user in &users {
        user.me().await;
        other.block(user).await;
        user.delete("/v1/me").await.expect(202);
    }
    for user in &users {
        wait_until_erased(world, user).await;
    }
    other.unblock(&users[0]).await;
    users[0].me().await;
    users[1].me().await;
    users[2].post("again").await;
    users[3].comment(kept, "again").await;
    users[4].cat("again").await;
    users[5].like(kept).await;
    users[6].follow(nabi).await;
    let blocking = world.user("returning");
    blocking.me().await;
    other.block(&blocking).await;
    blocking.delete("/v1/me").await.expect(202);
    wait_until_erased(world, &blocking).await;
    blocking.block(nabi).await;
    world.wait_until_drained().await;
}

#[tokio::test]
async fn every_call_is_allowed_and_nothing_else() {
    let mut options = World::options().parameter("ErasureSeconds", "1");
    // No caller meets a limit, but all limits are checked, for which most functions use the cache.
    for limit in ["ReadLimit", "WriteLimit", "ClassifyLimit"] {
        options = options.parameter(limit, "9999999/9999999");
    }
    // Feeds as short as possible, so that they have an end to be read beyond.
    let pool = UserPool::start().await;
    let world = World::with(pool.configure(options.parameter("FeedLength", "1"))).await;
    call_everything(&world).await;
    let of_the_pool: BTreeSet<Action> = pool
        .requests()
        .iter()
        .map(|asked| (asked.action(), asked.pool()))
        .collect();
    let template = template();
    let mut wrong = Vec::new();
    for function in world.plan().functions.values() {
        let name = &function.name;
        let asked = world.iam_calls().into_iter();
        let asked: BTreeSet<Action> = asked
            .filter(|asked| asked.function == *name)
            .map(|asked| (asked.action, asked.resource))
            .chain(poller_calls(world.plan(), name))
            // The stand-in's requests don't name the calling function; only `sweep` knows the pool.
            .chain(of_the_pool.iter().filter(|_| name == "sweep").cloned())
            .collect();
        let granted = granted(world.plan(), &statements(&template, &function.logical_id));
        for it in &asked {
            if !granted.iter().any(|granted| covers(granted, it)) {
                wrong.push(format!(
                    "{name} does {} to {}, which its role doesn't allow",
                    it.0, it.1
                ));
            }
        }
        for it in &granted {
            let seen = asked.iter().any(|asked| covers(it, asked));
            if !seen && !is_not_exercised(&world, name, it) {
                wrong.push(format!(
                    "{name} may do {} to {}, which it never does",
                    it.0, it.1
                ));
            }
        }
    }
    // Roles that sign in to the cache are those of the functions that use it.
    let sign_in = &template["Resources"]["CacheSignIn"]["Properties"]["Roles"];
    let sign_in: BTreeSet<&str> = list(sign_in)
        .into_iter()
        .map(|role| role["!Ref"].as_str().unwrap())
        .collect();
    let calls = world.calls().into_keys();
    let cache = calls.filter(|call| call.service == Service::Cache);
    let callers: BTreeSet<String> = cache.map(|call| call.function).collect();
    for function in world.plan().functions.values() {
        let role = role(&template, &function.logical_id);
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

/// A function's own code is denied the network calls that Lambda needs its role for.
#[tokio::test]
async fn no_function_touches_network_interfaces() {
    let world = World::shared().await;
    let template = template();
    let denied = &template["Resources"]["NoInterfaces"]["Properties"]["Roles"];
    let denied: Vec<&str> = list(denied)
        .into_iter()
        .map(|role| role["!Ref"].as_str().unwrap())
        .collect();
    for function in world.plan().functions.values() {
        let role = role(&template, &function.logical_id);
        assert!(denied.contains(&role.as_str()), "{role}");
    }
}

/// Roles have no wildcard actions, and name only resources of this template.
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
                let name = arn(resource).map(|(name, _)| name);
                let known = name.is_some_and(|name| template["Resources"].get(name).is_some());
                assert!(known, "{}: {resource}", function.name);
            }
        }
    }
}
