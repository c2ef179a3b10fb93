//! Builds the event that the load balancer sends to a function.
//!
//! Path and query stay undecoded. Header names are in lower case. Multi-value events contain every value of a header,
//! other events only the last. A body of type `text/*`, JSON, JavaScript or XML without a content encoding is passed as
//! text. Any other body is passed in base64, as is text that isn't UTF-8, which JSON can't represent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use serde::Serialize;

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

/// An event with single or with multi-value headers and parameters.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'r> {
    request_context: Context<'r>,
    http_method: &'r str,
    path: &'r str,
    #[serde(flatten)]
    values: Values<'r>,
    body: Cow<'r, str>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
struct Context<'r> {
    elb: Elb<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Elb<'r> {
    target_group_arn: &'r str,
}

/// The parameters and headers, as the target group's mode wants them.
#[derive(Serialize)]
#[serde(untagged)]
enum Values<'r> {
    #[serde(rename_all = "camelCase")]
    Last {
        query_string_parameters: BTreeMap<&'r str, &'r str>,
        headers: BTreeMap<&'r str, &'r str>,
    },
    #[serde(rename_all = "camelCase")]
    All {
        multi_value_query_string_parameters: BTreeMap<&'r str, Vec<&'r str>>,
        multi_value_headers: BTreeMap<&'r str, Vec<&'r str>>,
    },
}

/// Builds the event. Returns the event and its trace id.
pub(super) fn build(parts: &Parts, body: &Bytes, hop: &Hop<'_>) -> (Bytes, String) {
    let sent: Vec<_> = headers(&parts.headers).collect();
    let trace = match sent.iter().find(|(name, _)| *name == "x-amzn-trace-id") {
        Some((_, value)) => value.clone().into_owned(),
        None => ids::trace(),
    };
    let forwarded = sent.iter().filter(|(name, _)| *name == "x-forwarded-for");
    let address = hop.client.ip().to_string();
    let forwarded: Vec<&str> = forwarded
        .map(|(_, value)| value.as_ref())
        .chain([address.as_str()])
        .collect();
    let own = [
        ("x-amzn-trace-id", trace.clone()),
        ("x-forwarded-for", forwarded.join(", ")),
        ("x-forwarded-port", hop.port.to_string()),
        ("x-forwarded-proto", "http".to_owned()),
    ];
    let sent = sent
        .iter()
        .map(|(name, value)| (*name, value.as_ref()))
        .filter(|(name, _)| own.iter().all(|(reserved, _)| reserved != name));
    let headers = sent.chain(own.iter().map(|(name, value)| (*name, value.as_str())));
    let query = query(parts.uri.query().unwrap_or_default());
    let values = if hop.multi_value {
        Values::All {
            multi_value_query_string_parameters: all_values(query),
            multi_value_headers: all_values(headers),
        }
    } else {
        Values::Last {
            query_string_parameters: query.collect(),
            headers: headers.collect(),
        }
    };
    let text = std::str::from_utf8(body).ok();
    let (body, is_base64_encoded) = match text.filter(|_| is_text(&parts.headers)) {
        Some(text) => (Cow::from(text), false),
        None => (STANDARD.encode(body).into(), !body.is_empty()),
    };
    let event = Event {
        request_context: Context {
            elb: Elb {
                target_group_arn: hop.target_group_arn,
            },
        },
        http_method: parts.method.as_str(),
        path: parts.uri.path(),
        values,
        body,
        is_base64_encoded,
    };
    let event = serde_json::to_vec(&event).unwrap_or_default();
    (event.into(), trace)
}

/// Returns the names and values of headers. `HeaderMap` keeps names in lower case.
fn headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
}

fn query(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn all_values<'r>(
    pairs: impl Iterator<Item = (&'r str, &'r str)>,
) -> BTreeMap<&'r str, Vec<&'r str>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, value) in pairs {
        all.entry(name).or_default().push(value);
    }
    all
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

    use serde_json::{Value, json};

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
