//! `PUT /v1/me`, and users found by their handles.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::shapes::{assert_user, author};
use crate::support::backstage::{Backstage, text};
use crate::support::{JPEG, Reply, User, World, eventually, image};

const DAY: i64 = 24 * 60 * 60;

/// Returns a profile of required fields only.
fn plain(handle: &str) -> Value {
    json!({ "handle": handle, "name": "나비 집사" })
}

/// Returns a user with such a profile and a handle of their own.
async fn user_with_profile(world: &World, name: &str) -> User {
    let user = world.user(name);
    user.put_me(&plain(&user.own_handle())).await.expect(201);
    user
}

/// Returns the owner of a handle, as a caller sees them.
async fn by_handle(caller: &User, handle: &str) -> Option<Value> {
    let reply = caller.get(&format!("/v1/users/@{handle}")).await;
    if reply.status == 200 {
        return Some(reply.json()["id"].clone());
    }
    reply.problem(404);
    None
}

#[tokio::test]
async fn a_profile_is_created_once_and_shown_to_everybody() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    // A user exists without a profile.
    let before = nabi.me().await;
    let avatar = nabi.upload("image/jpeg", &image(JPEG)).await;
    let handle = nabi.own_handle();
    let body = json!({ "handle": handle, "name": "나비 집사", "bio": "Three cats,\none sofa.", "avatar": avatar });
    let created = nabi.put_me(&body).await.expect(201);
    assert_eq!(created.header("content-type"), Some("application/json"));
    let me = created.json();
    assert_user(&me);
    for field in ["handle", "name", "bio"] {
        assert_eq!(me[field], body[field], "{field}");
    }
    for field in [
        "id",
        "followers",
        "following",
        "posts",
        "followed",
        "created_at",
    ] {
        assert_eq!(me[field], before[field], "{field}");
    }
    let photo = nabi.http().get(me["avatar_url"].as_str().unwrap());
    let photo = nabi.send(photo).await.expect(200);
    assert_eq!(photo.header("content-type"), Some("image/jpeg"));
    assert_eq!(nabi.me().await, me);
    assert_eq!(nabi.read_user(&nabi).await, me);
    assert_eq!(other.read_user(&nabi).await, me);
    assert_eq!(nabi.put_me(&body).await.expect(200).json(), me);
    // A user who was never here before.
    let new = world.user("new");
    let me = new
        .put_me(&plain(&new.own_handle()))
        .await
        .expect(201)
        .json();
    assert_user(&me);
    assert_eq!(
        (&me["bio"], &me["avatar_url"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(new.me().await, me);
}

#[tokio::test]
async fn handles_names_and_bios_must_be_within_their_limits() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let handle = nabi.own_handle();
    let longest = format!("{handle}.{}", "x".repeat(29 - handle.len()));
    let shortest = format!("{:0>3}", nabi.id.split('-').next_back().unwrap());
    for handle in [&shortest, &longest, &format!("{handle}._0")] {
        let me = nabi.put_me(&plain(handle)).await;
        assert!([200, 201].contains(&me.status), "{}", me.text());
        assert_eq!(me.json()["handle"], **handle);
    }
    for handle in [
        "",
        "ab",
        &"x".repeat(31),
        "Nabi",
        "na-bi",
        "na bi",
        "나비야",
        "@nabi",
        "nabi\n",
        "...",
        "nabi.",
        ".nabi",
        "_nabi",
        "nabi_",
        "admin",
        "ad.min",
        "support",
        "purrline",
        "p_u_r_r_line",
        "null",
        "a.p.i",
        "moderator",
        "root",
    ] {
        nabi.put_me(&plain(handle))
            .await
            .bad_fields(400, &["/handle"]);
    }
    for name in [
        "x",
        " x ",
        &"나".repeat(50),
        &"🐈".repeat(50),
        "a\u{ad}b",
        "گربه\u{200c}ها",
        "❤\u{fe0f}",
    ] {
        let body = json!({ "handle": handle, "name": name });
        assert_eq!(nabi.put_me(&body).await.expect(200).json()["name"], name);
    }
    for name in [
        "",
        " ",
        "\u{3000}",
        &"나".repeat(51),
        "a\nb",
        "a\u{0}",
        "\u{1f}",
        "a\u{7f}",
        "\u{3164}",
        "\u{115f}\u{1160}",
        "\u{ffa0}",
        "\u{200b}",
        "\u{2800}",
        "\u{ad}",
        "\u{fe0f}",
        "\u{301}",
        "\u{e0041}",
        "a\u{80}",
        "a\u{85}b",
        "a\u{2028}b",
        "a\u{b}b",
        "\u{202e}x",
        "x\u{2066}y",
        "x\u{200f}",
    ] {
        let body = json!({ "handle": handle, "name": name });
        nabi.put_me(&body).await.bad_fields(400, &["/name"]);
    }
    for bio in [&"고".repeat(500), "\n\t"] {
        let body = json!({ "handle": handle, "name": "x", "bio": bio });
        assert_eq!(nabi.put_me(&body).await.expect(200).json()["bio"], bio);
    }
    let body = json!({ "handle": handle, "name": "x", "bio": "고".repeat(501) });
    nabi.put_me(&body).await.bad_fields(400, &["/bio"]);
    let body = json!({ "handle": "nabi.", "name": "\u{3164}", "bio": "a\0b" });
    nabi.put_me(&body)
        .await
        .bad_fields(400, &["/handle", "/name", "/bio"]);
}

/// Handles and names that earlier rules allowed are shown, and found, until they are changed.
#[tokio::test]
async fn names_from_earlier_rules_are_still_shown() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let (handle, name) = (format!("{}.", nabi.own_handle()), "\u{3164}");
    nabi.put_me(&plain(&nabi.own_handle())).await.expect(201);
    let stage = Backstage::of(&world).await;
    let [users, handles] = ["UsersTable", "HandlesTable"].map(|table| stage.table(table));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let update = stage.tables.update_item().table_name(users);
    let update = update.key("id", text(&nabi.id));
    let update = update.update_expression("SET #handle = :handle, #name = :name");
    let update = update
        .expression_attribute_names("#handle", "handle")
        .expression_attribute_names("#name", "name")
        .expression_attribute_values(":handle", text(&handle))
        .expression_attribute_values(":name", text(name));
    update.send().await.unwrap();
    let put = stage.tables.put_item().table_name(handles);
    let put = put
        .item("handle", text(&handle))
        .item("user", text(&nabi.id));
    put.send().await.unwrap();

    let other = world.user("other");
    let found = by_handle(&other, &handle).await;
    assert_eq!(found, Some(json!(nabi.id)));
    nabi.put_me(&plain(&handle))
        .await
        .bad_fields(400, &["/handle"]);
    nabi.put_me(&plain(&nabi.own_handle())).await.expect(200);
}

