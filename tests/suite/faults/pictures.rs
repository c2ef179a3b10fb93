//! Rule 10: only pictures that are made here are public, and one that nothing shows any more is gone, with its original.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use purrline_local::{Delivery, FaultAction, FaultRule, Service, When};
use serde_json::{Value, json};

use super::stage;
use crate::support::backstage::{Backstage, Item, id_of, number, text};
use crate::support::{User, World, eventually, eventually_within};

/// The time within which a picture that nothing shows is gone.
const GONE: Duration = Duration::from_mins(1);

/// Returns the keys of the objects in one of the template's buckets.
async fn objects(world: &World, logical_id: &str) -> BTreeSet<String> {
    let buckets = &world.plan().buckets;
    let bucket = buckets
        .iter()
        .find(|bucket| bucket.logical_id == logical_id);
    let list = world.s3().list_objects_v2().bucket(&bucket.unwrap().name);
    let mut pages = list.into_paginator().send();
    let mut keys = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        keys.extend(
            page.contents()
                .iter()
                .map(|object| object.key().unwrap().to_owned()),
        );
    }
    keys
}

/// Returns the names of the public pictures.
async fn public(world: &World) -> BTreeSet<String> {
    let files = objects(world, "PicturesBucket").await;
    let names = files.iter().map(|file| file.split_once('/').unwrap().0);
    names.map(str::to_owned).collect()
}

/// Returns the name of the picture with this URL.
fn name_of(url: &Value) -> String {
    let mut parts = url.as_str().unwrap().rsplit('/');
    parts.nth(1).unwrap().to_owned()
}

async fn status(user: &User, url: &Value) -> u16 {
    user.send(user.http().get(url.as_str().unwrap()))
        .await
        .status
}

async fn avatar_of(user: &User) -> Value {
    user.me().await["avatar_url"].clone()
}

/// A user with a post of two images, an avatar and a cat's photo, each of an upload of its own.
struct Shown {
    user: User,
    post: String,
    images: Vec<Value>,
    avatar: Value,
    cat: String,
    photo: Value,
}

impl Shown {
    async fn by(user: User) -> Self {
        let mut keys = Vec::new();
        for _ in 0..4 {
            keys.push(user.upload_photo().await);
        }
        let body = json!({ "images": keys[..2] });
        let post = user.create("/v1/posts", &body).await.expect(201).json();
        let avatar = json!({ "handle": user.own_handle(), "name": "x", "avatar": keys[2] });
        let me = user.put_me(&avatar).await.expect(201).json();
        let body = json!({ "name": "x", "breed": "y", "photo": keys[3] });
        let cat = user.create("/v1/cats", &body).await.expect(201).json();
        Self {
            post: id_of(&post),
            images: post["images"].as_array().unwrap().clone(),
            avatar: me["avatar_url"].clone(),
            cat: id_of(&cat),
            photo: cat["photo_url"].clone(),
            user,
        }
    }

    fn urls(&self) -> [&Value; 4] {
        [
            &self.images[0]["url"],
            &self.images[1]["url"],
            &self.avatar,
            &self.photo,
        ]
    }

    /// Waits until exactly those of the four pictures are gone.
    async fn assert_gone(&self, gone: [bool; 4]) {
        let expected = gone.map(|gone| if gone { 404 } else { 200 });
        eventually("the dropped pictures are gone", async || {
            let mut statuses = Vec::new();
            for url in self.urls() {
                statuses.push(status(&self.user, url).await);
            }
            (statuses == expected).then_some(())
        })
        .await;
    }
}

