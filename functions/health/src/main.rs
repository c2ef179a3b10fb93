//! `GET /v1/health` and `GET /v1/openapi.json`; and as the load balancer's default action, the answer to
//! whatever no rule matches: preflights, 404 and 405 (see [`purrline::http::routes`]).

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use purrline::http::{self, Settings, Status};
use purrline::log;

/// Made of the code's own types by `purrline::openapi`; a test keeps it current.
const OPENAPI: &str = include_str!("../../../openapi.json");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let routes = Router::new()
        .route("/v1/health", get(health))
        .route("/v1/openapi.json", get(openapi));
    http::run(routes, Settings::public_from_env()?).await
}

/// That this answers is all it says: no dependency is asked, so that one that is down takes no
/// function out of service.
async fn health() -> Status {
    Status::Ok
}

/// It changes with a deployment only.
async fn openapi() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, OPENAPI)
}
