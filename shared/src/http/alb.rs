//! The guard around `lambda_http`, which reads the load balancer's events and writes the answers to them.
//!
//! [`mend`] runs before `lambda_http` and changes an event only where `lambda_http` can't take it as it is; [`restore`]
//! runs after it and restores the request that the client sent.
//!
//! | an event has | `lambda_http` by itself | with the guard |
//! |---|---|---|
//! | single-value headers and a `Host` that makes no URL | panics | has no `Host`, which nothing here reads |
//! | such a `Host` that contains a path | answers as for that path | as before |
//! | a header that HTTP doesn't allow, such as one with a space in its name | refuses the event: a bare 502 | lacks that header |
//! | a body that is no base64, though it says so | panics | is answered 400 |
//! | a method that HTTP doesn't allow | refuses the event | is answered 400 |
//! | no path, context or map of headers or parameters, or a parameter without a value | refuses the event or panics | gets an empty one |
//! | a trace of its own | replaces it by that of the invocation | keeps it |
//! | a path and parameters of more than 21 KB | panics | is answered 400 above 16 KiB, which the load balancer refuses |
//! | a path with `..`, `%2e` or `\` | resolves it, unlike the rules of the load balancer | keeps it |
//! | parameters | in random order | in the order of their names |
//!
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>

use std::collections::BTreeMap;
use std::mem::take;

use axum::body::Bytes;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::{Body, RequestExt as _};
use lambda_runtime::LambdaInvocation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::invocation::Trace;

const TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const PROTOCOL: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The path of an event that is no request: no client can send it, so [`restore`] refuses it.
const NO_PATH: &str = "/ ";
/// The maximum length of a path with its parameters, in bytes: the load balancer takes no more, and `lambda_http`
/// panics if it is longer than 64 KiB once encoded.
const MAX_TARGET: usize = 16 * 1024;

/// The event is no request that HTTP allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a request: its method, path or body can't be read")]
pub(super) struct NoRequest;

/// An event with single or with multi-value headers and parameters, depending on the target group's setting.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    request_context: Value,
    http_method: String,
    path: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    multi_value_query_string_parameters: BTreeMap<String, Vec<String>>,
    headers: BTreeMap<String, String>,
    multi_value_headers: BTreeMap<String, Vec<String>>,
    body: Option<String>,
    is_base64_encoded: bool,
}

/// Makes an event acceptable to `lambda_http`. Anything but an event of the load balancer stays as it is.
pub(super) fn mend(mut invocation: LambdaInvocation) -> LambdaInvocation {
    let Some((mut event, had_nulls)) = Event::read(&invocation.body) else {
        return invocation;
    };
    if event.has_trace() {
        invocation.context.xray_trace_id = None;
    }
    if (event.mend() || had_nulls)
        && let Ok(mended) = serde_json::to_vec(&event)
    {
        invocation.body = mended.into();
    }
    invocation
}

impl Event {
    /// Reads an event. Returns also whether it has nulls for absent values.
    fn read(event: &[u8]) -> Option<(Self, bool)> {
        if let Ok(event) = serde_json::from_slice(event) {
            return Some((event, false));
        }
        let mut fields: Map<String, Value> = serde_json::from_slice(event).ok()?;
        fields.retain(|_, value| !value.is_null());
        let event = serde_json::from_value(Value::Object(fields)).ok()?;
        Some((event, true))
    }

    /// Returns whether the event belongs to a trace, begun by the load balancer or by its client.
    fn has_trace(&self) -> bool {
        let single = self.headers.iter();
        let several = self.multi_value_headers.iter();
        let several = several.flat_map(|(name, values)| values.iter().map(move |it| (name, it)));
        several
            .chain(single)
            .filter(|(name, _)| name.eq_ignore_ascii_case(TRACE.as_str()))
            .any(|(_, header)| Trace::parse(header).is_some())
    }