/// Fails when a change doesn't count a picture that it shows or drops, or when a picture is removed that is in use.
#[tokio::test]
async fn pictures_that_nothing_shows_are_gone_with_their_uploads() {
    let stage = stage().await;
    let world = &stage.world;
    let shown = Shown::by(world.user("nabi")).await;
    let user = &shown.user;
    let post = format!("/v1/posts/{}", shown.post);
    let [first, second] = [0, 1].map(|at| shown.images[at]["key"].clone());
    assert_eq!(objects(world, "UploadsBucket").await.len(), 4);
    // The second image is an avatar too, and a second post shows the first.
    let other = user
        .create("/v1/posts", &json!({ "images": [first] }))
        .await;
    let other = id_of(&other.expect(201).json());
    user.patch_me(&json!({ "avatar": second }))
        .await
        .expect(200);
    shown.assert_gone([false, false, true, false]).await;
    user.change(&post, &json!({ "text": "x", "images": [] }))
        .await
        .expect(200);
    user.delete_post(&other).await;
    shown.assert_gone([true, false, true, false]).await;
    user.patch_me(&json!({ "avatar": "" })).await.expect(200);
    shown.assert_gone([true, true, true, false]).await;
    user.change(&format!("/v1/cats/{}", shown.cat), &json!({ "photo": "" }))
        .await
        .expect(200);
    shown.assert_gone([true; 4]).await;
    eventually("no original, no file and no row is left", async || {
        let left = (
            objects(world, "UploadsBucket").await.len(),
            objects(world, "PicturesBucket").await.len(),
            stage.pictures().await.len(),
        );
        (left == (0, 0, 0)).then_some(())
    })
    .await;
    // A removed upload can't be used again.
    let again = user
        .create("/v1/posts", &json!({ "images": [first] }))
        .await;
    again.bad_fields(422, &["/images/0"]);
}

/// Fails when a deleted cat's or post's pictures stay, or those of others go.
#[tokio::test]
async fn deleted_posts_and_cats_take_their_pictures_along() {
    let stage = stage().await;
    let shown = Shown::by(stage.world.user("nabi")).await;
    shown.user.delete_post(&shown.post).await;
    shown.assert_gone([true, true, false, false]).await;
    shown
        .user
        .delete(&format!("/v1/cats/{}", shown.cat))
        .await
        .expect(204);
    shown.assert_gone([true, true, false, true]).await;
}

/// The pictures of a user who leaves are gone long before the erasure ends. Fails when they wait for `sweep`.
#[tokio::test]
async fn pictures_of_a_user_who_left_are_gone_at_once() {
    let stage = stage().await;
    let (leaver, stayer) = (
        Shown::by(stage.world.user("leaver")).await,
        Shown::by(stage.world.user("stayer")).await,
    );
    let unused = leaver.user.upload_photo().await;
    leaver.user.delete("/v1/me").await.expect(202);
    leaver.assert_gone([true; 4]).await;
    stayer.assert_gone([false; 4]).await;
    eventually("the originals are gone", async || {
        let left = objects(&stage.world, "UploadsBucket").await;
        let theirs = format!("uploads/{}/", leaver.user.id);
        let theirs = left.iter().filter(|key| key.starts_with(&theirs));
        let theirs: Vec<_> = theirs.filter(|key| **key != unused).collect();
        (theirs.is_empty()).then_some(())
    })
    .await;
}

/// Waits until the picture of an upload is made without anybody asking for it.
async fn made(stage: &Backstage, key: &str) -> Item {
    eventually("the picture is made", async || {
        let rows = stage.pictures().await;
        let row = rows.into_iter().find(|row| text(row, "upload") == key);
        row.filter(|row| row.contains_key("sizes"))
    })
    .await
}

/// Fails when the bucket's notifications don't reach the function, or a use needs another decode.
#[tokio::test]
async fn pictures_are_made_as_uploads_arrive() {
    let stage = stage().await;
    let user = stage.world.user("nabi");
    let key = user.upload_photo().await;
    let row = made(&stage, &key).await;
    assert_eq!(number(&row, "uses"), 0);
    // No call of the function is needed, and no bucket.
    let rule = FaultRule::new(When::Before, FaultAction::Status(500)).function("post-write");
    for service in [Service::Functions, Service::Bucket] {
        let rule = rule.clone().service(service).times(u64::MAX);
        stage.world.on_call(rule).unwrap();
    }
    let body = json!({ "images": [key] });
    let post = user.create("/v1/posts", &body).await.expect(201).json();
    assert_eq!(name_of(&post["images"][0]["url"]), text(&row, "name"));
}

