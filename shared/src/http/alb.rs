//! The application load balancer's events and answers.
//!
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::invocation::Trace;

/// A request as the load balancer sends it: with single or with multi-value headers and query
/// parameters, whichever the target group is set to. Everything may be missing, so that no event
/// fails before it can be answered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlbEvent {
    http_method: String,
    path: String,
    query_string_parameters: Option<BTreeMap<String, String>>,
    multi_value_query_string_parameters: Option<BTreeMap<String, Vec<String>>>,
    headers: Option<BTreeMap<String, String>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    body: Option<String>,
    is_base64_encoded: bool,
}

/// The event is no request that HTTP allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a request: its method, path or body can't be read")]
pub(super) struct NoRequest;

impl AlbEvent {
    /// Whether the target group is set to multi-value headers; the answer has to match.
    pub(super) const fn is_multi_value(&self) -> bool {
        self.multi_value_headers.is_some()
    }

    /// The trace that the load balancer began, or went on with.
    pub(super) fn trace(&self) -> Option<Trace> {
        let named = |name: &String| name.eq_ignore_ascii_case("x-amzn-trace-id");
        let single = self.headers.iter().flatten().find(|(name, _)| named(name));
        let several = self.multi_value_headers.iter().flatten();
        let several = several
            .filter(|(name, _)| named(name))
            .flat_map(|(_, values)| values);
        several
            .chain(single.map(|(_, value)| value))
            .find_map(|header| Trace::parse(header))
    }

    /// Whether the client spoke HTTPS to the load balancer, which says so in a header that no client can set.
    pub(super) fn is_https(&self) -> bool {
        let named = |name: &String| name.eq_ignore_ascii_case("x-forwarded-proto");
        let single = self.headers.iter().flatten();
        let several = self.multi_value_headers.iter().flatten();
        let single = single.map(|(name, value)| (name, Some(value)));
        let several = several.map(|(name, values)| (name, values.last()));
        single
            .chain(several)
            .any(|(name, value)| named(name) && value.is_some_and(|value| value == "https"))
    }

    /// The request. Headers that HTTP doesn't allow are left out.
    pub(super) fn into_request(self) -> Result<Request<Bytes>, NoRequest> {
        let method = Method::from_bytes(self.http_method.as_bytes()).map_err(|_| NoRequest)?;
        let uri = self.uri()?;
        let headers = flatten(self.headers, self.multi_value_headers)
            .filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(&value).ok()?))
            })
            .collect();
        let body = match self.body {
            Some(body) if self.is_base64_encoded => STANDARD.decode(body).map_err(|_| NoRequest)?,
            body => body.unwrap_or_default().into_bytes(),
        };
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Path and query. The load balancer passes both on as the client encoded them.
    fn uri(&self) -> Result<Uri, NoRequest> {
        let query = flatten(
            self.query_string_parameters.clone(),
            self.multi_value_query_string_parameters.clone(),
        );
        let query: Vec<String> = query
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let uri = match query.as_slice() {
            [] => self.path.clone(),
            query => format!("{}?{}", self.path, query.join("&")),
        };
        Uri::builder()
            .path_and_query(uri)
            .build()
            .map_err(|_| NoRequest)
    }
}

/// Multi-value entries where there are any, else the single ones: the former hold the latter too.
fn flatten(
    single: Option<BTreeMap<String, String>>,
    multi: Option<BTreeMap<String, Vec<String>>>,
) -> impl Iterator<Item = (String, String)> {
    let single = if multi.is_some() { None } else { single };
    let multi = multi
        .into_iter()
        .flatten()
        .flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)));
    multi.chain(single.into_iter().flatten())
}

/// An answer as the load balancer expects it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlbResponse {
    status_code: u16,
    status_description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    body: String,
    is_base64_encoded: bool,
}

impl AlbResponse {
    /// An answer with its headers in the shape the target group is set to. A header that has several
    /// values becomes one, joined by commas, where only one can be told.
    pub(super) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        multi_value: bool,
    ) -> Self {
        let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            // These describe a connection that only the load balancer has.
            if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            lists
                .entry(name.as_str().to_owned())
                .or_default()
                .push(value);
        }
        let single = || {
            lists
                .iter()
                .map(|(name, values)| (name.clone(), values.join(", ")))
                .collect()
        };
        let (body, is_base64_encoded) = match std::str::from_utf8(body) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (STANDARD.encode(body), true),
        };
        Self {
            status_code: status.as_u16(),
            status_description: status.to_string(),
            headers: (!multi_value).then(single),
            multi_value_headers: multi_value.then_some(lists),
            body,
            is_base64_encoded,
        }
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        self.status_code
    }
}