#[tokio::test]
async fn omitted_fields_stay_and_an_empty_text_clears_one() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let avatar = nabi.upload("image/jpeg", &image(JPEG)).await;
    let put = async |more: Value| {
        let mut body = plain(&nabi.own_handle());
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        let reply = nabi.put_me(&body).await;
        assert!([200, 201].contains(&reply.status), "{}", reply.text());
        let me = reply.json();
        assert_eq!(nabi.me().await, me);
        (me["bio"].clone(), me["avatar_url"].is_string())
    };
    let none = Value::Null;
    assert_eq!(
        put(json!({ "bio": "a", "avatar": avatar })).await,
        (json!("a"), true)
    );
    assert_eq!(put(json!({})).await, (json!("a"), true));
    assert_eq!(
        put(json!({ "bio": null, "avatar": null })).await,
        (json!("a"), true)
    );
    assert_eq!(
        put(json!({ "bio": "b", "avatar": "" })).await,
        (json!("b"), false)
    );
    assert_eq!(put(json!({ "avatar": avatar })).await, (json!("b"), true));
    assert_eq!(put(json!({ "bio": "" })).await, (none.clone(), true));
    assert_eq!(put(json!({ "avatar": "" })).await, (none.clone(), false));
    assert_eq!(put(json!({})).await, (none, false));
}

