//! What exists on this machine only: `/_local/…` and `/media/…`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde_json::json;

use super::problem;
use crate::http_server::{Body, Closed, full, json as json_answer};
use crate::services::media;
use crate::sign_in::{Identity, oauth};
use crate::stack::Parts;

/// How long `POST /_local/drain` waits if it isn't told.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers `/_local/<path>`, to pages of any origin but for what only people look at.
pub(super) async fn handle(
    parts: &Arc<Parts>,
    request: Request<Incoming>,
    path: &str,
) -> Response<Body> {
    if request.method() == Method::OPTIONS {
        return preflight(request.headers());
    }
    let public = &parts.endpoints.public;
    let mut response = if oauth::serves(path) {
        oauth::handle(&parts.sign_in, public, request, path).await
    } else {
        respond(parts, request, path).await
    };
    if !matches!(path, "oauth/authorize" | "oauth/logout") {
        allow_any_origin(response.headers_mut());
    }
    response
}

fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Whatever a page means to send here, it may.
fn preflight(asked: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow_any_origin(headers);
    let methods = HeaderValue::from_static("GET, POST");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

/// `GET /_local/token/<user>?expires_in=60&groups=moderators`.
fn token(parts: &Parts, user: &str, query: &str) -> Response<Body> {
    let (mut groups, mut lifetime) = (String::new(), String::new());
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "groups" => groups = value.into_owned(),
            "expires_in" => lifetime = value.into_owned(),
            _ => {
                let problem = "expires_in=<seconds> and groups=<name>,<name> are all it takes";
                return json_answer(StatusCode::BAD_REQUEST, &json!({ "error": problem }));
            }
        }
    }
    let identity = match Identity::parse(user, &groups, &lifetime) {
        Ok(identity) => identity,
        Err(problem) => {
            return json_answer(StatusCode::BAD_REQUEST, &json!({ "error": problem }));
        }
    };
    match parts.sign_in.token_of(&identity) {
        Ok(token) => json_answer(
            StatusCode::OK,
            &json!({ "access_token": token, "token_type": "Bearer", "expires_in": identity.lifetime }),
        ),
        Err(error) => json_answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "error": error.to_string() }),
        ),
    }
}

async fn respond(parts: &Arc<Parts>, request: Request<Incoming>, path: &str) -> Response<Body> {
    let not_found = || {
        json_answer(
            StatusCode::NOT_FOUND,
            &json!({ "error": "there is no such local route" }),
        )
    };
    match (request.method(), path.split_once('/').unwrap_or((path, ""))) {
        (&Method::GET, ("token", user)) => {
            token(parts, user, request.uri().query().unwrap_or_default())
        }
        (&Method::GET, ("jwks.json", "") | (".well-known", "jwks.json")) => {
            json_answer(StatusCode::OK, parts.sign_in.jwks())
        }
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
    let (request, _) = request.into_parts();
    match (&parts.plan.media, &parts.bucket) {
        (Some(distribution), Some(bucket)) => media::serve(bucket, distribution, &request).await,
        _ => Ok(json_answer(
            StatusCode::NOT_FOUND,
            &json!({ "error": "the template has no bucket of images" }),
        )),
    }
}
