//! Builds the event that the load balancer sends to a function.
//!
//! Path and query stay undecoded. Header names are in lower case. Multi-value events contain every value of a header,
//! other events only the last. A body of type `text/*`, JSON, JavaScript or XML without a content encoding is passed as
//! text. Any other body is passed in base64, as is text that isn't UTF-8, which JSON can't represent.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use serde_json::{Map, Value, json};

use crate::ids;

/// The largest body that the load balancer passes to a function.
pub(super) const MAX_REQUEST: usize = 1024 * 1024;

/// The source and the target of a request.
pub(super) struct Hop<'a> {
    pub(super) client: SocketAddr,
    /// The load balancer's port.
    pub(super) port: u16,
    pub(super) target_group_arn: &'a str,
    pub(super) multi_value: bool,
}

/// Builds the event. Returns the event and its trace id.
pub(super) fn build(parts: &Parts, body: &Bytes, hop: &Hop<'_>) -> (Bytes, String) {
    let mut headers = headers(&parts.headers);
    let trace = match headers.iter().find(|(name, _)| name == "x-amzn-trace-id") {
        Some((_, value)) => value.clone(),
        None => ids::trace(),
    };
    let forwarded = headers
        .iter()
        .filter(|(name, _)| name == "x-forwarded-for")
        .map(|(_, value)| value.as_str());
    let client = hop.client.ip().to_string();
    let forwarded = forwarded
        .chain([client.as_str()])
        .collect::<Vec<_>>()
        .join(", ");
    headers.retain(|(name, _)| {
        !matches!(
            name.as_str(),
            "x-amzn-trace-id" | "x-forwarded-for" | "x-forwarded-port" | "x-forwarded-proto"
        )
    });
    headers.extend([
        ("x-amzn-trace-id".to_owned(), trace.clone()),
        ("x-forwarded-for".to_owned(), forwarded),
        ("x-forwarded-port".to_owned(), hop.port.to_string()),
        ("x-forwarded-proto".to_owned(), "http".to_owned()),
    ]);
    let query = query(parts.uri.query().unwrap_or_default());

    let mut event = Map::new();
    event.insert(
        "requestContext".to_owned(),
        json!({ "elb": { "targetGroupArn": hop.target_group_arn } }),
    );
    event.insert("httpMethod".to_owned(), json!(parts.method.as_str()));
    event.insert("path".to_owned(), json!(parts.uri.path()));
    if hop.multi_value {
        event.insert(
            "multiValueQueryStringParameters".to_owned(),
            all_values(query),
        );
        event.insert("multiValueHeaders".to_owned(), all_values(headers));
    } else {
        event.insert("queryStringParameters".to_owned(), last_values(query));
        event.insert("headers".to_owned(), last_values(headers));
    }
    let text = std::str::from_utf8(body)
        .ok()
        .filter(|_| is_text(&parts.headers));
    let (text, encoded) = match text {
        Some(text) => (text.to_owned(), false),
        None => (STANDARD.encode(body), !body.is_empty()),
    };
    event.insert("body".to_owned(), Value::from(text));
    event.insert("isBase64Encoded".to_owned(), Value::from(encoded));
    (Value::Object(event).to_string().into(), trace)
}

/// Returns the names and values of headers. `HeaderMap` keeps names in lower case.
fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}

fn query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn last_values(pairs: Vec<(String, String)>) -> Value {
    Value::Object(
        pairs
            .into_iter()
            .map(|(name, value)| (name, Value::from(value)))
            .collect(),
    )
}

fn all_values(pairs: Vec<(String, String)>) -> Value {
    let mut map = Map::new();
    for (name, value) in pairs {
        if let Value::Array(values) = map.entry(name).or_insert_with(|| json!([])) {
            values.push(Value::from(value));
        }
    }
    Value::Object(map)
}