#[tokio::test]
async fn a_patch_changes_single_fields() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let avatar = nabi.upload("image/jpeg", &image(JPEG)).await;
    // An edit also works for a user who has chosen nothing yet.
    let mut me = nabi.me().await;
    let bio = nabi.patch_me(&json!({ "bio": "b" })).await.expect(200);
    me["bio"] = json!("b");
    assert_eq!((bio.json(), nabi.me().await), (me.clone(), me.clone()));
    let body = json!({ "handle": nabi.own_handle(), "name": "나비", "avatar": avatar });
    let mut me = nabi.put_me(&body).await.expect(201).json();
    assert_eq!(me["bio"], "b");
    let new_handle = format!("{}_2", nabi.own_handle());
    for (edit, field, value) in [
        (json!({}), "bio", json!("b")),
        (
            json!({ "handle": null, "name": null, "bio": null, "avatar": null }),
            "bio",
            json!("b"),
        ),
        (json!({ "name": "Nabi" }), "name", json!("Nabi")),
        (json!({ "bio": "c" }), "bio", json!("c")),
        (json!({ "bio": "" }), "bio", Value::Null),
        (json!({ "handle": new_handle }), "handle", json!(new_handle)),
        (json!({ "avatar": "" }), "avatar_url", Value::Null),
    ] {
        me[field] = value;
        let edited = nabi.patch_me(&edit).await.expect(200).json();
        assert_eq!(edited, me, "{edit}");
        assert_eq!(nabi.me().await, me, "{edit}");
        let seen = other.read_user(&nabi).await;
        assert_eq!(seen, me, "{edit}");
    }
    let restored = nabi.patch_me(&json!({ "avatar": avatar })).await;
    assert!(restored.expect(200).json()["avatar_url"].is_string());

    // The rules are those of PUT, and a refused edit changes nothing.
    let before = nabi.me().await;
    other.put_me(&plain(&other.own_handle())).await.expect(201);
    let taken = json!({ "handle": other.own_handle(), "bio": "changed" });
    let taken = nabi.patch_me(&taken).await;
    taken.bad_fields(409, &["/handle"]);
    assert_eq!(taken.json()["type"], "/problems/handle-taken");
    let bad =
        json!({ "handle": "a b", "name": "", "bio": "x".repeat(501), "avatar": 7, "id": "x" });
    let fields = ["/handle", "/name", "/bio", "/avatar", "/id"];
    nabi.patch_me(&bad).await.bad_fields(400, &fields);
    let theirs = json!({ "avatar": other.upload_photo().await, "name": "x" });
    let theirs = nabi.patch_me(&theirs).await;
    theirs.bad_fields(422, &["/avatar"]);
    assert_eq!(nabi.me().await, before);
}

#[tokio::test]
async fn an_avatar_is_an_upload_of_the_callers() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let mine = nabi.upload_photo().await;
    let theirs = other.upload_photo().await;
    let wanted = json!({ "content_type": "image/png", "size": 1 });
    let never_sent = nabi.create("/v1/uploads", &wanted).await.expect(201).json();
    let body = |avatar: &str| json!({ "handle": nabi.own_handle(), "name": "x", "avatar": avatar });
    for avatar in [
        "x",
        "../secrets",
        &theirs,
        never_sent["key"].as_str().unwrap(),
    ] {
        nabi.put_me(&body(avatar))
            .await
            .bad_fields(422, &["/avatar"]);
    }
    // None of these requests created a profile.
    assert_ne!(nabi.me().await["name"], "x");
    nabi.put_me(&body(&mine)).await.expect(201);
}

#[tokio::test]
async fn a_handle_has_one_user() {
    let world = World::shared().await;
    let (nabi, other) = (
        user_with_profile(&world, "nabi").await,
        user_with_profile(&world, "other").await,
    );
    let before = other.me().await;
    let taken = other.put_me(&plain(&nabi.own_handle())).await;
    taken.bad_fields(409, &["/handle"]);
    assert_eq!(taken.json()["type"], "/problems/handle-taken");
    assert_eq!(other.me().await, before);
    // A user's own handle is not taken.
    nabi.put_me(&plain(&nabi.own_handle())).await.expect(200);
    assert_eq!(
        by_handle(&other, &nabi.own_handle()).await,
        Some(json!(nabi.id))
    );
    assert_eq!(
        by_handle(&nabi, &other.own_handle()).await,
        Some(json!(other.id))
    );
}

#[tokio::test]
async fn users_are_found_by_handle_wherever_they_are_by_id() {
    let world = World::shared().await;
    let (nabi, fan) = (user_with_profile(&world, "nabi").await, world.user("fan"));
    for n in 0..3 {
        nabi.post(&n.to_string()).await;
    }
    fan.follow(&nabi).await;
    world.wait_until_drained().await;
    let handle = nabi.own_handle();
    for list in ["", "/posts", "/followers", "/following"] {
        let by_id = fan
            .get(&format!("/v1/users/{}{list}", nabi.id))
            .await
            .expect(200)
            .json();
        let loud = handle.to_uppercase();
        for name in [
            format!("@{handle}"),
            format!("%40{handle}"),
            format!("@{loud}"),
        ] {
            let path = format!("/v1/users/{name}{list}");
            assert_eq!(fan.get(&path).await.expect(200).json(), by_id, "{path}");
        }
        for nobody in [format!("{handle}_"), format!("@{handle}")] {
            fan.get(&format!("/v1/users/@{nobody}{list}"))
                .await
                .problem(404);
        }
    }
    // Both paths lead to the same list.
    let (_, next) = fan
        .page(&format!("/v1/users/@{handle}/posts?limit=1"))
        .await;
    let cursor = next.unwrap();
    for name in [&nabi.id, &format!("@{handle}")] {
        let rest = format!("/v1/users/{name}/posts?cursor={cursor}");
        assert_eq!(fan.page(&rest).await.0.len(), 2);
    }
    // A handle is not an id.
    fan.get(&format!("/v1/users/{handle}.")).await.problem(404);
    // A blocked user is found by handle to be unblocked, and for nothing else.
    let block = format!("/v1/users/@{handle}/block");
    fan.put(&block).await.expect(204);
    for list in ["", "/posts", "/followers", "/following"] {
        fan.get(&format!("/v1/users/@{handle}{list}"))
            .await
            .problem(404);
    }
    fan.delete(&block).await.expect(204);
    fan.get(&format!("/v1/users/@{handle}")).await.expect(200);
}

