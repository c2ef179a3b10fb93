//! Cats, as `api.md` says.

use serde_json::{Value, json};

use super::shapes::{assert_cat, clock};
use crate::support::{World, id_of};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_cat_has_every_field_wherever_it_is_read() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let photo = nabi.upload_photo().await;
    let body = json!({
        "name": "나비", "breed": "korean shorthair", "birth_date": "2020-02-29", "photo": photo, "bio": "졸려\n"
    });
    let reply = nabi.create("/v1/cats", &body).await.expect(201);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let cat = reply.json();
    assert_cat(&cat);
    let path = format!("/v1/cats/{}", id_of(&cat));
    assert_eq!(reply.header("location"), Some(path.as_str()));
    for same in ["name", "breed", "birth_date", "bio"] {
        assert_eq!(cat[same], body[same], "{same}");
    }
    assert_eq!(cat["owner"], nabi.id);
    let served = nabi.http().get(cat["photo_url"].as_str().unwrap());
    let served = nabi.send(served).await.expect(200);
    assert_eq!(served.header("content-type"), Some("image/jpeg"));
    for caller in [&nabi, &reader] {
        assert_eq!(caller.get(&path).await.expect(200).json(), cat);
        let list = format!("/v1/users/{}/cats", nabi.id);
        assert_eq!(caller.walk(&list, 20).await, std::slice::from_ref(&cat));
    }

    let plain = nabi.cat("x").await;
    assert_cat(&plain);
    for none in ["breed", "birth_date", "photo_url", "bio"] {
        assert_eq!(plain[none], Value::Null, "{none}");
    }
    // Optional fields may also be given as null or empty.
    for bio in [Value::Null, json!("")] {
        let body =
            json!({ "name": "x", "breed": null, "birth_date": null, "photo": null, "bio": bio });
        let said = nabi.create("/v1/cats", &body).await.expect(201).json();
        assert_eq!(
            (&said["name"], &said["breed"], &said["bio"]),
            (&plain["name"], &Value::Null, &Value::Null)
        );
    }
}

#[tokio::test]
async fn fields_must_be_within_both_limits() {
    let nabi = World::shared().await.user("nabi");
    let day = |back, ahead| clock(back, ahead)[..10].to_owned();
    let tomorrow = day(Duration::ZERO, DAY);
    let later = day(Duration::ZERO, 3 * DAY);
    for (field, good) in [
        (
            "name",
            vec!["x".to_owned(), "🐈".repeat(50), " x ".to_owned()],
        ),
        ("breed", vec!["russian-blue".to_owned(), "나".repeat(50)]),
        ("birth_date", vec!["1970-01-01".to_owned(), tomorrow]),
        ("bio", vec!["나".repeat(500), "a\nb".to_owned()]),
    ] {
        for value in good {
            let mut body = json!({ "name": "x" });
            body[field] = json!(value);
            let cat = nabi.create("/v1/cats", &body).await.expect(201).json();
            assert_eq!(cat[field], value, "{field}");
            let path = format!("/v1/cats/{}", id_of(&cat));
            body[field] = json!(value);
            assert_eq!(nabi.change(&path, &body).await.expect(200).json(), cat);
        }
    }
    let cat = nabi.cat_id("x").await;
    for (field, bad) in [
        (
            "name",
            vec![
                json!(""),
                json!(" \n"),
                json!("나".repeat(51)),
                json!("a\u{0}"),
                json!("\u{7f}x"),
                json!("\u{3164}"),
                json!("\u{200b}\u{ad}"),
                json!("x\u{2028}"),
                json!("\u{202e}x"),
                json!(7),
            ],
        ),
        (
            "breed",
            vec![
                json!("  "),
                json!("x".repeat(51)),
                json!("a\tb"),
                json!("\u{fe0f}"),
                json!("a\u{85}b"),
                json!({}),
            ],
        ),
        (
            "birth_date",
            vec![
                json!("1969-12-31"),
                json!(later),
                json!("2023-02-29"),
                json!("2023-2-9"),
                json!("soon"),
                json!(2023),
            ],
        ),
        ("bio", vec![json!("나".repeat(501)), json!([])]),
        ("photo", vec![json!(7)]),
        ("age", vec![json!(3)]),
        ("owner", vec![json!("somebody")]),
    ] {
        for value in bad {
            let mut body = json!({ "name": "x" });
            body[field] = value;
            let pointer = format!("/{field}");
            nabi.create("/v1/cats", &body)
                .await
                .bad_fields(400, &[&pointer]);
            nabi.change(&format!("/v1/cats/{cat}"), &body)
                .await
                .bad_fields(400, &[&pointer]);
        }
    }
    let body = json!({ "breed": "", "birth_date": "x", "photo": 1, "bio": 2, "nmae": "x" });
    let all = ["/name", "/breed", "/birth_date", "/photo", "/bio", "/nmae"];
    nabi.create("/v1/cats", &body).await.bad_fields(400, &all);
    // A new cat has no fields to clear.
    let body = json!({ "name": "x", "breed": "", "birth_date": "" });
    let empty = ["/breed", "/birth_date"];
    nabi.create("/v1/cats", &body).await.bad_fields(400, &empty);
    nabi.create("/v1/cats", &json!({ "name": "x", "photo": "" }))
        .await
        .bad_fields(422, &["/photo"]);
    let path = format!("/v1/cats/{cat}");
    nabi.change(&path, &json!({ "name": "" }))
        .await
        .bad_fields(400, &["/name"]);
    assert_eq!(nabi.read_cat(&cat).await["name"], "x");
}

