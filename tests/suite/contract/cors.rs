//! Cross-origin requests: preflights are answered, and pages may read the headers that they need.

use reqwest::Method;
use serde_json::json;

use super::routes::{self, PUBLIC, SIGNED_IN};
use crate::support::{Reply, World};

const OURS: &str = "https://purrline.example";
const ALSO_OURS: &str = "http://localhost:5173";
const FOREIGN: &str = "https://evil.example";

/// Headers that a page's request may have: the API's own, and those of tracing tools.
const ALLOWED: [&str; 7] = [
    "authorization",
    "content-type",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "sentry-trace",
    "baggage",
];

async fn world() -> World {
    World::with(World::options().parameter("CorsOrigins", &format!("{OURS},{ALSO_OURS}"))).await
}

/// Returns a header's values in lower case, split at commas, sorted.
fn list(reply: &Reply, name: &str) -> Vec<String> {
    let values = reply
        .headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.to_str().unwrap().split(','));
    let mut values: Vec<String> = values.map(|value| value.trim().to_lowercase()).collect();
    values.sort();
    values
}

#[tokio::test]
async fn preflights_are_answered_for_the_configured_origins_on_every_path() {
    let world = world().await;
    let anybody = world.anonymous();
    for route in SIGNED_IN.iter().chain(PUBLIC.iter()) {
        for method in route.methods {
            for origin in [OURS, ALSO_OURS, FOREIGN] {
                let request = anybody
                    .request(
                        Method::OPTIONS,
                        &routes::path(route.path, "0000000000000", "nabi"),
                    )
                    .header("origin", origin)
                    .header("access-control-request-method", method.as_str())
                    .header("access-control-request-headers", ALLOWED.join(","));
                let reply = anybody.send(request).await;
                assert!(
                    [200, 204].contains(&reply.status),
                    "{} {}",
                    reply.request,
                    reply.status
                );
                assert!(
                    list(&reply, "vary").contains(&"origin".to_owned()),
                    "{:?}",
                    reply.headers
                );
                if origin == FOREIGN {
                    assert_eq!(reply.header("access-control-allow-origin"), None);
                    continue;
                }
                assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
                assert!(
                    list(&reply, "access-control-allow-methods")
                        .contains(&method.as_str().to_lowercase())
                );
                for header in ALLOWED {
                    assert!(
                        list(&reply, "access-control-allow-headers").contains(&header.to_owned())
                    );
                }
                assert!(reply.header("access-control-max-age").is_some());
            }
        }
    }
}

#[tokio::test]
async fn answers_and_errors_of_every_function_can_be_read_by_our_pages_alone() {
    let world = world().await;
    let nabi = world.user("nabi");
    let post = nabi.post_id("x").await;
    for caller in [&nabi, &world.anonymous()] {
        for (method, route, body) in
            routes::calls().filter(|(method, ..)| *method != Method::DELETE)
        {
            for origin in [OURS, FOREIGN] {
                let path = routes::good_path(route, &post, "somebody");
                let mut request = caller
                    .request(method.clone(), &path)
                    .header("origin", origin);
                if let Some(body) = &body {
                    request = request.json(body);
                }
                let reply = caller.send(request).await;
                let what = format!("{} {} {:?}", reply.request, reply.status, reply.headers);
                assert!(
                    list(&reply, "vary").contains(&"origin".to_owned()),
                    "{what}"
                );
                if origin == FOREIGN {
                    assert_eq!(reply.header("access-control-allow-origin"), None, "{what}");
                    continue;
                }
                assert_eq!(
                    reply.header("access-control-allow-origin"),
                    Some(origin),
                    "{what}"
                );
                let exposed = list(&reply, "access-control-expose-headers");
                assert_eq!(
                    exposed,
                    [
                        "location",
                        "retry-after",
                        "www-authenticate",
                        "x-request-id"
                    ],
                    "{what}"
                );
            }
        }
    }
    for path in ["/v1/health", "/v1/nothing"] {
        let reply = nabi
            .send(nabi.request(Method::GET, path).header("origin", OURS))
            .await;
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some(OURS),
            "{path}"
        );
    }
}