#[tokio::test]
async fn a_released_handle_stays_reserved_for_30_days() {
    let world = World::shared().await;
    let stage = Backstage::of(&world).await;
    let (nabi, other) = (user_with_profile(&world, "nabi").await, world.user("other"));
    let old = nabi.own_handle();
    let new = format!("{old}_new");
    nabi.put_me(&plain(&new)).await.expect(200);
    for handle in [&old, &new] {
        assert_eq!(
            by_handle(&other, handle).await,
            Some(json!(nabi.id)),
            "{handle}"
        );
        other
            .put_me(&plain(handle))
            .await
            .bad_fields(409, &["/handle"]);
    }
    let (_, until) = stage.owner_of(&old).await.unwrap();
    let now = purrline::domain::Timestamp::now().seconds();
    let held = until.unwrap() - now;
    assert!((30 * DAY - 60..=30 * DAY).contains(&held), "{held} seconds");
    // The user takes the old handle back at once; then the new one is held.
    nabi.put_me(&plain(&old)).await.expect(200);
    assert_eq!(stage.owner_of(&old).await.unwrap().1, None);
    assert_eq!(by_handle(&other, &new).await, Some(json!(nabi.id)));
    // A handle is held until its time ends, and no longer, whether or not the table has removed the row.
    stage.end_reservation_in(&new, 60).await;
    other
        .put_me(&plain(&new))
        .await
        .bad_fields(409, &["/handle"]);
    stage.end_reservation_in(&new, -2).await;
    assert_eq!(by_handle(&other, &new).await, None);
    other.put_me(&plain(&new)).await.expect(201);
    assert_eq!(by_handle(&nabi, &new).await, Some(json!(other.id)));
    nabi.put_me(&plain(&new))
        .await
        .bad_fields(409, &["/handle"]);
    assert_eq!(stage.owner_of(&new).await, Some((other.id.clone(), None)));
}

/// Fails if an account may withhold any number of handles by giving them up.
#[tokio::test]
async fn nobody_holds_more_than_five_handles() {
    let world = World::shared().await;
    let nabi = user_with_profile(&world, "nabi").await;
    let handle = |n: usize| format!("{}_{n}", nabi.own_handle());
    for n in 1..=5 {
        nabi.put_me(&plain(&handle(n))).await.expect(200);
    }
    let refused = nabi.put_me(&plain(&handle(6))).await;
    refused.bad_fields(409, &["/handle"]);
    assert_eq!(refused.json()["type"], "/problems/handles-too-many");
    assert_eq!(nabi.me().await["handle"], handle(5).as_str());
    // The index of handles lags a moment: the profile, written with each change, has the list that counts.
    let stage = Backstage::of(&world).await;
    let row = stage.item("UsersTable", "id", &nabi.id).await.unwrap();
    let given_up = text(&row, "given_up");
    let mut given_up: Vec<&str> = given_up.split_whitespace().collect();
    given_up.sort_unstable();
    let expected = [nabi.own_handle()].into_iter().chain((1..5).map(handle));
    assert_eq!(given_up, expected.collect::<Vec<_>>());
    // A held handle may be taken back, and other fields may change.
    for n in [2, 5, 3] {
        nabi.put_me(&plain(&handle(n))).await.expect(200);
    }
    nabi.put_me(&plain(&handle(6)))
        .await
        .bad_fields(409, &["/handle"]);
    let other_name = json!({ "handle": handle(3), "name": "Other" });
    nabi.put_me(&other_name).await.expect(200);
}

