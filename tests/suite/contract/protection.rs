//! Headers that every answer has, whatever the caller or route: `Cache-Control`, `X-Content-Type-Options`, and over HTTPS
//! `Strict-Transport-Security`. Every other test checks with each of its requests that no answer lacks them (see
//! [`crate::support::documented`]).

use reqwest::Method;
use serde_json::{Value, json};

use super::routes::{self, PUBLIC, SIGNED_IN};
use crate::support::{Reply, World};

#[track_caller]
fn assert_caching(reply: &Reply, expected: &str) {
    let what = format!("{} {}", reply.request, reply.status);
    assert_eq!(reply.header("cache-control"), Some(expected), "{what}");
    assert_eq!(
        reply.header("x-content-type-options"),
        Some("nosniff"),
        "{what}"
    );
}

#[tokio::test]
async fn answers_for_one_caller_are_not_cached() {
    let world = World::own().await;
    let nabi = world.user("nabi");
    let post = nabi.post_id("x").await;
    for caller in [&nabi, &world.anonymous()] {
        for (method, route, body) in routes::calls() {
            if (&method, route) == (&Method::DELETE, "/v1/me") {
                continue;
            }
            let mut request = caller.request(method, &routes::good_path(route, &post, "somebody"));
            if let Some(body) = &body {
                request = request.json(body);
            }
            assert_caching(&caller.send(request).await, "no-store");
        }
    }
    assert_caching(&nabi.delete("/v1/me").await.expect(202), "no-store");
}

#[tokio::test]
async fn errors_and_preflights_are_not_cached() {
    let world = World::shared().await;
    let anybody = world.anonymous();
    assert_caching(&anybody.get("/v1/nothing").await.expect(404), "no-store");
    for route in SIGNED_IN.iter().chain(PUBLIC.iter()) {
        let path = routes::path(route.path, "0000000000000", "nabi");
        let other = anybody.call(Method::TRACE, &path).await.expect(405);
        assert_caching(&other, "no-store");
        let preflight = anybody
            .request(Method::OPTIONS, &path)
            .header("origin", "https://cats.example")
            .header("access-control-request-method", "GET");
        assert_caching(&anybody.send(preflight).await.expect(200), "no-store");
        assert_caching(
            &anybody.call(Method::OPTIONS, &path).await.expect(204),
            "no-store",
        );
    }
    let large = json!({ "text": "x".repeat(257 * 1024) });
    let refused = world.user("nabi").create("/v1/posts", &large).await;
    assert_caching(&refused.expect(413), "no-store");
}

#[tokio::test]
async fn public_answers_may_be_cached_for_a_while() {
    let world = World::shared().await;
    for method in [Method::GET, Method::HEAD] {
        for (path, caching) in [
            ("/v1/health", "public, max-age=5"),
            ("/v1/openapi.json", "public, max-age=300"),
        ] {
            let reply = world.anonymous().call(method.clone(), path).await;
            assert_caching(&reply.expect(200), caching);
        }
    }
}

#[tokio::test]
async fn the_document_is_sent_once_to_clients_that_keep_it() {
    let anybody = World::shared().await.anonymous();
    let path = "/v1/openapi.json";
    let version = anybody.get(path).await.expect(200);
    let version = version.header("etag").unwrap();
    let again = async |known: &str| {
        let request = anybody.request(Method::GET, path);
        anybody.send(request.header("if-none-match", known)).await
    };
    for known in [
        version.to_owned(),
        format!("W/{version}"),
        format!("\"other\", {version}"),
        "*".to_owned(),
    ] {
        let reply = again(&known).await.expect(304);
        assert_eq!(
            (reply.text().as_str(), reply.header("etag")),
            ("", Some(version))
        );
        assert_caching(&reply, "public, max-age=300");
    }
    again("\"other\"").await.expect(200);
}

#[tokio::test]
async fn https_answers_have_strict_transport_security() {
    let world = World::shared().await;
    for (protocol, expected) in [
        ("https", Value::from("max-age=31536000")),
        ("http", Value::Null),
    ] {
        for path in ["/v1/health", "/v1/nothing", "/v1/hea lth"] {
            for multi_value in [true, false] {
                let (name, value) = if multi_value {
                    ("multiValueHeaders", json!([protocol]))
                } else {
                    ("headers", json!(protocol))
                };
                let mut event = json!({ "httpMethod": "GET", "path": path });
                event[name] = json!({ "X-Forwarded-Proto": value });
                let answer = world.invoke("health", &event).await.unwrap();
                let answer: Value = serde_json::from_slice(&answer).unwrap();
                let found = &answer[name]["strict-transport-security"];
                let found = if multi_value { &found[0] } else { found };
                assert_eq!(*found, expected, "{protocol} {path}: {answer}");
            }
        }
    }
}
