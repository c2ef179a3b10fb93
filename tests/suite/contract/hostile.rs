//! The OWASP API Security Top 10 (2023) as tables of attacks, each tried on every route without effect. No caller gets in,
//! nothing breaks, and neither answers nor logs reveal anything. With every request, the answer is also checked against
//! openapi.json, and every log line is inspected.
//!
//! Attacks that take more than single requests are tested elsewhere: the ownership of objects (API1, `access`), rates and
//! sizes (API4 and API6, `limits`, `bodies`, `idempotency`), origins (API8, `cors`), and the one external service that is
//! called, the sign-in provider (API10, `faults::sign_in_keys`).

use reqwest::Method;
use serde_json::{Value, json};

use super::routes;
use super::wrong_tokens::faulty_headers;
use crate::support::secrets::SECRET;
use crate::support::{JPEG, Reply, User, World, id_of, image};

/// A valid call.
struct Call {
    method: Method,
    /// The route as in the contract, with `{post}` and such.
    route: &'static str,
    path: String,
    body: Option<Value>,
}

/// Returns every call of every route that needs a token, on this user's own objects. Leaving is left out, since nothing
/// could be tried afterwards; it has tests of its own here and in `tokens`.
async fn calls(user: &User) -> Vec<Call> {
    let post = user.post_id("x").await;
    let cat = user.cat_id("x").await;
    let comment = id_of(&user.comment(&post, "x").await);
    let image = user.upload("image/jpeg", &image(JPEG)).await;
    let call = |(method, route, body): (Method, &'static str, Option<Value>)| Call {
        path: routes::with_cat(
            &routes::good_path(&route.replace("{comment}", &comment), &post, &user.id),
            &cat,
        ),
        body: body.map(|body| routes::with_handle(routes::with_image(body, &image), user)),
        method,
        route,
    };
    let mut calls: Vec<Call> = routes::calls()
        .filter(|(method, route, _)| (method.as_str(), *route) != ("DELETE", "/v1/me"))
        .map(call)
        .collect();
    // Deletions last: the other calls need what they delete.
    calls.sort_by_key(|call| call.method == Method::DELETE);
    calls
}

/// Asserts that an answer holds neither the attempt itself nor details of the implementation.
fn assert_reveals_nothing(what: &str, reply: &Reply) {
    let answer = format!("{:?} {}", reply.headers, reply.text()).to_ascii_lowercase();
    let inside = [
        "panicked",
        ".rs:",
        "rust",
        "lambda",
        "dynamo",
        "redis",
        "valkey",
        "sqs",
        "arn:aws",
        "select ",
        "_table",
        "/var/",
        "/tmp",
        "127.0.0.1:",
        "powered-by",
        SECRET,
    ];
    for word in inside {
        assert!(
            !answer.contains(word),
            "{what}: {} tells {word}: {answer}",
            reply.request
        );
    }
}

/// Asserts that an attempt was refused, or had no effect, with a proper answer.
fn assert_harmless(what: &str, reply: &Reply, allowed: &[u16]) {
    assert!(
        allowed.contains(&reply.status),
        "{what}: {} was answered {}: {}",
        reply.request,
        reply.status,
        reply.text()
    );
    if reply.status >= 400 {
        assert_reveals_nothing(what, reply);
    }
}

/// API2, broken authentication: no route accepts a bad token.
#[tokio::test]
async fn no_route_accepts_a_bad_token() {
    let world = World::shared().await;
    let user = world.user("victim");
    for call in calls(&user).await {
        for (why, header) in faulty_headers(&world, &user) {
            let nobody = world.anonymous();
            let mut request = nobody.request(call.method.clone(), &call.path);
            if let Some(body) = &call.body {
                request = request.json(body);
            }
            let reply = nobody.send(request.header("authorization", header)).await;
            assert_harmless(why, &reply, &[401]);
        }
    }
}