#[tokio::test]
async fn generated_handles_stay_reserved_for_their_users() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let generated = async |user: &User| {
        let handle = user.me().await["handle"].as_str().unwrap().to_owned();
        assert!(handle.starts_with("cat_"), "{handle}");
        handle
    };
    let of_other = generated(&other).await;
    for handle in [of_other.as_str(), "cat_0000000000000", "cat_zzzzzzzzzzzzz"] {
        nabi.put_me(&plain(handle))
            .await
            .bad_fields(409, &["/handle"]);
    }
    // Generated handles lead to their users, who need not have read them before.
    let posted = world.user("posted");
    let post = posted.post("x").await;
    let shown = post["author"]["handle"].as_str().unwrap();
    assert_eq!(by_handle(&nabi, shown).await, Some(json!(posted.id)));
    assert_eq!(by_handle(&nabi, &of_other).await, Some(json!(other.id)));
    // They still do after a user has chosen another handle, or the generated one.
    other.put_me(&plain(&other.own_handle())).await.expect(201);
    assert_eq!(by_handle(&nabi, &of_other).await, Some(json!(other.id)));
    let me = other.put_me(&plain(&of_other)).await.expect(200).json();
    assert_eq!(me["handle"], of_other);
    assert_eq!(by_handle(&nabi, &of_other).await, Some(json!(other.id)));
    // A similar handle is free: i, l, o and u are not digits.
    let alike = format!("cat_u{:0>12}", nabi.id.split('-').next_back().unwrap());
    nabi.put_me(&plain(&alike)).await.expect(201);
}

#[tokio::test]
async fn authors_are_shown_as_they_are_now() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    reader.follow(&nabi).await;
    let post = nabi.post_id("x").await;
    world.wait_until_drained().await;
    let avatar = nabi.upload("image/jpeg", &image(JPEG)).await;
    let handle = nabi.own_handle();
    for body in [
        json!({ "handle": handle, "name": "first", "avatar": avatar }),
        json!({ "handle": handle, "name": "second" }),
        json!({ "handle": format!("{handle}_2"), "name": "second" }),
        json!({ "handle": handle, "name": "third", "avatar": null }),
    ] {
        // The feed is read twice, so that the author is cached.
        for _ in 0..2 {
            reader.feed(5).await;
        }
        nabi.put_me(&body).await;
        let now = author(&nabi).await;
        assert_eq!(
            (&now["handle"], &now["name"]),
            (&body["handle"], &body["name"])
        );
        for _ in 0..2 {
            assert_eq!(reader.feed(5).await[0]["author"], now, "in the feed");
        }
        assert_eq!(reader.read_post(&post).await["author"], now, "by id");
        let list = format!("/v1/users/{}/posts", nabi.id);
        assert_eq!(reader.page(&list).await.0[0]["author"], now, "in the list");
        let followed = reader
            .page(&format!("/v1/users/{}/following", reader.id))
            .await
            .0;
        assert_eq!(followed[0]["name"], now["name"], "among those followed");
        let new = nabi.post("y").await;
        assert_eq!(new["author"], now, "of a new post");
        nabi.delete_post(new["id"].as_str().unwrap()).await;
    }
}

/// Sends a profile, and repeats the request while the machine is overloaded.
async fn claim(user: &User, body: &Value) -> Reply {
    eventually("it is answered", async || {
        let reply = user.put_me(body).await;
        (reply.status != 503).then_some(reply)
    })
    .await
}

/// The bar, as clients see it: a hundred users request one handle at once. That is more requests than the functions
/// handle at a time.
#[tokio::test]
async fn one_of_a_hundred_users_gets_a_contested_handle() {
    let mut options = World::options();
    options.workers = 8;
    let world = World::with(options).await;
    let mut users: Vec<User> = Vec::new();
    let started = std::time::Instant::now();
    let mut winners = HashSet::new();
    for round in 0..ROUNDS {
        // New users after five rounds: one who won them all may give up no more handles.
        if round % 5 == 0 {
            users = (0..100).map(|_| world.user("nabi")).collect();
        }
        let body = plain(&format!("round_{round}"));
        let claims = users.iter().map(|user| claim(user, &body));
        let replies = futures::future::join_all(claims).await;
        let mut won = Vec::new();
        for (user, reply) in users.iter().zip(&replies) {
            match reply.status {
                200 | 201 => won.push((user, reply.json())),
                _ => reply.bad_fields(409, &["/handle"]),
            }
        }
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        let (winner, shown) = won.remove(0);
        assert_eq!(winner.me().await, shown);
        let found = by_handle(&users[0], &format!("round_{round}")).await;
        assert_eq!(found, Some(json!(winner.id)));
        winners.insert(winner.id.clone());
    }
    println!(
        "{ROUNDS} rounds of {} took {:?}, {} won",
        users.len(),
        started.elapsed(),
        winners.len()
    );
}

const ROUNDS: usize = 50;
