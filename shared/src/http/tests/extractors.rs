//! Paths, paging and idempotency keys.

use axum::Router;
use axum::routing::get;

use super::{api, call};
use crate::domain::{Cursor, PostId, UserId};
use crate::http::{Api, Idempotency, Paging, Path, Problem};

fn users() -> Api {
    let read = async |Path(user): Path<UserId>| user.to_string();
    let list = async |paging: Paging| -> Result<String, Problem> {
        let (limit, after) = paging.open("followers/nabi", |bytes| {
            bytes.try_into().ok().map(u16::from_be_bytes)
        })?;
        Ok(format!("{} {after:?}", limit.get()))
    };
    let post = async |Path(PostId(id)): Path<PostId>| id.to_string();
    let once = async |idempotency: Idempotency| {
        let key = idempotency.key.map(|key| key.as_str().to_owned());
        format!("{key:?} {}", idempotency.fingerprint)
    };
    let router = Router::new()
        .route("/v1/users/{id}", get(read))
        .route("/v1/users/{id}/followers", get(list))
        .route("/v1/posts/{id}", get(post))
        .route("/v1/posts", axum::routing::post(once));
    api(router)
}

#[tokio::test]
async fn ids_in_paths_are_decoded_and_bad_ones_are_404() {
    for (path, text) in [
        ("/v1/users/nabi", "nabi"),
        ("/v1/users/n%61bi", "nabi"),
        ("/v1/posts/0000000000001", "0000000000001"),
    ] {
        let got = call("GET", path).to(&users()).await;
        assert_eq!((got.status(), got.text()), (200, text), "{path}");
    }
    let long = format!("/v1/users/{}", "x".repeat(41));
    for path in [
        "/v1/users/@na",
        "/v1/users/a%2Fb",
        "/v1/users/%ff",
        "/v1/users/a+b",
        "/v1/users/나비",
        "/v1/posts/1",
        &long,
    ] {
        assert_eq!(call("GET", path).to(&users()).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn limits_and_cursors_are_read_and_bad_ones_are_400() {
    let list = || call("GET", "/v1/users/nabi/followers");
    let cursor = Cursor::issue("followers/nabi", &7_u16.to_be_bytes());
    for (request, text) in [
        (list(), "20 None"),
        (list().query("limit", "1"), "1 None"),
        (
            list()
                .query("limit", "100")
                .query("cursor", cursor.as_str()),
            "100 Some(7)",
        ),
        (
            list()
                .single_value()
                .query("limit", "100")
                .query("cursor", cursor.as_str()),
            "100 Some(7)",
        ),
    ] {
        let got = request.to(&users()).await;
        assert_eq!((got.status(), got.text()), (200, text));
    }
    let foreign = Cursor::issue("followers/kong", &7_u16.to_be_bytes());
    let forged = Cursor::issue("followers/nabi", b"longer than two bytes");
    for (request, pointers) in [
        (list().query("limit", "0"), vec!["/limit"]),
        (list().query("limit", "101"), vec!["/limit"]),
        (list().query("limit", ""), vec!["/limit"]),
        (list().query("limit", "%32%30x"), vec!["/limit"]),
        (list().query("cursor", ""), vec!["/cursor"]),
        (list().query("cursor", foreign.as_str()), vec!["/cursor"]),
        (list().query("cursor", forged.as_str()), vec!["/cursor"]),
        (
            list().query("limit", "x").query("cursor", "%ff"),
            vec!["/limit", "/cursor"],
        ),
        (
            list()
                .query("limt", "5")
                .query("limit", "1")
                .query("limit", "1"),
            vec!["/limit", "/limt"],
        ),
    ] {
        let got = request.to(&users()).await;
        assert_eq!(got.status(), 400);
        assert_eq!(got.pointers(), pointers);
    }
}

#[tokio::test]
async fn idempotency_keys_are_read_and_bad_ones_are_400() {
    let post = |body: &str| call("POST", "/v1/posts").body(body);
    let with = async |key: String| post("{}").header("idempotency-key", key).to(&users()).await;
    assert!(post("{}").to(&users()).await.text().starts_with("None "));
    let text = with("a".repeat(64)).await.text().to_owned();
    assert!(text.starts_with("Some(\"aaaa"), "{text}");
    let fingerprint = |text: &str| text.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(
        fingerprint(&text),
        fingerprint(with("~!".to_owned()).await.text())
    );
    assert_ne!(
        fingerprint(&text),
        fingerprint(post("{} ").to(&users()).await.text())
    );
    for bad in [
        String::new(),
        "a".repeat(65),
        "a b".to_owned(),
        "é".to_owned(),
    ] {
        let got = with(bad).await;
        assert_eq!(
            (got.status(), got.pointers()),
            (400, vec!["/Idempotency-Key".to_owned()])
        );
    }
    let twice = post("")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b")
        .to(&users())
        .await;
    assert_eq!(twice.status(), 400);
}