/// Hostile ids in paths: paths, database queries, scripts, lines, bytes. All percent-encoded.
const IDS: &[(&str, &str)] = &[
    ("API1 a path up", "%2e%2e%2f%2e%2e%2fzeugma"),
    ("API1 SQL", "zeugma%27%20OR%20%271%27=%271"),
    (
        "API1 an operator of a database",
        "%7B%22%24gt%22%3A%22zeugma%22%7D",
    ),
    (
        "API1 an expression of the store",
        "zeugma%23%3Aid%20%3D%20%3Aid",
    ),
    ("API1 a key of the cache", "x%7Dzeugma%7B"),
    (
        "API3 a template",
        "%24%7Bjndi%3Aldap%3A%2F%2Fzeugma.example%2Fa%7D",
    ),
    ("API4 a long one", LONG),
    ("API7 an address", "http%3A%2F%2F169.254.169.254%2Fzeugma"),
    ("API8 a line more", "zeugma%0d%0aSet-Cookie%3A%20a%3Db"),
    ("API8 nothing", "%00zeugma"),
    ("API8 no text", "%ff%fezeugma"),
    ("API8 a script", "%3Cscript%3Ezeugma%3C%2Fscript%3E"),
    ("API8 encoded twice", "%252e%252e%252fzeugma"),
];

const LONG: &str = "zeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugma\
zeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugmazeugma";

#[tokio::test]
async fn no_id_in_a_path_gets_through() {
    let world = World::shared().await;
    let user = world.user("hostile");
    for call in calls(&user).await {
        let places = ["{post}", "{comment}", "{cat}", "{user}", "{tag}"];
        for place in places
            .into_iter()
            .filter(|place| call.route.contains(place))
        {
            for (what, id) in IDS {
                let path = call.route.replace(place, id);
                let path = routes::with_cat(
                    &routes::path(&path, "0000000000000", &user.id),
                    "0000000000000",
                );
                let mut request = user.request(call.method.clone(), &path);
                if let Some(body) = &call.body {
                    request = request.json(body);
                }
                assert_harmless(
                    what,
                    &user.send(request).await,
                    &[400, 404, 405, 413, 414, 422],
                );
            }
        }
    }
}

