//! Problems that only the local stack has, in the format of the API's problems.

use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::http_server::{Body, answer};
use crate::ids;

const PROBLEM: &str = "application/problem+json";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The functions' own value of `Retry-After`.
const RETRY_AFTER_SECONDS: u16 = 2;

/// Returns a 503: no process of the function could take the request.
pub(super) fn unavailable() -> Response<Body> {
    let detail = "No process of the function could be started in time, please try again.";
    let mut response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "/problems/unavailable",
        detail,
    );
    let seconds = HeaderValue::from(RETRY_AFTER_SECONDS);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// Returns a 405: the local route supports only this method.
pub(super) fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let detail = format!("This path takes {allow} only.");
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "about:blank", &detail);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}

fn problem(status: StatusCode, kind: &str, detail: &str) -> Response<Body> {
    let id = ids::uuid();
    let body = json!({
        "type": kind,
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "instance": id,
    });
    let mut response = answer(status, PROBLEM, body.to_string());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