#[tokio::test]
async fn any_origin_is_allowed_where_the_template_says_so() {
    let nabi = World::shared().await.user("nabi");
    let reply = nabi
        .send(
            nabi.request(Method::GET, "/v1/me")
                .header("origin", FOREIGN),
        )
        .await
        .expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let request = nabi
        .with_token(None)
        .request(Method::OPTIONS, "/v1/posts")
        .header("origin", FOREIGN);
    let reply = nabi
        .send(request.header("access-control-request-method", "POST"))
        .await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_page_uploads_to_the_stacks_own_port_and_shows_what_it_uploaded() {
    let world = world().await;
    let nabi = world.user("nabi");
    let wanted = json!({ "content_type": "image/png", "size": 4 });
    let upload = nabi.create("/v1/uploads", &wanted).await.expect(201).json();
    let url = upload["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/", world.url())), "{url}");
    let names: Vec<&String> = upload["headers"].as_object().unwrap().keys().collect();
    for (origin, allowed) in [(OURS, true), (ALSO_OURS, true), (FOREIGN, false)] {
        let preflight = nabi
            .http()
            .request(Method::OPTIONS, url)
            .header("origin", origin)
            .header("access-control-request-method", "PUT");
        let asked = names.iter().map(|name| name.as_str()).collect::<Vec<_>>();
        let preflight = preflight.header("access-control-request-headers", asked.join(","));
        let reply = nabi
            .send(preflight)
            .await
            .expect(if allowed { 200 } else { 403 });
        let expected = allowed.then_some(origin);
        assert_eq!(reply.header("access-control-allow-origin"), expected);
    }
    let mut put = nabi.http().put(url).header("origin", OURS).body("meow");
    for (name, value) in upload["headers"].as_object().unwrap() {
        if name != "content-length" {
            put = put.header(name, value.as_str().unwrap());
        }
    }
    let reply = nabi.send(put).await.expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), Some(OURS));
    assert_eq!(list(&reply, "access-control-expose-headers"), ["etag"]);

    let body = serde_json::json!({ "images": [nabi.upload_photo().await] });
    let post = nabi.create("/v1/posts", &body).await.expect(201).json();
    let picture = post["images"][0]["url"].as_str().unwrap();
    assert!(
        picture.starts_with(&format!("{}/media/", world.url())),
        "{picture}"
    );
    let picture = || nabi.http().get(picture).header("origin", FOREIGN);
    let reply = nabi.send(picture()).await.expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let tag = reply.header("etag").unwrap();
    nabi.send(picture().header("if-none-match", tag))
        .await
        .expect(304);
}

#[tokio::test]
async fn the_load_balancers_own_answers_can_be_read_where_one_origin_may() {
    let too_large = vec![b'x'; (1 << 20) + 1];
    for (origins, expected) in [
        ("*".to_owned(), Some("*")),
        (OURS.to_owned(), Some(OURS)),
        (format!("{OURS},{ALSO_OURS}"), None),
    ] {
        let world = World::with(World::options().parameter("CorsOrigins", &origins)).await;
        let nabi = world.user("nabi");
        let request = nabi
            .request(Method::POST, "/v1/classify")
            .header("origin", OURS);
        let reply = nabi.send(request.body(too_large.clone())).await.expect(413);
        assert_eq!(
            reply.header("x-request-id"),
            None,
            "the load balancer's own"
        );
        assert_eq!(
            reply.header("access-control-allow-origin"),
            expected,
            "{origins}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let ours = nabi.request(Method::GET, "/v1/feed").header("origin", OURS);
        let ours = nabi.send(ours).await.expect(200);
        let exposed = list(&ours, "access-control-expose-headers");
        assert_eq!(
            list(&reply, "access-control-expose-headers"),
            exposed,
            "not the functions'"
        );
    }
}
