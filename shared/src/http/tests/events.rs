//! The events that `lambda_http` can't take as they are.

use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use axum::response::AppendHeaders;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::Context;
use serde_json::{Value, json};

use super::{answer, api, call};
use crate::http::Api;
use crate::http::raw_body::RawBody;
use crate::invocation;

const TRACE: &str = "1-67891233-abcdef012345678912345678";
const OTHER_TRACE: &str = "1-67891234-12456789abcdef0123456789";

fn event(path: &str) -> Value {
    json!({
        "requestContext": { "elb": { "targetGroupArn": "arn:tg" } },
        "httpMethod": "GET",
        "path": path,
        "queryStringParameters": {},
        "headers": { "x-forwarded-proto": "https" },
        "body": "",
        "isBase64Encoded": false,
    })
}

async fn status(api: &Api, event: &Value) -> u64 {
    let answer = answer(api, event, Context::default()).await;
    answer["statusCode"].as_u64().unwrap()
}

fn hello() -> Api {
    api(Router::new().route("/v1/health", get(async || "hello")))
}

/// Once this fails, the guard's part for `Host` can be removed.
#[test]
fn lambda_http_panics_on_an_invalid_host() {
    let mut event = event("/v1/health");
    event["headers"]["host"] = json!("[");
    let read = || lambda_http::request::from_str(&event.to_string()).map(drop);
    assert!(std::panic::catch_unwind(read).is_err());
}

#[tokio::test]
async fn host_is_never_read() {
    let hosts = [
        "",
        " ",
        "[",
        "a b",
        ":",
        "x:99999",
        "x:y",
        "%",
        "고양이",
        "x/v1/nothing?",
        "x#",
        "@",
        "\\",
    ];
    for host in hosts {
        for name in ["host", "Host"] {
            let mut event = event("/v1/health");
            event["headers"][name] = json!(host);
            event["headers"]["x-forwarded-proto"] = json!("no scheme");
            assert_eq!(status(&hello(), &event).await, 200, "{name}: {host}");
        }
    }
}