/// Notifications that never come, or come twice and late, make no difference. Fails when a post relies on them.
#[tokio::test]
async fn lost_and_repeated_notifications_are_harmless() {
    let stage = stage().await;
    let world = &stage.world;
    let user = world.user("nabi");
    world
        .deliver("PhotosQueue", Delivery::default().dropping(|_| true))
        .unwrap();
    let key = user.upload_photo().await;
    let body = json!({ "images": [key] });
    let post = user.create("/v1/posts", &body).await.expect(201).json();
    let urls = post["images"][0]["sizes"].clone();
    world.deliver("PhotosQueue", Delivery::default()).unwrap();
    let notice = json!({ "Records": [{ "s3": { "object": { "key": key } } }] }).to_string();
    let bodies = vec![notice; 3];
    assert_eq!(stage.deliver("photo", &bodies).await, Vec::<usize>::new());
    for size in urls.as_array().unwrap() {
        assert_eq!(status(&user, &size["url"]).await, 200);
    }
    assert_eq!(public(world).await.len(), 1);
}

/// The function dies at each of its calls while it makes a picture; the next try completes it, under the same name. Fails
/// when files are written before the row knows their name.
#[tokio::test]
async fn a_picture_is_made_once_wherever_the_function_dies() {
    let stage = stage().await;
    let world = &stage.world;
    let user = world.user("nabi");
    world
        .deliver("PhotosQueue", Delivery::default().dropping(|_| true))
        .unwrap();
    let mut shown = BTreeSet::new();
    for nth in 1..=7 {
        for when in [When::Before, When::After] {
            let key = user
                .upload("image/jpeg", &crate::support::photo(330, 20))
                .await;
            let kill = world.on_call(FaultRule::kill("photo", nth, when)).unwrap();
            let body = json!({ "images": [key] });
            let reply = user.create("/v1/posts", &body).await;
            if kill.fired() == 1 {
                assert_eq!(reply.problem(503)["type"], "/problems/unavailable");
                assert!(reply.header("retry-after").is_some());
            }
            kill.clear();
            let post = match reply.status {
                201 => reply.json(),
                _ => user.create("/v1/posts", &body).await.expect(201).json(),
            };
            shown.insert(name_of(&post["images"][0]["url"]));
        }
    }
    assert_eq!(shown.len(), 14);
    assert_eq!(public(world).await, shown);
}

/// Fails when an upload that is first used after two days is removed while a post shows it, or an unused one stays.
#[tokio::test]
async fn unused_uploads_are_removed_after_two_days() {
    let stage = stage().await;
    let world = &stage.world;
    let nabi = world.user("nabi");
    let (used, unused) = (nabi.upload_photo().await, nabi.upload_photo().await);
    for key in [&used, &unused] {
        made(&stage, key).await;
    }
    // Two days pass.
    for key in [&used, &unused] {
        stage.age_upload(&nabi, key).await;
    }
    world
        .expire_objects(Duration::from_hours(49))
        .await
        .unwrap();
    let body = json!({ "images": [used] });
    let post = nabi.create("/v1/posts", &body).await.expect(201).json();
    world.run_schedule("sweep").await.unwrap();
    eventually("only the used upload is left", async || {
        let left: Vec<_> = objects(world, "UploadsBucket").await.into_iter().collect();
        (left == [used.clone()]).then_some(())
    })
    .await;
    world.wait_until_drained().await;
    let names = BTreeSet::from([name_of(&post["images"][0]["url"])]);
    assert_eq!(public(world).await, names);
}

/// Fails when an upload without a notification, and so without a row, is never removed.
#[tokio::test]
async fn uploads_without_a_notification_expire() {
    let stage = stage().await;
    let world = &stage.world;
    world
        .deliver("PhotosQueue", Delivery::default().dropping(|_| true))
        .unwrap();
    world.user("nabi").upload_photo().await;
    world.wait_until_drained().await;
    world
        .expire_objects(Duration::from_hours(49))
        .await
        .unwrap();
    assert_eq!(objects(world, "UploadsBucket").await, BTreeSet::new());
}