fn is_text(headers: &HeaderMap) -> bool {
    let Some(kind) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    !headers.contains_key(CONTENT_ENCODING)
        && (kind.starts_with("text/")
            || matches!(
                kind.as_str(),
                "application/json" | "application/javascript" | "application/xml"
            ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn event<const N: usize>(request: http::Request<&'static [u8; N]>, multi_value: bool) -> Value {
        let (parts, body) = request.into_parts();
        let client = "192.0.2.1:4000".parse().unwrap();
        let hop = Hop {
            client,
            port: 8080,
            target_group_arn: "arn:tg",
            multi_value,
        };
        serde_json::from_slice(&build(&parts, &Bytes::from_static(body), &hop).0).unwrap()
    }

    fn request() -> http::request::Builder {
        http::Request::builder()
            .method("POST")
            .uri("/v1/a%20b?tag=%23a&tag=b&flag")
            .header("Host", "example.org")
            .header("X-Thing", "one")
            .header("X-Thing", "two")
            .header("X-Forwarded-For", "203.0.113.9")
    }

    #[test]
    fn single_value_event_has_the_last_value() {
        let event = event(
            request()
                .header("content-type", "application/json; charset=utf-8")
                .body(b"{}")
                .unwrap(),
            false,
        );
        assert_eq!(event["requestContext"]["elb"]["targetGroupArn"], "arn:tg");
        assert_eq!(event["httpMethod"], "POST");
        assert_eq!(event["path"], "/v1/a%20b");
        assert_eq!(
            event["queryStringParameters"],
            json!({ "tag": "b", "flag": "" })
        );
        assert_eq!(event["headers"]["x-thing"], "two");
        assert_eq!(event["headers"]["host"], "example.org");
        assert_eq!(
            event["headers"]["x-forwarded-for"],
            "203.0.113.9, 192.0.2.1"
        );
        assert_eq!(event["headers"]["x-forwarded-port"], "8080");
        assert_eq!(event["headers"]["x-forwarded-proto"], "http");
        assert!(
            event["headers"]["x-amzn-trace-id"]
                .as_str()
                .unwrap()
                .starts_with("Root=1-")
        );
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!("{}"), &json!(false))
        );
        assert!(event.get("multiValueHeaders").is_none());
    }

    #[test]
    fn multi_value_event_has_every_value() {
        let event = event(request().body(b"").unwrap(), true);
        assert_eq!(
            event["multiValueQueryStringParameters"],
            json!({ "tag": ["%23a", "b"], "flag": [""] })
        );
        assert_eq!(event["multiValueHeaders"]["x-thing"], json!(["one", "two"]));
        assert_eq!(
            event["multiValueHeaders"]["x-forwarded-for"],
            json!(["203.0.113.9, 192.0.2.1"])
        );
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!(""), &json!(false))
        );
        assert!(event.get("headers").is_none() && event.get("queryStringParameters").is_none());
    }

    #[test]
    fn anything_but_plain_text_is_base64() {
        for (kind, encoding, encoded) in [
            (Some("image/jpeg"), None, true),
            (None, None, true),
            (Some("application/problem+json"), None, true),
            (Some("application/json"), Some("gzip"), true),
            (Some("TEXT/Plain"), None, false),
            (Some("application/xml"), None, false),
        ] {
            let mut request = request();
            for (name, value) in [("content-type", kind), ("content-encoding", encoding)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let event = event(request.body(b"\x01cat").unwrap(), false);
            assert_eq!(event["isBase64Encoded"], encoded, "{kind:?} {encoding:?}");
            assert_eq!(event["body"], if encoded { "AWNhdA==" } else { "\u{1}cat" });
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_base64() {
        let event = event(
            request()
                .header("content-type", "application/json")
                .body(b"\xffcat")
                .unwrap(),
            false,
        );
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!("/2NhdA=="), &json!(true))
        );
    }

    #[test]
    fn given_trace_id_is_kept() {
        let event = event(
            request()
                .header("X-Amzn-Trace-Id", "Root=1-2-3")
                .body(b"")
                .unwrap(),
            false,
        );
        assert_eq!(event["headers"]["x-amzn-trace-id"], "Root=1-2-3");
    }
}
