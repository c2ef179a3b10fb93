//! Things that outlive an account, and things that must not: blocks by others, handles that were given up, late uploads, and
//! rows that an index shows late.

use aws_sdk_dynamodb::types::AttributeValue;
use purrline_local::{Delivery, FaultRule, When};
use serde_json::{Value, json};

use super::leaving::{fill, leave, stage, sweep_until_erased, traces};
use crate::support::backstage::{Backstage, text};
use crate::support::{JPEG, User, World, comments, eventually, id_of, image, retrying_soon};

/// The first action of a returning user.
#[derive(Debug, Clone, Copy)]
enum Return {
    ReadsMe,
    SetsProfile,
    Posts,
    Comments,
    RegistersCat,
    Likes,
    Follows,
    Blocks,
    Leaves,
}

const RETURNS: [Return; 9] = [
    Return::ReadsMe,
    Return::SetsProfile,
    Return::Posts,
    Return::Comments,
    Return::RegistersCat,
    Return::Likes,
    Return::Follows,
    Return::Blocks,
    Return::Leaves,
];

impl Return {
    async fn by(self, user: &User, other: &User, post: &str) {
        match self {
            Self::ReadsMe => drop(user.me().await),
            Self::SetsProfile => {
                let profile = json!({ "handle": user.own_handle(), "name": "Again" });
                user.put_me(&profile).await.expect(201);
            }
            Self::Posts => drop(user.post("again").await),
            Self::Comments => drop(user.comment(post, "again").await),
            Self::RegistersCat => drop(user.cat("Again").await),
            Self::Likes => user.like(post).await,
            Self::Follows => user.follow(other).await,
            Self::Blocks => {
                user.block(other).await;
                user.unblock(other).await;
            }
            Self::Leaves => {
                leave(user).await;
            }
        }
    }
}

fn path(user: &User) -> String {
    format!("/v1/users/{}", user.id)
}

/// Asserts that neither user sees anything of the other's.
async fn assert_mutually_hidden(nabi: &User, post: &str, bad: &User, what: &str) {
    for path in [
        path(nabi),
        format!("{}/posts", path(nabi)),
        format!("{}/cats", path(nabi)),
        format!("{}/followers", path(nabi)),
        format!("/v1/posts/{post}"),
        comments(post),
        format!("/v1/posts/{post}/likes"),
    ] {
        let reply = bad.get(&path).await;
        assert_eq!(reply.status, 404, "{what}: {path}");
    }
    for path in [path(bad), format!("{}/posts", path(bad))] {
        let reply = nabi.get(&path).await;
        assert_eq!(reply.status, 404, "{what}: {path}");
    }
}