#[tokio::test]
async fn invalid_headers_are_left_out() {
    let handler = async |headers: HeaderMap| {
        let kept = headers.get_all("x-kept").iter();
        let kept: Vec<_> = kept
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        Json(kept)
    };
    let api = api(Router::new().route("/v1/health", get(handler)));
    let mut event = event("/v1/health");
    event["multiValueHeaders"] = json!({
        "x-kept": ["one", "고양이", "two", "\u{0}"],
        "no name": ["x"],
        "이름": ["x"],
        "": [""],
        "x-empty": [],
    });
    let answer = answer(&api, &event, Context::default()).await;
    assert_eq!(answer["body"], r#"["one","고양이","two"]"#);
    event["multiValueHeaders"] = json!({});
    event["headers"] = json!({ "x-kept": "one", "x-odd": "\u{0}", "no name": "x" });
    let answer = super::answer(&api, &event, Context::default()).await;
    assert_eq!(answer["body"], r#"["one"]"#);
}

#[tokio::test]
async fn paths_are_not_resolved() {
    for path in [
        "/v1/../v1/health",
        "/v1/./health",
        "/v1/%2e%2e/v1/health",
        "/v1/x/..%2fhealth",
        "/v1\\health",
        "/v1/health;x",
        "v1/health",
        ":x",
        "@x",
        "*",
        "",
    ] {
        assert_eq!(status(&hello(), &event(path)).await, 404, "{path}");
    }
}

#[tokio::test]
async fn paths_keep_their_encoding() {
    let handler = async |uri: Uri| uri.path().to_owned();
    let api = api(Router::new().route("/v1/posts/{id}", get(handler)));
    for path in [
        "/v1/posts/%6eabi",
        "/v1/posts/%E2%80%AE",
        "/v1/posts/%ff%00%2F",
        "/v1/posts/%zz",
        "/v1/posts/a'b|c^d\"{e}",
    ] {
        let answer = answer(&api, &event(path), Context::default()).await;
        assert_eq!(answer["body"], path);
    }
}

/// Parameters arrive as the client encoded them.
#[tokio::test]
async fn parameters_are_decoded_once() {
    let handler = async |Query(pairs): Query<Vec<(String, String)>>| Json(pairs);
    let api = api(Router::new().route("/v1/search", get(handler)));
    let mut event = event("/v1/search");
    let cases = [
        ("%EA%B3%A0%EC%96%91%EC%9D%B4", "고양이"),
        ("%23a", "#a"),
        ("a+b%20c", "a b c"),
        ("%26%3D%2B", "&=+"),
        ("a=b=c", "a=b=c"),
        ("%2526", "%26"),
        ("%ff", "\u{fffd}"),
        ("%zz%", "%zz%"),
        ("", ""),
    ];
    for (sent, read) in cases {
        for (name, value) in [
            ("queryStringParameters", json!(sent)),
            ("multiValueQueryStringParameters", json!([sent, sent])),
        ] {
            let count = if value.is_array() { 2 } else { 1 };
            event[name] = json!({ "q": value });
            let answer = answer(&api, &event, Context::default()).await;
            let pairs: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!(pairs, json!(vec![["q", read]; count]), "{name}: {sent}");
        }
        event["multiValueQueryStringParameters"] = json!({});
    }
    event["queryStringParameters"] = json!({});
    event["multiValueQueryStringParameters"] =
        json!({ "c": ["2", "1"], "a%20": ["x"], "b": [], "d": [""] });
    let answer = answer(&api, &event, Context::default()).await;
    assert_eq!(
        answer["body"],
        r#"[["a ","x"],["c","2"],["c","1"],["d",""]]"#
    );
}

#[tokio::test]
async fn missing_event_fields_are_empty() {
    let whole = event("/v1/health");
    for name in whole.as_object().unwrap().keys() {
        let (mut without, mut with_null) = (whole.clone(), whole.clone());
        without.as_object_mut().unwrap().remove(name);
        with_null[name] = Value::Null;
        let expected = match name.as_str() {
            "httpMethod" => 400,
            "path" => 404,
            _ => 200,
        };
        for event in [without, with_null] {
            assert_eq!(status(&hello(), &event).await, expected, "{event}");
        }
    }
    let mut event = whole;
    event["requestContext"] = json!({ "elb": null });
    event["multiValueQueryStringParameters"] = Value::Null;
    event["multiValueHeaders"] = Value::Null;
    assert_eq!(status(&hello(), &event).await, 200);
}

#[tokio::test]
async fn malformed_events_are_400() {
    let mut odd = vec![event("/v1/hea lth"), event(&"/\"".repeat(20_000))];
    for method in ["", "G ET", "가"] {
        let mut event = event("/v1/health");
        event["httpMethod"] = json!(method);
        odd.push(event);
    }
    for body in ["*", "e30", "고양이"] {
        let mut event = event("/v1/health");
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(true);
        odd.push(event);
    }
    let mut long = event("/v1/health");
    long["queryStringParameters"] = json!({ "q": "\"".repeat(40_000) });
    odd.push(long);
    for event in odd {
        assert_eq!(status(&hello(), &event).await, 400, "{event:.300}");
    }
}

#[tokio::test]
async fn bodies_reach_the_handler_unchanged() {
    let handler = async |Extension(RawBody(body)): Extension<RawBody>| body;
    let api = api(Router::new().route("/v1/posts", post(handler)));
    let body = "고양이 \"\\\n";
    for request in [
        call("POST", "/v1/posts").body(body),
        call("POST", "/v1/posts")
            .body(STANDARD.encode(body))
            .base64(),
    ] {
        let got = request.to(&api).await;
        assert_eq!(got.answer["body"], STANDARD.encode(body));
        assert_eq!(got.answer["isBase64Encoded"], true);
    }
}

/// Lambda sets a trace for each invocation; the load balancer's goes back to the client.
#[tokio::test]
async fn load_balancers_trace_takes_precedence_over_the_invocations() {
    let handler = async || invocation::trace().map_or_else(String::new, |trace| trace.header());
    let api = api(Router::new().route("/v1/health", get(handler)));
    let root = |trace: &str| format!("Root={trace}");
    for (of_event, of_invocation, expected) in [
        (Some(root(TRACE)), Some(root(OTHER_TRACE)), root(TRACE)),
        (Some(root("x")), Some(root(OTHER_TRACE)), root(OTHER_TRACE)),
        (None, Some(root(OTHER_TRACE)), root(OTHER_TRACE)),
        (Some(root(TRACE)), None, root(TRACE)),
        (None, None, String::new()),
    ] {
        for several in [false, true] {
            let mut event = event("/v1/health");
            if let Some(header) = &of_event {
                if several {
                    event["multiValueHeaders"] = json!({ "X-Amzn-Trace-Id": [header] });
                } else {
                    event["headers"]["X-Amzn-Trace-Id"] = json!(header);
                }
            }
            let mut context = Context::default();
            context.xray_trace_id.clone_from(&of_invocation);
            assert_eq!(answer(&api, &event, context).await["body"], expected);
        }
    }
}

#[tokio::test]
async fn repeated_answer_headers_are_joined() {
    let handler = async || (AppendHeaders([("x-cats", "a"), ("x-cats", "b")]), "x");
    let api = api(Router::new().route("/v1/health", get(handler)));
    let answer = answer(&api, &event("/v1/health"), Context::default()).await;
    assert_eq!(answer["headers"]["x-cats"], "a, b");
    assert_eq!(answer["multiValueHeaders"]["x-cats"], json!(["a, b"]));
    assert_eq!(answer["headers"]["content-length"], Value::Null);
}