/// Query parameters that no route has.
const QUERIES: &[(&str, &str)] = &[
    ("API2 a token", "access_token=zeugma"),
    ("API3 rights", "admin=true&role=zeugma"),
    ("API4 a page of all", "limit=4294967297"),
    ("API4 less than nothing", "limit=-1"),
    ("API4 no number", "limit=1zeugma"),
    ("API4 twice", "limit=1&limit=2"),
    ("API1 a position of one's own", "cursor=zeugma"),
    (
        "API1 a position in binary",
        "cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ),
    (
        "API7 an address",
        "url=http%3A%2F%2F169.254.169.254%2Fzeugma",
    ),
    ("API8 no text", "limit=%ff&cursor=%00zeugma"),
    (
        "API8 a prototype",
        "__proto__[admin]=zeugma&constructor.prototype=zeugma",
    ),
    ("API8 callback", "callback=zeugma"),
];

#[tokio::test]
async fn no_query_gets_through() {
    let world = World::shared().await;
    let user = world.user("hostile");
    for (what, query) in QUERIES {
        // New calls for each query, since deletions remove objects.
        for call in calls(&user).await {
            let and = if call.path.contains('?') { '&' } else { '?' };
            let mut request =
                user.request(call.method.clone(), &format!("{}{and}{query}", call.path));
            if let Some(body) = &call.body {
                request = request.json(body);
            }
            let reply = user.send_undescribed(request).await;
            assert_harmless(what, &reply, &[200, 201, 202, 204, 400, 404, 422]);
            assert!(!reply.text().contains(SECRET), "{what}: {}", reply.text());
        }
    }
}

/// Headers that proxies, frameworks and other services would act on.
const HEADERS: &[(&str, &str, &str)] = &[
    ("API1 somebody else", "x-user-id", "zeugma"),
    ("API2 by a proxy", "x-forwarded-user", "zeugma"),
    ("API2 a cookie", "cookie", "session=zeugma"),
    ("API5 another method", "x-http-method-override", "DELETE"),
    ("API5 another path", "x-original-url", "/v1/zeugma"),
    ("API5 another path", "x-rewrite-url", "/v1/zeugma"),
    ("API5 from inside", "x-forwarded-for", "127.0.0.1"),
    ("API7 another host", "x-forwarded-host", "zeugma.example"),
    ("API8 another protocol", "x-forwarded-proto", "zeugma"),
    (
        "API8 a trace",
        "x-amzn-trace-id",
        "Root=zeugma;Self=../../zeugma",
    ),
    ("API8 a name", "x-request-id", "zeugma"),
    ("API8 an origin", "origin", "https://zeugma.example"),
    ("API8 another form", "accept", "text/html, zeugma/zeugma"),
    ("API8 another language", "accept-language", "../../zeugma"),
    ("API8 a part", "range", "bytes=0-0"),
    ("API10 a script", "user-agent", "<script>zeugma</script>"),
];

#[tokio::test]
async fn no_header_gets_through() {
    let world = World::own().await;
    let user = world.user("hostile");
    for (what, name, value) in HEADERS {
        for call in calls(&user).await {
            let mut request = user
                .request(call.method.clone(), &call.path)
                .header(*name, *value);
            if let Some(body) = &call.body {
                request = request.json(body);
            }
            let reply = user.send(request).await;
            // Users can't follow or block themselves.
            assert_harmless(what, &reply, &[200, 201, 202, 204, 404, 422]);
            let answer = format!("{:?} {}", reply.headers, reply.text());
            assert!(!answer.contains(SECRET), "{what}: {answer}");
            if call.method == Method::GET {
                assert_eq!(
                    reply.status,
                    200,
                    "{what}: {} {}",
                    reply.request,
                    reply.text()
                );
            }
        }
    }
}

/// API1 and API5: the caller is the user who leaves, whatever else the request says.
#[tokio::test]
async fn nobody_else_is_made_to_leave() {
    let world = World::shared().await;
    let other = world.user("other");
    other.me().await;
    let path = |query: &str| format!("/v1/me?{query}");
    let leaving = |path: &str| {
        let leaver = world.user("leaver");
        let request = leaver.request(Method::DELETE, path);
        (leaver, request)
    };
    for (what, name, value) in HEADERS {
        let (leaver, request) = leaving("/v1/me");
        let reply = leaver.send(request.header(*name, *value)).await;
        assert_harmless(what, &reply, &[202]);
    }
    for (what, query) in QUERIES {
        let (leaver, request) = leaving(&path(query));
        assert_harmless(what, &leaver.send_undescribed(request).await, &[202, 400]);
    }
    for name in ["id", "user", "sub", "handle"] {
        let (leaver, request) = leaving(&path(&format!("{name}={}", other.id)));
        let request = request.header(format!("x-{name}"), &other.id);
        let request = request.body(other.id.clone());
        assert_harmless(name, &leaver.send_undescribed(request).await, &[202, 400]);
    }
    let leaving = ["GET", "PUT", "POST"].map(|method| method.parse().unwrap());
    for method in leaving {
        let request = other.request(method, "/v1/me");
        let request = request.header("x-http-method-override", "DELETE");
        assert_harmless(
            "a method",
            &other.send(request).await,
            &[200, 400, 405, 415],
        );
    }
    assert_eq!(other.me().await["id"], other.id);
}

/// Fields that a body may not set.
fn forbidden_fields() -> Value {
    json!({
        "id": "0000000000000", "user": "zeugma", "author": { "id": "zeugma" }, "owner": "zeugma",
        "likes": 1_000_000, "comments": 1_000_000, "followers": 1_000_000, "posts": 1_000_000,
        "created_at": "1970-01-01T00:00:00Z", "edited_at": "1970-01-01T00:00:00Z", "liked": true,
        "role": "zeugma", "admin": true, "deleted_at": 1, "rev": 9, "v": 2, "__proto__": { "admin": true },
    })
}

/// API3: fields that no caller may set.
#[tokio::test]
async fn no_body_sets_a_forbidden_field() {
    let world = World::shared().await;
    let user = world.user("hostile");
    for call in calls(&user)
        .await
        .into_iter()
        .filter(|call| call.body.is_some())
    {
        let mut body = forbidden_fields();
        let good = call.body.unwrap();
        body.as_object_mut()
            .unwrap()
            .extend(good.as_object().unwrap().clone());
        let request = user.request(call.method.clone(), &call.path).json(&body);
        let reply = user.send(request).await;
        assert_harmless("API3", &reply, &[400]);
    }
}

/// Returns values of wrong types or contents for a field.
fn hostile_values() -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::from(text);
    vec![
        ("API3 nothing", Value::Null),
        ("API3 an operator", json!({ "$ne": "zeugma" })),
        ("API3 a list of lists", json!([[["zeugma"]]])),
        ("API3 a number for text", json!(-1)),
        ("API3 more than any number", json!(u64::MAX)),
        ("API3 a truth", json!(true)),
        ("API4 long", Value::from(SECRET.repeat(2_000))),
        ("API7 an address", text("http://169.254.169.254/zeugma")),
        ("API7 a file", text("file:///etc/passwd?zeugma")),
        ("API8 a path", text("../../../../zeugma")),
        ("API8 nothing in between", text("zeu\u{0}gma zeugma")),
        ("API8 out of order", text("\u{202e}zeugma\u{2066}")),
        ("API8 nothing to see", text("\u{200b}\u{feff}")),
    ]
}