/// While one post always shows a picture, edits that take it from another race with edits that bring it back, and with the
/// deletion of a third. Fails when a count is read and written in separate steps, or when a removal ignores it.
#[tokio::test]
async fn a_picture_in_use_is_never_removed() {
    let stage = stage().await;
    let user = stage.world.user("nabi");
    let key = user.upload_photo().await;
    let with = json!({ "images": [key] });
    user.create("/v1/posts", &with).await.expect(201);
    let kept = user
        .create("/v1/posts", &json!({ "text": "x", "images": [key] }))
        .await;
    let kept = kept.expect(201).json();
    let path = format!("/v1/posts/{}", id_of(&kept));
    for _ in 0..20 {
        let other = id_of(&user.create("/v1/posts", &with).await.expect(201).json());
        let without = json!({ "images": [] });
        let (out, back, ()) = futures::join!(
            user.change(&path, &without),
            user.change(&path, &with),
            user.delete_post(&other)
        );
        assert_eq!((out.status, back.status), (200, 200));
        user.change(&path, &with).await.expect(200);
        assert_eq!(status(&user, &kept["images"][0]["url"]).await, 200);
    }
    stage.world.wait_until_drained().await;
    let row = made(&stage, &key).await;
    assert_eq!(number(&row, "uses"), 2);
    assert_eq!(status(&user, &kept["images"][0]["url"]).await, 200);
}

/// A picture that is due is removed while a post that is to show it is about to be stored. Fails when the post's transaction
/// doesn't look whether the picture is being removed.
#[tokio::test]
async fn a_post_cannot_show_a_picture_that_is_being_removed() {
    let stage = stage().await;
    let nabi = stage.world.user("nabi");
    let key = nabi.upload_photo().await;
    made(&stage, &key).await;
    stage.age_upload(&nabi, &key).await;
    let late = FaultRule::new(When::Before, FaultAction::Delay(Duration::from_secs(2)));
    let late = late.function("post-write").operation("TransactWriteItems");
    let late = stage.world.on_call(late).unwrap();
    let body = json!({ "images": [key] });
    let review = json!({ "v": 1, "task": "review", "keys": [key] }).to_string();
    let (reply, ()) = futures::join!(nabi.create("/v1/posts", &body), async {
        eventually("the post is about to be stored", async || {
            (late.fired() > 0).then_some(())
        })
        .await;
        assert!(stage.deliver("photo", &[review]).await.is_empty());
    });
    reply.bad_fields(422, &["/images"]);
    assert_eq!(nabi.me().await["posts"], 0);
    assert_eq!(public(&stage.world).await, BTreeSet::new());
}

/// Returns as much as a post can have, with this word in its tags.
async fn largest_content(user: &User, word: &str) -> Value {
    let (mut images, mut cats) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        images.push(user.upload_photo().await);
        cats.push(user.cat_id("x").await);
    }
    let tags: Vec<String> = (0..30).map(|at| format!("#{word}{at}")).collect();
    json!({ "text": tags.join(" "), "images": images, "cats": cats })
}

/// The largest edit is written in two parts.
#[tokio::test]
async fn an_edit_may_change_everything() {
    let stage = stage().await;
    let user = stage.world.user("nabi");
    let post = user
        .create("/v1/posts", &largest_content(&user, "a").await)
        .await
        .expect(201)
        .json();
    let path = format!("/v1/posts/{}", id_of(&post));
    let new = largest_content(&user, "b").await;
    let edited = user.change(&path, &new).await.expect(200).json();
    let keys = edited["images"].as_array().unwrap().iter();
    let keys: Vec<Value> = keys.map(|image| image["key"].clone()).collect();
    assert_eq!(
        (&edited["text"], json!(keys)),
        (&new["text"], new["images"].clone())
    );
    assert_eq!(edited["cats"], new["cats"]);
    let names = edited["images"].as_array().unwrap().iter();
    let names: BTreeSet<String> = names.map(|image| name_of(&image["url"])).collect();
    eventually("the old images are gone", async || {
        let public = public(&stage.world).await;
        (public == names).then_some(())
    })
    .await;
}

