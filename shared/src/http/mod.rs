//! HTTP, once for all functions: the load balancer's events in, answers out.
//!
//! A function is an [`axum::Router`] handed to [`run`]: handlers, mounted on operations that [`routes`] declares.
//! Around it, every request gets:
//!
//! - `x-request-id`, CORS, one log line, and the trace that it belongs to;
//! - `Cache-Control`, `X-Content-Type-Options` and, over HTTPS, `Strict-Transport-Security`;
//! - 404 and 405 from one table of [routes] that all functions share, so that `Allow` names the
//!   methods another function serves, and a request routed to the wrong function still gets the
//!   correct answer;
//! - 413 above the body limit, 500 for a panic, 503 with `Retry-After` shortly before the function's
//!   deadline;
//! - 429 if a caller calls too often, see [`Settings::limited_by`];
//! - every error as `application/problem+json` with the request id as `instance`.
//!
//! A handler takes what it needs as arguments, in this order, because the first that fails answers:
//! [`Caller`] (401), [`Path`] (404), [`Paging`] or [`Query`], [`Idempotency`] and [`Body`] or
//! [`ImageBody`] (400, 413, 415). It returns `Result<impl IntoResponse, Problem>`; errors of the domain
//! and of the adapters turn into problems by `?`.
//!
//! `lambda_http` reads the events and writes the answers, behind a small guard (`alb`) that mends events it can't take.

mod alb;
mod api;
mod body;
mod fields;
mod gate;
mod idempotency;
mod image;
#[cfg(feature = "cache")]
mod limits;
mod paging;
mod path;
mod problem;
mod problem_type;
mod protect;
mod query;
#[cfg(feature = "queue")]
mod queued;
mod raw_body;
pub mod routes;
mod settings;
mod sign_in;
mod stamped_caller;
mod status;
#[cfg(test)]
mod tests;

pub use api::Api;
pub use body::{
    Body, ByteCount, ChosenHandle, Clearable, FromFields, List, NewImage, NewImages, Unchecked,
};
pub use fields::{All, BadField, Fields};
pub use idempotency::Idempotency;
pub use image::ImageBody;
pub use paging::Paging;
pub use path::{FromPath, Path};
pub use problem::Problem;
#[cfg(feature = "openapi")]
pub(crate) use problem::ProblemBody;
pub use problem_type::ProblemType;
pub use query::Query;
#[cfg(feature = "queue")]
pub use queued::{Queued, queued};
pub use settings::Settings;
pub use sign_in::{Caller, SignInName};
#[cfg(feature = "store")]
pub use sign_in::{not_withdrawn, writer};
pub use stamped_caller::StampedCaller;
pub use status::Status;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use tower::service_fn;
use tower::util::MapRequestLayer;

use crate::lifecycle::take_events;

/// An error that keeps a function from starting or continuing.
pub type Error = lambda_runtime::Error;

/// Answers the load balancer's events with the router until the process is told to end: one at a time, or several if
/// the platform says so (`AWS_LAMBDA_MAX_CONCURRENCY`). Before the first event, waits for the connections that the
/// existing clients are opening.
pub async fn run(router: Router, settings: Settings) -> Result<(), Error> {
    let api = Arc::new(Api::new(router, settings));
    let answering = service_fn(move |request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.answer(request).await) }
    });
    let runtime = lambda_http::runtime_concurrent(answering);
    let guarded = runtime.layer(MapRequestLayer::new(alb::mend));
    Box::pin(take_events(guarded)).await
}
