//! `GET /v1/health` and `GET /v1/openapi.json`. As the load balancer's default action, this function also answers
//! requests that no rule matches: preflights, 404 and 405 (see [`purrline::http::routes`]).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use purrline::http::routes::{GET_HEALTH, GET_OPENAPI};
use purrline::http::{self, Settings, Status};
use purrline::log;

/// Generated from the code's own types by `purrline::openapi`; a test keeps it current.
const OPENAPI: &str = include_str!("../../../openapi.json");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let routes = Router::new()
        .merge(GET_HEALTH.handled_by(health))
        .merge(GET_OPENAPI.handled_by(openapi));
    http::run(routes, Settings::public_from_env()?).await
}

/// Names the version of [`OPENAPI`]; the same in every process of this build.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    OPENAPI.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
});

/// Answers without asking any dependency, so that a failed dependency takes no function out of service.
async fn health() -> impl IntoResponse {
    ([(CACHE_CONTROL, "public, max-age=5")], Status::Ok)
}

/// Answers with the description of the API, which changes only with a deployment.
async fn openapi(headers: HeaderMap) -> Response {
    let about = [
        (CACHE_CONTROL, "public, max-age=300"),
        (ETAG, VERSION.as_str()),
    ];
    if has_current(&headers) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, [(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// Returns whether `If-None-Match` names the current version, as a strong or a weak tag.
fn has_current(headers: &HeaderMap) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == VERSION.as_str())
}
