//! The content delivery network in front of the bucket of pictures, as the template's distribution says: which
//! methods there are, which headers answers get, and that who has an object already isn't sent it again.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
    ORIGIN, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::BucketService;
use crate::http_server::{Body, Closed, answer, full};
use crate::template::Distribution;

const OTHER_METHOD: &str = "This distribution is not configured to allow the HTTP request method that was used for \
    this request.";

/// Answers `/media/<key>`.
pub(crate) async fn serve(
    bucket: &BucketService,
    distribution: &Distribution,
    request: &Parts,
) -> Result<Response<Body>, Closed> {
    let method = &request.method;
    let allowed = distribution.methods.iter().any(|it| it == method.as_str());
    let mut response = if allowed && matches!(*method, Method::GET | Method::HEAD) {
        let key = request.uri.path().strip_prefix("/media/");
        let path = format!("/{}/{}", distribution.bucket, key.unwrap_or_default());
        fetch(bucket, method.clone(), &path, &request.headers).await?
    } else {
        answer(StatusCode::FORBIDDEN, "text/plain", OTHER_METHOD)
    };
    let headers = response.headers_mut();
    for (name, value) in &distribution.headers {
        headers.insert(name, value.clone());
    }
    if request.headers.contains_key(ORIGIN) {
        for (name, value) in &distribution.cors {
            headers.insert(name, value.clone());
        }
    }
    Ok(response)
}

async fn fetch(
    bucket: &BucketService,
    method: Method,
    path: &str,
    asked: &HeaderMap,
) -> Result<Response<Body>, Closed> {
    let about = bucket.read(Method::HEAD, path, HeaderMap::new()).await?;
    if about.status().is_success() && has_current(asked, about.headers()) {
        return Ok(not_modified(about.headers()));
    }
    let mut passed = HeaderMap::new();
    if let Some(range) = asked
        .get(RANGE)
        .filter(|_| range_holds(asked, about.headers()))
    {
        passed.insert(RANGE, range.clone());
    }
    let mut response = bucket.read(method, path, passed).await?;
    if response.status().is_success() {
        let bytes = HeaderValue::from_static("bytes");
        response.headers_mut().insert(ACCEPT_RANGES, bytes);
    }
    Ok(response)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the client has what there is: by its `ETag` where it names one, else by its date.
fn has_current(asked: &HeaderMap, about: &HeaderMap) -> bool {
    let current = text(about, ETAG).unwrap_or_default();
    if asked.contains_key(IF_NONE_MATCH) {
        let values = asked.get_all(IF_NONE_MATCH).iter();
        return values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag == current);
    }
    let changed = text(about, LAST_MODIFIED).and_then(seconds);
    let known = text(asked, IF_MODIFIED_SINCE).and_then(seconds);
    changed
        .zip(known)
        .is_some_and(|(changed, known)| changed <= known)
}

/// Whether a range is still one of what the client has the rest of.
fn range_holds(asked: &HeaderMap, about: &HeaderMap) -> bool {
    match text(asked, IF_RANGE) {
        None => true,
        Some(validator) => [ETAG, LAST_MODIFIED]
            .map(|name| text(about, name))
            .contains(&Some(validator)),
    }
}

fn seconds(date: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(date.timestamp().as_second())
}

fn not_modified(about: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let kept = about
        .iter()
        .filter(|(name, _)| [CACHE_CONTROL, ETAG, LAST_MODIFIED].contains(name))
        .map(|(name, value)| (name.clone(), value.clone()));
    response.headers_mut().extend(kept);
    response
}