/// Fails if an erasure removes other users' blocks, if blocks are ignored before the blocked user exists again, or if
/// any way to return loses them.
#[tokio::test]
async fn a_block_outlives_the_account_that_is_blocked() {
    let stage = stage().await;
    let world = &stage.world;
    let (nabi, friend) = (world.user("nabi"), world.user("friend"));
    let mine = nabi.post_id("nabi's").await;
    let common = friend.post_id("friend's").await;
    nabi.comment(&common, "nabi's").await;
    let mut all = Vec::new();
    for _ in RETURNS {
        let bad = world.user("bad");
        bad.me().await;
        nabi.block(&bad).await;
        all.push(bad);
    }
    // One of them blocks nabi too; that block must not return.
    all[0].block(&nabi).await;
    let forgiven = world.user("forgiven");
    forgiven.me().await;
    nabi.block(&forgiven).await;
    for bad in all.iter().chain([&forgiven]) {
        leave(bad).await;
    }
    for bad in all.iter().chain([&forgiven]) {
        sweep_until_erased(&stage, &bad.id).await;
    }

    // Users who are gone are not listed, and their ids are treated as unknown ones.
    assert!(nabi.walk("/v1/me/blocked", 5).await.is_empty());
    let unknown = world.user("unknown");
    for nobody in [&all[0], &unknown] {
        let reply = nabi.put(&format!("{}/block", path(nobody))).await;
        assert_eq!(reply.problem(404)["detail"], "There is no such user.");
        nabi.unblock(&unknown).await;
        nabi.get(&path(nobody)).await.problem(404);
    }
    nabi.unblock(&forgiven).await;
    forgiven.read_post(&mine).await;

    for (bad, way) in all.iter().zip(RETURNS) {
        let what = format!("{way:?}");
        // Before they exist again, reads leave out the same as for blocked users.
        assert_mutually_hidden(&nabi, &mine, bad, &what).await;
        let seen = bad.walk(&comments(&common), 5).await;
        let by_nabi = seen.iter().find(|it| it["author"]["id"] == nabi.id);
        assert_eq!(by_nabi, None, "{what}");
        bad.read_post(&common).await;
        way.by(bad, &friend, &common).await;
        world.wait_until_drained().await;
        assert_mutually_hidden(&nabi, &mine, bad, &what).await;
        for list in [
            format!("/v1/posts/{common}/likes"),
            format!("{}/followers", path(&friend)),
        ] {
            assert!(!nabi.walk_ids(&list, 5).await.contains(&bad.id), "{what}");
        }
        assert_eq!(nabi.walk(&comments(&common), 5).await.len(), 1, "{what}");
        bad.follow(&nabi).await;
        bad.like(&mine).await;
        world.wait_until_drained().await;
        assert_eq!(nabi.me().await["followers"], 0, "{what}");
        assert_eq!(nabi.read_post(&mine).await["likes"], 0, "{what}");
        if !matches!(way, Return::Leaves) {
            bad.me().await;
        }
    }
    // Users who exist again are listed again, each in the old place.
    let there = all.iter().zip(RETURNS).rev();
    let there = there.filter(|(_, way)| !matches!(way, Return::Leaves));
    let there: Vec<String> = there.map(|(bad, _)| bad.id.clone()).collect();
    assert_eq!(nabi.walk_ids("/v1/me/blocked", 2).await, there);
    // None of their own blocks came back.
    assert!(all[0].walk("/v1/me/blocked", 5).await.is_empty());
    for bad in all.iter().take(RETURNS.len() - 1) {
        nabi.unblock(bad).await;
        bad.read_post(&mine).await;
        nabi.read_user(bad).await;
    }
    forgiven.read_post(&mine).await;
    nabi.get(&path(&forgiven)).await.problem(404);
    forgiven.me().await;
    nabi.read_user(&forgiven).await;
}

/// Leaving a second time keeps the block. If the blocker leaves, nothing of it is left.
#[tokio::test]
async fn a_block_outlives_two_accounts_and_not_its_blocker() {
    let stage = stage().await;
    let world = &stage.world;
    let (nabi, bad) = (world.user("nabi"), world.user("bad"));
    let post = nabi.post_id("x").await;
    bad.me().await;
    nabi.block(&bad).await;
    for _ in 0..2 {
        leave(&bad).await;
        bad.get(&format!("/v1/posts/{post}")).await.problem(404);
        sweep_until_erased(&stage, &bad.id).await;
        bad.get(&format!("/v1/posts/{post}")).await.problem(404);
        bad.me().await;
        bad.get(&format!("/v1/posts/{post}")).await.problem(404);
    }
    leave(&bad).await;
    sweep_until_erased(&stage, &bad.id).await;
    leave(&nabi).await;
    sweep_until_erased(&stage, &nabi.id).await;
    let table = stage.table("BlocksTable");
    let rows = stage.tables.scan().table_name(table).consistent_read(true);
    let rows = rows.send().await.unwrap();
    assert!(rows.items().is_empty(), "{:?}", rows.items());
}

/// The number of users who block the most blocked user: more than an erasure handles at a time.
const BLOCKERS: usize = 230;