/// A cat that the largest edit is to show is deleted just before the edit is stored. Fails when only the second part looks at
/// the cats.
#[tokio::test]
async fn an_edit_in_two_parts_changes_all_or_nothing() {
    let stage = stage().await;
    let nabi = stage.world.user("nabi");
    let (before, after) = (
        largest_content(&nabi, "a").await,
        largest_content(&nabi, "b").await,
    );
    let post = nabi.create("/v1/posts", &before).await.expect(201).json();
    let path = format!("/v1/posts/{}", id_of(&post));
    let late = FaultRule::new(When::Before, FaultAction::Delay(Duration::from_secs(1)));
    let late = late.function("post-write").operation("TransactWriteItems");
    let late = stage.world.on_call(late).unwrap();
    let cat = after["cats"][9].as_str().unwrap();
    let (reply, ()) = futures::join!(nabi.change(&path, &after), async {
        eventually("the edit is about to be stored", async || {
            (late.fired() > 0).then_some(())
        })
        .await;
        nabi.delete(&format!("/v1/cats/{cat}")).await.expect(204);
    });
    reply.bad_fields(422, &["/cats"]);
    assert_eq!(nabi.get(&path).await.expect(200).json(), post);
    stage.world.wait_until_drained().await;
    for image in post["images"].as_array().unwrap() {
        assert_eq!(status(&nabi, &image["url"]).await, 200);
    }
}

/// More uploads than one message erases. Fails when the rest is not queued.
#[tokio::test]
async fn an_erasure_of_many_uploads_goes_on_in_another_message() {
    let stage = stage().await;
    let leaver = stage.world.user("leaver");
    leaver.me().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let puts: Vec<WriteRequest> = (0..350)
        .map(|number| {
            let key = format!("uploads/{}/{number:0>21}A.jpg", leaver.id);
            let put = PutRequest::builder()
                .item("owner", text(&leaver.id))
                .item("upload", text(&key))
                .item("name", text("AAAAAAAAAAAAAAAAAAAAAA"))
                .item("uses", AttributeValue::N("1".to_owned()));
            let put = put.build().unwrap();
            WriteRequest::builder().put_request(put).build()
        })
        .collect();
    for puts in puts.chunks(25) {
        let table = stage.table("PicturesTable");
        let call = stage.tables.batch_write_item();
        call.request_items(table, puts.to_vec())
            .send()
            .await
            .unwrap();
    }
    leaver.delete("/v1/me").await.expect(202);
    eventually("no row is left", async || {
        stage.pictures().await.is_empty().then_some(())
    })
    .await;
}

/// Something that a user does with one of their uploads.
#[derive(Debug, Clone)]
enum Step {
    Post(usize),
    Edit(Option<usize>),
    Delete,
    Avatar(Option<usize>),
    Register(usize),
    Photo(Option<usize>),
    Unregister,
}

