//! `GET /v1/health`; and as the load balancer's default action, the answer to whatever no rule
//! matches: preflights, 404 and 405 (see [`purrline::http::routes`]).

use axum::routing::get;
use axum::{Json, Router};
use purrline::http::{self, Settings};
use purrline::log;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let routes = Router::new().route("/v1/health", get(health));
    http::run(routes, Settings::public_from_env()?).await
}

/// That this answers is all it says: no dependency is asked, so that one that is down takes no
/// function out of service.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