/// Rule 7: if a return dies at any call, repeating the request brings back every block, however many there are.
#[tokio::test]
async fn a_return_survives_a_crash_at_any_call() {
    let stage = stage().await;
    let world = &stage.world;
    let bad = world.user("bad");
    bad.me().await;
    let blocker = |n: usize| format!("blocker-{n}");
    let rows = (0..BLOCKERS).flat_map(|n| {
        let since = 1_700_000_000_000_000 + n;
        [
            json!({ "user": blocker(n), "other": bad.id, "since": since }),
            json!({ "user": bad.id, "other": blocker(n), "blocked": true }),
        ]
    });
    fill(&stage, "BlocksTable", rows).await;
    let mut nth = 1;
    loop {
        leave(&bad).await;
        sweep_until_erased(&stage, &bad.id).await;
        let fault = world
            .on_call(FaultRule::kill("profile", nth, When::After))
            .unwrap();
        let reply = bad.get("/v1/me").await;
        let died = fault.fired() > 0;
        fault.clear();
        assert_eq!(reply.status, if died { 502 } else { 200 }, "{nth}");
        bad.me().await;
        let back = stage.partition("BlocksTable", "user", &bad.id).await;
        assert_eq!(back.len(), BLOCKERS, "{nth}");
        for n in [0, BLOCKERS / 2, BLOCKERS - 1] {
            let listed = stage.partition("BlocksTable", "user", &blocker(n)).await;
            assert_eq!(listed.len(), 1, "{nth}");
            assert_eq!(text(&listed[0], "other"), bad.id, "{nth}");
            let since = AttributeValue::N((1_700_000_000_000_000 + n).to_string());
            assert_eq!(listed[0]["since"], since, "{nth}");
        }
        if !died {
            assert!(nth > 10, "a return made only {nth} calls");
            return;
        }
        nth += 4;
    }
}

fn plain(handle: &str) -> Value {
    json!({ "handle": handle, "name": "Nabi" })
}

/// Fails if leaving evades the cap of handles, or keeps users from their own handles.
#[tokio::test]
async fn released_handles_count_after_a_return() {
    let stage = stage().await;
    let world = &stage.world;
    let (nabi, moderate, other) = (
        world.user("nabi"),
        world.user("moderate"),
        world.user("other"),
    );
    let handle = |user: &User, n: usize| format!("{}_{n}", user.own_handle());
    // One user has six handles, five of them given up; the other has five, four of them given up.
    for (user, count) in [(&nabi, 6), (&moderate, 5)] {
        for n in 0..count {
            let status = if n == 0 { 201 } else { 200 };
            user.put_me(&plain(&handle(user, n))).await.expect(status);
        }
        leave(user).await;
        sweep_until_erased(&stage, &user.id).await;
    }
    let refused = async |user: &User, handle: &str| {
        let reply = user.put_me(&plain(handle)).await;
        reply.bad_fields(409, &["/handle"]);
    };
    // Six are held now: the user may take one of them, but not a seventh.
    refused(&nabi, &handle(&nabi, 6)).await;
    for n in 0..6 {
        refused(&other, &handle(&nabi, n)).await;
    }
    nabi.put_me(&plain(&handle(&nabi, 2))).await.expect(201);
    refused(&nabi, &handle(&nabi, 6)).await;
    nabi.put_me(&plain(&handle(&nabi, 4))).await.expect(200);
    assert_eq!(nabi.me().await["handle"], handle(&nabi, 4).as_str());
    refused(&other, &handle(&nabi, 2)).await;
    // One is free after its time.
    stage.end_reservation_in(&handle(&nabi, 0), -2).await;
    nabi.put_me(&plain(&handle(&nabi, 6))).await.expect(200);
    refused(&nabi, &handle(&nabi, 7)).await;
    // Five are held: a sixth may be taken, and no more.
    moderate
        .put_me(&plain(&handle(&moderate, 5)))
        .await
        .expect(201);
    refused(&moderate, &handle(&moderate, 6)).await;
}

/// Moves an account's erasure into the past by this number of seconds.
async fn backdate_erasure(stage: &Backstage, user: &User, seconds: i64) {
    let row = stage.item("UsersTable", "id", &user.id).await.unwrap();
    for name in ["withdrawn_at", "erase_at", "empty_since"] {
        let Some(at) = row.get(name) else { continue };
        let at: i64 = at.as_n().unwrap().parse().unwrap();
        let earlier = AttributeValue::N((at - seconds * 1000).to_string());
        set(stage, "UsersTable", &[("id", &user.id)], name, earlier).await;
    }
}