#[tokio::test]
async fn a_photo_must_be_an_upload_of_the_caller() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let mine = nabi.upload_photo().await;
    let theirs = other.upload_photo().await;
    let wanted = json!({ "content_type": "image/png", "size": 3 });
    let never = nabi.create("/v1/uploads", &wanted).await.expect(201).json();
    let cat = nabi.cat_id("x").await;
    for key in [
        theirs.as_str(),
        never["key"].as_str().unwrap(),
        "x",
        &format!("{mine}x"),
    ] {
        let body = json!({ "name": "x", "photo": key });
        nabi.create("/v1/cats", &body)
            .await
            .bad_fields(422, &["/photo"]);
        nabi.change(&format!("/v1/cats/{cat}"), &body)
            .await
            .bad_fields(422, &["/photo"]);
    }
    nabi.change(&format!("/v1/cats/{cat}"), &json!({ "photo": mine }))
        .await
        .expect(200);
}

#[tokio::test]
async fn an_edit_changes_the_named_fields_and_an_empty_text_clears_one() {
    let nabi = World::shared().await.user("nabi");
    let photo = nabi.upload_photo().await;
    let body = json!({ "name": "x", "breed": "bengal", "birth_date": "2020-01-01", "photo": photo, "bio": "b" });
    let mut cat = nabi.create("/v1/cats", &body).await.expect(201).json();
    let path = format!("/v1/cats/{}", id_of(&cat));
    assert_eq!(cat["breed_name"]["ko"], "벵갈");
    let nulls =
        json!({ "name": null, "breed": null, "birth_date": null, "photo": null, "bio": null });
    for nothing in [json!({}), nulls] {
        assert_eq!(nabi.change(&path, &nothing).await.expect(200).json(), cat);
    }
    for (edit, field, value) in [
        (json!({ "name": "y" }), "name", json!("y")),
        (json!({ "bio": "" }), "bio", Value::Null),
        (json!({ "breed": "" }), "breed", Value::Null),
        (json!({ "birth_date": "" }), "birth_date", Value::Null),
        (json!({ "photo": "" }), "photo_url", Value::Null),
        (json!({ "breed": "sphynx" }), "breed", json!("sphynx")),
        (json!({ "breed": "치즈" }), "breed", json!("치즈")),
    ] {
        cat[field] = value;
        if field == "breed" {
            cat["breed_name"] = match cat["breed"].as_str() {
                Some("sphynx") => json!({ "en": "Sphynx", "ko": "스핑크스" }),
                _ => Value::Null,
            };
        }
        assert_eq!(
            nabi.change(&path, &edit).await.expect(200).json(),
            cat,
            "{edit}"
        );
        assert_eq!(nabi.get(&path).await.expect(200).json(), cat, "{edit}");
    }
}