    /// Mends the event, and returns whether anything had to be mended.
    fn mend(&mut self) -> bool {
        if !self.is_request() {
            *self = Self {
                path: NO_PATH.to_owned(),
                headers: take(&mut self.headers),
                multi_value_headers: take(&mut self.multi_value_headers),
                ..Self::default()
            };
        }
        let values = self.values();
        self.headers.retain(|name, value| {
            !name.eq_ignore_ascii_case(HOST.as_str()) && is_name(name) && is_value(value)
        });
        self.multi_value_headers.retain(|name, values| {
            values.retain(|value| is_value(value));
            is_name(name)
        });
        self.multi_value_query_string_parameters
            .retain(|_, values| !values.is_empty());
        let in_place = self.path.starts_with('/');
        if !in_place {
            // No route has this path.
            "/".clone_into(&mut self.path);
        }
        let context = self.request_context.pointer("/elb");
        let has_context = context.is_some_and(Value::is_object);
        if !has_context {
            self.request_context = json!({ "elb": {} });
        }
        !in_place || !has_context || values != self.values()
    }

    /// Returns whether the event's method, path and body can be read.
    fn is_request(&self) -> bool {
        let body = self.body.as_deref().filter(|_| self.is_base64_encoded);
        Method::from_bytes(self.http_method.as_bytes()).is_ok()
            && self.target_len() <= MAX_TARGET
            && body.is_none_or(|body| STANDARD.decode(body).is_ok())
    }

    /// Returns the length of the path with its parameters.
    fn target_len(&self) -> usize {
        let single = self.query_string_parameters.iter();
        let single = single.map(|(name, value)| name.len() + value.len());
        let several = self.multi_value_query_string_parameters.iter();
        let several = several.flat_map(|(name, values)| {
            let len = name.len();
            values.iter().map(move |value| len + value.len())
        });
        self.path.len() + single.chain(several).sum::<usize>()
    }

    /// Returns the number of headers and their values, and of parameters.
    fn values(&self) -> usize {
        let several = self.multi_value_headers.values();
        let several: usize = several.map(|values| values.len().saturating_add(1)).sum();
        self.headers
            .len()
            .saturating_add(several)
            .saturating_add(self.multi_value_query_string_parameters.len())
    }
}

fn is_name(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}

fn is_value(value: &str) -> bool {
    HeaderValue::from_str(value).is_ok()
}

/// Returns the request as the client sent it: `lambda_http` has resolved its path and shuffled its parameters.
pub(super) fn restore(request: lambda_http::Request) -> Result<Request<Bytes>, NoRequest> {
    let mut query: Vec<&str> = request
        .uri()
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .collect();
    // The sort is stable: values of one name keep their order.
    query.sort_by_key(|pair| pair.split_once('=').map_or(*pair, |(name, _)| name));
    let mut uri = request.raw_http_path().to_owned();
    if !query.is_empty() {
        uri.push('?');
        uri.push_str(&query.join("&"));
    }
    let uri = Uri::builder().path_and_query(uri).build();
    let (mut parts, body) = request.into_parts();
    parts.uri = uri.map_err(|_| NoRequest)?;
    let body = match body {
        Body::Text(text) => text.into(),
        Body::Binary(bytes) => bytes.into(),
        _ => Bytes::new(),
    };
    Ok(Request::from_parts(parts, body))
}

/// Returns the trace of a request: the one that the load balancer began or continued, otherwise the invocation's.
pub(super) fn trace(headers: &HeaderMap) -> Option<Trace> {
    let headers = headers.get_all(TRACE).into_iter();
    headers
        .filter_map(|header| header.to_str().ok())
        .find_map(Trace::parse)
}

/// Returns whether the client used HTTPS to the load balancer, which says so in a header that no client can set.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    let last = headers.get_all(PROTOCOL).into_iter().next_back();
    last.is_some_and(|protocol| protocol == "https")
}

/// Makes an answer's headers acceptable to the load balancer: each occurs once, its values joined by commas, since
/// `lambda_http` tells single-value target groups only the first; and none describes a connection.
pub(super) fn tidy(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    if headers.len() == headers.keys_len() {
        return;
    }
    for name in headers.keys().cloned().collect::<Vec<_>>() {
        let values: Vec<&[u8]> = headers
            .get_all(&name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if let Ok(joined) = HeaderValue::from_bytes(&values.join(&b", "[..])) {
            headers.insert(name, joined);
        }
    }
}
