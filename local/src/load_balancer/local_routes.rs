//! What exists on this machine only: `/_local/…` and `/media/…`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde_json::json;

use super::problem;
use crate::http_server::{Body, Closed, json as json_answer};
use crate::sign_in::TOKEN_LIFETIME;
use crate::stack::Parts;

/// How long `POST /_local/drain` waits if it isn't told.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers `/_local/<path>`, to pages of any origin.
pub(super) async fn handle(
    parts: &Arc<Parts>,
    request: Request<Incoming>,
    path: &str,
) -> Response<Body> {
    let mut response = respond(parts, request, path).await;
    let any = HeaderValue::from_static("*");
    response
        .headers_mut()
        .insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}

/// What the API takes as a token's subject.
fn is_user_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=40).contains(&text.len()) && text.bytes().all(allowed)
}

async fn respond(parts: &Arc<Parts>, request: Request<Incoming>, path: &str) -> Response<Body> {
    let not_found = || {
        json_answer(
            StatusCode::NOT_FOUND,
            &json!({ "error": "there is no such local route" }),
        )
    };
    match (request.method(), path.split_once('/').unwrap_or((path, ""))) {
        (&Method::GET, ("token", user)) if !is_user_id(user) => json_answer(
            StatusCode::BAD_REQUEST,
            &json!({ "error": "a user is 1 to 40 of 0-9 A-Z a-z _ -" }),
        ),
        (&Method::GET, ("token", user)) => match parts.sign_in.token(user) {
            Ok(token) => json_answer(
                StatusCode::OK,
                &json!({ "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME.as_secs() }),
            ),
            Err(error) => json_answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "error": error.to_string() }),
            ),
        },
        (&Method::GET, ("jwks.json", "")) => json_answer(StatusCode::OK, parts.sign_in.jwks()),
        (&Method::GET, ("status", "")) => {
            let status = serde_json::to_value(parts.status().await).unwrap_or_default();
            json_answer(StatusCode::OK, &status)
        }
        (&Method::GET, ("environment", "")) => {
            let functions = parts.lambda.functions();
            let environments: BTreeMap<_, _> = functions
                .map(|function| (&function.spec.name, function.environment()))
                .collect();
            json_answer(StatusCode::OK, &json!(environments))
        }
        (&Method::POST, ("drain", "")) => drain(parts, request.uri()).await,
        (method, (route, _)) => match only_method(route) {
            Some(allow) if method != allow => problem::method_not_allowed(allow),
            _ => not_found(),
        },
    }
}

/// The method that a local route takes.
fn only_method(route: &str) -> Option<&'static str> {
    match route {
        "token" | "jwks.json" | "status" | "environment" => Some("GET"),
        "drain" => Some("POST"),
        _ => None,
    }
}

async fn drain(parts: &Arc<Parts>, uri: &Uri) -> Response<Body> {
    let mut timeout = DRAIN_TIMEOUT;
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match (
            name.as_ref(),
            value
                .parse::<f64>()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        ) {
            ("timeout", Some(given)) => timeout = given,
            _ => {
                return json_answer(
                    StatusCode::BAD_REQUEST,
                    &json!({ "error": "timeout=<seconds> is all it takes" }),
                );
            }
        }
    }
    if parts.drain(timeout).await {
        json_answer(StatusCode::OK, &json!({ "drained": true }))
    } else {
        json_answer(StatusCode::GATEWAY_TIMEOUT, &json!({ "drained": false }))
    }
}

/// Reads the bucket, as the content delivery network does.
pub(super) async fn media(
    parts: &Parts,
    request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(json_answer(
            StatusCode::METHOD_NOT_ALLOWED,
            &json!({ "error": "images are only read here" }),
        ));
    }
    match (&parts.plan.media_bucket, &parts.bucket) {
        (Some(bucket), Some(service)) => service.read(bucket, request).await,
        _ => Ok(json_answer(
            StatusCode::NOT_FOUND,
            &json!({ "error": "the template has no bucket of images" }),
        )),
    }
}
