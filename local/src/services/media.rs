//! The content delivery network in front of the bucket of pictures, configured by the template's distribution: allowed
//! methods, added headers, and conditional and range requests.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
    ORIGIN, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::bucket::BucketService;
use crate::http_server::{Body, Closed, answer, full};
use crate::template::Distribution;

const METHOD_NOT_ALLOWED: &str = "This distribution is not configured to allow the HTTP request method that was used for \
    this request.";

const ACCESS_DENIED: &str =
    "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";

/// Answers `/media/<key>`.
pub(crate) async fn serve(
    bucket: &BucketService,
    distribution: &Distribution,
    request: &Parts,
) -> Result<Response<Body>, Closed> {
    let method = &request.method;
    let allowed = distribution
        .methods
        .iter()
        .any(|allowed| allowed == method.as_str());
    let mut response = if allowed && matches!(*method, Method::GET | Method::HEAD) {
        object(bucket, distribution, request).await?
    } else {
        answer(StatusCode::FORBIDDEN, "text/plain", METHOD_NOT_ALLOWED)
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

/// Answers a read of an object.
async fn object(
    bucket: &BucketService,
    distribution: &Distribution,
    request: &Parts,
) -> Result<Response<Body>, Closed> {
    let denied = || answer(StatusCode::FORBIDDEN, "application/xml", ACCESS_DENIED);
    let key = request.uri.path().strip_prefix("/media/");
    let key = key.filter(|key| !key.is_empty());
    let Some(key) = key.or(distribution.root.as_deref()) else {
        // The bucket's root, which would list its objects.
        return Ok(denied());
    };
    let path = format!("/{}/{key}", distribution.bucket);
    let response = fetch(bucket, request.method.clone(), &path, &request.headers).await?;
    if response.status() == StatusCode::NOT_FOUND && !distribution.missing_is_404 {
        return Ok(denied());
    }
    Ok(response)
}

async fn fetch(
    bucket: &BucketService,
    method: Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, Closed> {
    let object = bucket.read(Method::HEAD, path, HeaderMap::new()).await?;
    if object.status().is_success() && is_current(headers, object.headers()) {
        return Ok(not_modified(object.headers()));
    }
    let mut passed_on = HeaderMap::new();
    if let Some(range) = headers
        .get(RANGE)
        .filter(|_| range_applies(headers, object.headers()))
    {
        passed_on.insert(RANGE, range.clone());
    }
    let mut response = bucket.read(method, path, passed_on).await?;
    if response.status().is_success() {
        let bytes = HeaderValue::from_static("bytes");
        response.headers_mut().insert(ACCEPT_RANGES, bytes);
    }
    Ok(response)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Returns whether the client's copy is current, by the `ETag` if the request names one, otherwise by the date.
fn is_current(request: &HeaderMap, object: &HeaderMap) -> bool {
    let current = text(object, ETAG).unwrap_or_default();
    if request.contains_key(IF_NONE_MATCH) {
        let values = request.get_all(IF_NONE_MATCH).iter();
        return values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag == current);
    }
    let changed = text(object, LAST_MODIFIED).and_then(seconds);
    let known = text(request, IF_MODIFIED_SINCE).and_then(seconds);
    changed
        .zip(known)
        .is_some_and(|(changed, known)| changed <= known)
}

/// Returns whether the range applies to this version of the object, by `If-Range`.
fn range_applies(request: &HeaderMap, object: &HeaderMap) -> bool {
    match text(request, IF_RANGE) {
        None => true,
        Some(validator) => [ETAG, LAST_MODIFIED]
            .map(|name| text(object, name))
            .contains(&Some(validator)),
    }
}

fn seconds(date: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(date.timestamp().as_second())
}

fn not_modified(object: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let kept = object
        .iter()
        .filter(|(name, _)| [CACHE_CONTROL, ETAG, LAST_MODIFIED].contains(name))
        .map(|(name, value)| (name.clone(), value.clone()));
    response.headers_mut().extend(kept);
    response
}