/// Sets an attribute of a row.
async fn set(
    stage: &Backstage,
    table: &str,
    key: &[(&str, &str)],
    name: &str,
    value: AttributeValue,
) {
    let mut update = stage.tables.update_item().table_name(stage.table(table));
    for (name, value) in key {
        update = update.key(*name, AttributeValue::S((*value).to_owned()));
    }
    update
        .update_expression("SET #name = :value")
        .expression_attribute_names("#name", name)
        .expression_attribute_values(":value", value)
        .send()
        .await
        .unwrap();
}

async fn is_there(stage: &Backstage, user: &User) -> bool {
    stage.item("UsersTable", "id", &user.id).await.is_some()
}

/// Fails if an erasure ends while an upload can still arrive, or if a departed user gets another URL.
#[tokio::test]
async fn an_upload_that_arrives_late_is_erased() {
    let stage = Backstage::of(&World::with(retrying_soon()).await).await;
    let leaver = stage.world.user("leaver");
    leaver.me().await;
    let bytes = image(JPEG);
    let wanted = json!({ "content_type": "image/jpeg", "size": bytes.len() });
    let again = async || leaver.create_once("/v1/uploads", "key", &wanted).await;
    let upload = again().await.expect(201).json();
    leave(&leaver).await;
    again().await.problem(403);
    leaver.create("/v1/uploads", &wanted).await.problem(403);
    // Nobody is told of the upload either.
    let lost = Delivery::default().dropping(|_| true);
    stage.world.deliver("PhotosQueue", lost).unwrap();

    stage.sweep().await;
    let before = traces(&stage, &leaver.id).await.len();
    // Half an hour: a URL is valid for 15 minutes, and an upload that began by then may take as long again.
    backdate_erasure(&stage, &leaver, 28 * 60).await;
    leaver.put_bytes(&upload, &bytes).await.expect(200);
    stage.sweep().await;
    assert_eq!(traces(&stage, &leaver.id).await.len(), before + 1);
    // Then comes the first look at what is left, and a minute later the second.
    backdate_erasure(&stage, &leaver, 2 * 60).await;
    stage.sweep().await;
    assert!(is_there(&stage, &leaver).await);
    backdate_erasure(&stage, &leaver, 20).await;
    stage.sweep().await;
    assert!(is_there(&stage, &leaver).await);
    backdate_erasure(&stage, &leaver, 40).await;
    stage.sweep().await;
    let left = traces(&stage, &leaver.id).await;
    assert!(left.is_empty(), "{left:#?}");
    // A user who returns may upload.
    leaver.create("/v1/uploads", &wanted).await.expect(201);
}

/// Fails if an erasure ends because an index failed once to show a row.
#[tokio::test]
async fn rows_that_an_index_shows_late_are_erased_too() {
    let stage = stage().await;
    let (leaver, friend) = (stage.world.user("leaver"), stage.world.user("friend"));
    let post = friend.post_id("x").await;
    let comment = id_of(&leaver.comment(&post, "bye").await);
    leaver.like(&post).await;
    stage.world.wait_until_drained().await;
    leave(&leaver).await;
    // A lagging index does not have the rows yet.
    let like = stage.likes(&post).await.remove(0);
    let partition = text(&like, "post");
    let rows = [
        (
            "CommentsTable",
            [("post", post.as_str()), ("id", &comment)],
            "author",
        ),
        (
            "LikesTable",
            [("post", &partition), ("user", &leaver.id)],
            "liker",
        ),
    ];
    let elsewhere = AttributeValue::S("elsewhere".to_owned());
    for (table, key, name) in &rows {
        set(&stage, table, key, name, elsewhere.clone()).await;
    }
    eventually("the indexes are found empty", async || {
        stage.world.run_schedule("sweep").await.unwrap();
        let row = stage.item("UsersTable", "id", &leaver.id).await;
        row.expect("not yet erased")
            .contains_key("empty_since")
            .then_some(())
    })
    .await;
    for (table, key, name) in &rows {
        let id = AttributeValue::S(leaver.id.clone());
        set(&stage, table, key, name, id).await;
    }
    sweep_until_erased(&stage, &leaver.id).await;
    let read = friend.read_post(&post).await;
    assert_eq!((&read["likes"], &read["comments"]), (&json!(0), &json!(0)));
    stage.assert_exact(&[], &[post]).await;
}