/// API3, API7 and API8 in each field of each body: each value is refused, or stored as the text that it is.
#[tokio::test]
async fn no_field_gets_through() {
    let world = World::shared().await;
    let user = world.user("hostile");
    for call in calls(&user).await {
        let Some(good) = call.body.as_ref().and_then(Value::as_object) else {
            continue;
        };
        for field in good.keys() {
            for (what, value) in hostile_values() {
                let mut body = good.clone();
                body.insert(field.clone(), value);
                let request = user.request(call.method.clone(), &call.path).json(&body);
                let reply = user.send(request).await;
                let no_text = what == "API8 nothing in between" && reply.status < 400;
                let what = format!("{what} as {field}");
                assert!(!no_text, "{what}: {} was taken", reply.request);
                assert_harmless(&what, &reply, &[200, 201, 400, 409, 413, 415, 422]);
            }
        }
    }
}

/// API4 and API8: malformed bodies.
#[tokio::test]
async fn no_body_breaks_anything() {
    let world = World::shared().await;
    let user = world.user("hostile");
    let bodies: [(&str, &str, Vec<u8>); 9] = [
        ("API4 deep", "application/json", "[".repeat(60_000).into()),
        (
            "API4 deep objects",
            "application/json",
            r#"{"a":"#.repeat(10_000).into(),
        ),
        (
            "API8 a huge number",
            "application/json",
            br#"{"size":1e999,"text":1e999}"#.to_vec(),
        ),
        (
            "API8 no text",
            "application/json",
            b"{\"text\":\"\xff\xfezeugma\"}".to_vec(),
        ),
        (
            "API8 half a pair",
            "application/json",
            br#"{"text":"\ud800zeugma"}"#.to_vec(),
        ),
        (
            "API8 twice",
            "application/json",
            br#"{"text":"a","text":"zeugma","text":null}"#.to_vec(),
        ),
        ("API8 XML", "application/xml", XXE.into()),
        (
            "API8 a form",
            "application/x-www-form-urlencoded",
            b"text=zeugma".to_vec(),
        ),
        (
            "API8 a form in parts",
            "multipart/form-data; boundary=zeugma",
            b"--zeugma--".to_vec(),
        ),
    ];
    for call in calls(&user)
        .await
        .into_iter()
        .filter(|call| call.body.is_some())
    {
        for (what, content_type, body) in &bodies {
            let request = user.request(call.method.clone(), &call.path);
            let request = request
                .header("content-type", *content_type)
                .body(body.clone());
            assert_harmless(what, &user.send(request).await, &[400, 415, 422]);
        }
    }
}

const XXE: &str = r#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>zeugma&b;</a>"#;

/// API5 and API9: only the contract's routes exist.
#[tokio::test]
async fn there_are_no_other_routes() {
    let world = World::shared().await;
    let user = world.user("hostile");
    for path in [
        "/v0/feed",
        "/v2/feed",
        "/v1/admin",
        "/v1/users",
        "/v1/internal/zeugma",
        "/v1/debug",
        "/v1/metrics",
        "/metrics",
        "/debug/pprof",
        "/actuator/env",
        "/.env",
        "/.git/config",
        "/swagger.json",
        "/graphql",
        "/v1/openapi.json/zeugma",
        "/v1/health/zeugma",
        "/server-status",
        "/2015-03-31",
        "/v1/users/me/token",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert_harmless(path, &user.call(method, path).await, &[404]);
        }
    }
}
