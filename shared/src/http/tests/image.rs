//! Bodies that are an image, or name one, and the query beside them.

use axum::Router;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Call, call, settings};
use crate::domain::UserId;
use crate::http::settings::BODY_LIMIT;
use crate::http::{Api, ImageBody, Problem, Query};

fn classify() -> Api {
    let read = async |Query(mut query): Query, image: ImageBody| -> Result<String, Problem> {
        let top = query.optional("top", str::parse::<u8>);
        match image {
            ImageBody::Bytes(bytes) => {
                let (top,) = query.finish((top,))?;
                Ok(format!("{} bytes {top:?}", bytes.len()))
            }
            ImageBody::Fields(mut fields) => {
                let image = fields.required("image", UserId::parse);
                let (top, image) = fields.with(query).finish((top, image))?;
                Ok(format!("{image} {top:?}"))
            }
        }
    };
    let settings = settings().with_body_limit(2 * BODY_LIMIT);
    Api::new(Router::new().route("/v1/classify", post(read)), settings)
}

fn send(kind: &str, bytes: &[u8]) -> Call {
    call("POST", "/v1/classify")
        .header("content-type", kind)
        .body(STANDARD.encode(bytes))
        .base64()
}

#[tokio::test]
async fn images_are_sent_as_bytes_or_named_in_json() {
    for (request, text) in [
        (send("image/jpeg", b"\xff\xd8"), "2 bytes None"),
        (
            send("Image/PNG ; q=1", b"").query("top", "3"),
            "0 bytes Some(3)",
        ),
        (
            send("image/webp", &vec![0; 2 * BODY_LIMIT]).single_value(),
            "524288 bytes None",
        ),
        (
            send("image/webp", b"x").header("content-encoding", "identity"),
            "1 bytes None",
        ),
        (
            send("Application/JSON; charset=UTF-8", br#"{"image": "x"}"#).query("top", "12"),
            "x Some(12)",
        ),
    ] {
        let got = request.to(&classify()).await;
        assert_eq!((got.status(), got.text()), (200, text));
    }
}

#[tokio::test]
async fn other_types_encodings_and_sizes_are_refused() {
    let spaces = vec![b' '; BODY_LIMIT + 1];
    for (request, status) in [
        (send("image/gif", b"GIF89a"), 415),
        (send("image/jpg", b"x"), 415),
        (send("image/jpeg, image/png", b"x"), 415),
        (send("", b"x"), 415),
        (call("POST", "/v1/classify").body("x"), 415),
        (
            send("image/png", b"x").header("content-encoding", "gzip"),
            415,
        ),
        (send("application/json; charset=latin1", b"{}"), 415),
        (send("image/png", &vec![0; 2 * BODY_LIMIT + 1]), 413),
        // JSON keeps the limit that it has everywhere.
        (send("application/json", &spaces), 413),
        (send("application/json", &spaces[1..]), 400),
    ] {
        assert_eq!(request.to(&classify()).await.status(), status);
    }
}

#[tokio::test]
async fn errors_in_query_and_body_are_reported_together() {
    for (request, pointers) in [
        (send("image/png", b"").query("top", "x"), vec!["/top"]),
        (send("image/png", b"").query("tops", "1"), vec!["/tops"]),
        (
            send("application/json", br#"{"image": 7, "imag": 7}"#)
                .query("top", "-1")
                .query("limit", "1"),
            vec!["/image", "/imag", "/limit", "/top"],
        ),
    ] {
        let got = request.to(&classify()).await;
        let mut named = got.pointers();
        let mut expected = pointers;
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(
            (got.status(), named),
            (400, expected.into_iter().map(str::to_owned).collect())
        );
    }
}

#[tokio::test]
async fn problem_can_point_to_a_field() {
    let router = Router::new().route(
        "/v1/classify",
        post(async || Problem::too_large("Too large.").about("/image")),
    );
    let got = call("POST", "/v1/classify").to(&super::api(router)).await;
    assert_eq!(
        (got.status(), got.pointers()),
        (413, vec!["/image".to_owned()])
    );
}