/// Concurrent edits of different fields all take effect.
#[tokio::test]
async fn concurrent_edits_lose_nothing() {
    let nabi = World::shared().await.user("nabi");
    let cat = nabi.cat_id("x").await;
    let path = format!("/v1/cats/{cat}");
    let edits = [
        json!({ "name": "y" }),
        json!({ "breed": "b" }),
        json!({ "bio": "c" }),
        json!({ "birth_date": "2020-01-01" }),
    ];
    let replies =
        futures::future::join_all(edits.iter().map(|edit| nabi.change(&path, edit))).await;
    assert!(
        replies.iter().all(|reply| reply.status == 200),
        "{replies:?}"
    );
    let cat = nabi.read_cat(&cat).await;
    for edit in edits {
        for (field, value) in edit.as_object().unwrap() {
            assert_eq!(cat[field], *value, "{field}");
        }
    }
}

#[tokio::test]
async fn only_the_owner_may_change_or_delete_a_cat() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let cat = nabi.cat("x").await;
    let path = format!("/v1/cats/{}", id_of(&cat));
    other
        .change(&path, &json!({ "name": "theirs" }))
        .await
        .problem(403);
    // The refusal doesn't depend on the photo.
    other
        .change(&path, &json!({ "photo": "x" }))
        .await
        .problem(403);
    other.delete(&path).await.problem(403);
    assert_eq!(nabi.get(&path).await.expect(200).json(), cat);

    let list = format!("/v1/users/{}/cats", nabi.id);
    nabi.delete(&path).await.expect(204);
    for caller in [&nabi, &other] {
        caller.get(&path).await.problem(404);
        caller
            .change(&path, &json!({ "name": "y" }))
            .await
            .problem(404);
        caller.delete(&path).await.problem(404);
        assert!(caller.walk(&list, 20).await.is_empty());
    }
}

#[tokio::test]
async fn cats_are_listed_newest_first_in_any_page_size() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let mut cats = Vec::new();
    for n in 0..7 {
        cats.push(nabi.cat_id(&n.to_string()).await);
    }
    cats.reverse();
    let list = format!("/v1/users/{}/cats", nabi.id);
    for size in [1, 2, 3, 7, 100] {
        assert_eq!(reader.walk_ids(&list, size).await, cats, "by {size}");
    }
    // A cat deleted meanwhile leaves no gap.
    let (page, next) = reader.page(&format!("{list}?limit=2")).await;
    nabi.delete(&format!("/v1/cats/{}", cats[2]))
        .await
        .expect(204);
    let (rest, _) = reader
        .page(&format!("{list}?limit=2&cursor={}", next.unwrap()))
        .await;
    let walked: Vec<String> = page.iter().chain(&rest).map(id_of).collect();
    assert_eq!(
        walked,
        [&cats[0], &cats[1], &cats[3], &cats[4]].map(String::clone)
    );
}

#[tokio::test]
async fn a_key_registers_one_cat() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let body = json!({ "name": "x", "breed": "bengal" });
    let once = |body: Value| {
        let nabi = &nabi;
        async move { nabi.create_once("/v1/cats", "key", &body).await }
    };
    let replies = futures::future::join_all((0..5).map(|_| once(body.clone()))).await;
    let first = replies[0].clone().expect(201);
    for reply in replies {
        assert_eq!(reply.header("location"), first.header("location"));
        assert_eq!(reply.expect(201).json(), first.json());
    }
    once(json!({ "name": "y" })).await.problem(422);
    other
        .create_once("/v1/cats", "key", &body)
        .await
        .expect(201);
    assert_eq!(
        nabi.walk(&format!("/v1/users/{}/cats", nabi.id), 20).await,
        [first.json()]
    );
}