/// A step, and the call at which a function dies meanwhile.
type Moment = (Step, Option<(&'static str, u64, bool)>);

const UPLOADS: usize = 3;

fn history() -> impl Strategy<Value = Vec<Moment>> {
    use proptest::prelude::*;
    let upload = 0..UPLOADS;
    let maybe = proptest::option::of(0..UPLOADS);
    let step = prop_oneof![
        upload.clone().prop_map(Step::Post),
        maybe.clone().prop_map(Step::Edit),
        Just(Step::Delete),
        maybe.clone().prop_map(Step::Avatar),
        upload.prop_map(Step::Register),
        maybe.prop_map(Step::Photo),
        Just(Step::Unregister),
    ];
    let function = proptest::sample::select(vec!["post-write", "profile", "cat", "photo"]);
    let death = proptest::option::of((function, 1_u64..8, any::<bool>()));
    proptest::collection::vec((step, death), 3..9)
}

/// Takes the steps of a history. Returns the user, with the uploads.
async fn live(world: &World, moments: Vec<Moment>) -> (User, Vec<String>) {
    let user = world.user("user");
    let mut keys = Vec::new();
    for _ in 0..UPLOADS {
        keys.push(user.upload_photo().await);
    }
    let key = |at: Option<usize>| at.map_or("", |at| keys[at].as_str());
    let profile = json!({ "handle": user.own_handle(), "name": "x" });
    user.put_me(&profile).await.expect(201);
    for (step, death) in moments {
        let posts = user
            .walk_ids(&format!("/v1/users/{}/posts", user.id), 20)
            .await;
        let cats = user
            .walk_ids(&format!("/v1/users/{}/cats", user.id), 20)
            .await;
        let killed = death.map(|(function, nth, after)| {
            let when = if after { When::After } else { When::Before };
            world.on_call(FaultRule::kill(function, nth, when)).unwrap()
        });
        // Whatever the answer: a function may have died.
        match step {
            Step::Post(at) => drop(
                user.create("/v1/posts", &json!({ "text": "x", "images": [keys[at]] }))
                    .await,
            ),
            Step::Edit(at) => {
                if let Some(post) = posts.first() {
                    let images: Vec<&String> = at.map(|at| &keys[at]).into_iter().collect();
                    let body = json!({ "images": images });
                    user.change(&format!("/v1/posts/{post}"), &body).await;
                }
            }
            Step::Delete => {
                if let Some(post) = posts.last() {
                    user.delete(&format!("/v1/posts/{post}")).await;
                }
            }
            Step::Avatar(at) => drop(user.patch_me(&json!({ "avatar": key(at) })).await),
            Step::Register(at) => drop(
                user.create(
                    "/v1/cats",
                    &json!({ "name": "x", "breed": "y", "photo": keys[at] }),
                )
                .await,
            ),
            Step::Photo(at) => {
                if let Some(cat) = cats.first() {
                    let body = json!({ "photo": key(at) });
                    user.change(&format!("/v1/cats/{cat}"), &body).await;
                }
            }
            Step::Unregister => {
                if let Some(cat) = cats.first() {
                    user.delete(&format!("/v1/cats/{cat}")).await;
                }
            }
        }
        if let Some(killed) = killed {
            killed.clear();
        }
    }
    (user, keys)
}

/// Returns the names of the pictures that are shown of a user.
async fn shown_of(user: &User) -> HashSet<String> {
    let posts = user.walk(&format!("/v1/users/{}/posts", user.id), 20).await;
    let cats = user.walk(&format!("/v1/users/{}/cats", user.id), 20).await;
    let images = posts
        .iter()
        .flat_map(|post| post["images"].as_array().unwrap());
    let images = images.map(|image| image["url"].clone());
    let photos = cats.iter().map(|cat| cat["photo_url"].clone());
    let urls = images.chain(photos).chain([avatar_of(user).await]);
    urls.filter(|url| !url.is_null())
        .map(|url| name_of(&url))
        .collect()
}

/// Returns the time in milliseconds since the epoch.
fn number_of_millis() -> usize {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    usize::try_from(now.as_millis()).unwrap()
}

/// Random histories of posts, profiles and cats, while functions die at random calls: with the deployed times, and without
/// `sweep`, a minute later exactly what is shown is public, apart from what was never shown. `HISTORIES` sets their number.
#[tokio::test]
async fn exactly_what_is_shown_is_public_a_minute_later() {
    let histories = std::env::var("HISTORIES")
        .ok()
        .and_then(|number| number.parse().ok());
    let deployed = World::options().parameter("PictureReviewSeconds", "15");
    let world = World::with(deployed).await;
    let stage = Backstage::of(&world).await;
    let mut runner = TestRunner::default();
    let mut users = Vec::new();
    for at in 0..histories.unwrap_or(40) {
        let moments = history().new_tree(&mut runner).unwrap().current();
        let lived = live(&world, moments.clone()).await;
        users.push((at, moments, lived, Instant::now()));
    }
    let rows = async || stage.pictures().await;
    for (at, moments, (user, keys), ended) in users {
        let shown: BTreeSet<String> = shown_of(&user).await.into_iter().collect();
        let settled = async || {
            let names: HashMap<String, (String, bool)> = rows()
                .await
                .iter()
                .filter(|row| keys.contains(&text(row, "upload")) && row.contains_key("name"))
                .map(|row| {
                    // A dropped picture is due at once, one that was never shown only in two days.
                    let due = row.get("due_at").map(|_| number(row, "due_at"));
                    let tomorrow = number_of_millis() + 24 * 60 * 60 * 1000;
                    let never_used = due.is_some_and(|due| due > tomorrow);
                    (text(row, "name"), (text(row, "upload"), never_used))
                })
                .collect();
            let public = public(&world).await;
            let uploads = objects(&world, "UploadsBucket").await;
            let missing: Vec<_> = shown.difference(&public).collect();
            let left: Vec<_> = names
                .iter()
                .filter(|(name, (upload, _))| public.contains(*name) || uploads.contains(upload))
                .filter(|(name, (_, never_used))| !shown.contains(*name) && !never_used)
                .collect();
            (missing.is_empty() && left.is_empty()).then_some(())
        };
        let what = format!("exactly what is shown is public: {at}, {moments:?}");
        eventually_within(GONE.saturating_sub(ended.elapsed()), &what, settled).await;
    }
}

/// Returns a damaged copy of a file: cut short, or with some bytes changed.
fn damaged(file: &[u8], random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = file.to_vec();
    if random(4) == 0 {
        bytes.truncate(random(bytes.len()));
    }
    for _ in 0..=random(8) {
        let at = random(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = u8::try_from(random(256)).unwrap();
        }
    }
    bytes
}

/// Damaged images arrive as uploads do. The function survives each, within two seconds, and whatever is public is a JPEG that
/// was made here. `MUTANTS` sets their number.
#[tokio::test]
#[ignore = "takes minutes: run it with --nocapture"]
async fn damaged_uploads_do_no_harm() {
    let mutants = std::env::var("MUTANTS")
        .ok()
        .and_then(|number| number.parse().ok());
    let world = World::own().await;
    let bucket = world.bucket_name("UploadsBucket").unwrap();
    let folder = crate::support::repository().join("tests/images");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let files: Vec<Vec<u8>> = files
        .filter(|path| path.extension().is_some_and(|kind| kind != "json"))
        .map(|path| std::fs::read(path).unwrap())
        .filter(|bytes| bytes.len() < 200_000)
        .collect();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    for number in 0..mutants.unwrap_or(5000) {
        let bytes = damaged(&files[number % files.len()], &mut random);
        let key = format!("uploads/nabi/{number:0>21}A.jpg");
        let put = world.s3().put_object().bucket(bucket).key(key);
        put.body(bytes.into()).send().await.unwrap();
        if number % 200 == 199 {
            world.wait_until_drained().await;
        }
    }
    world.wait_until_drained().await;
    let status = world.status().await.unwrap();
    let photo = &status.functions["photo"];
    println!("{photo:?}");
    assert_eq!(photo.errors, 0);
    let queue = &status.queues["PhotosQueue"];
    assert_eq!(queue.dead_letters, 0);
    let files = objects(&world, "PicturesBucket").await;
    println!("{} files are public", files.len());
    let pictures = world.bucket_name("PicturesBucket").unwrap();
    for file in files {
        let object = world
            .s3()
            .get_object()
            .bucket(pictures)
            .key(file)
            .send()
            .await
            .unwrap();
        let bytes = object.body.collect().await.unwrap().into_bytes();
        assert_eq!(bytes[..4], [0xff, 0xd8, 0xff, 0xe0]);
        assert_eq!(bytes[bytes.len() - 2..], [0xff, 0xd9]);
    }
}
