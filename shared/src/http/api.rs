//! The layers around every handler.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{
    AUTHORIZATION, CONTENT_TYPE, LOCATION, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http_body_util::Full;
use lambda_http::RequestExt as _;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument as _;

use super::gate::{Gate, Verdict};
use super::protect::protect;
use super::raw_body::RawBody;
use super::routes::{self, Found};
use super::settings::{Origins, Settings};
use super::sign_in::SignIn;
use super::{Problem, alb};
use crate::deadline::time_left;
use crate::invocation::{Callee, Invocation, Trace};
use crate::metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Request headers that tracing tools add in browsers: W3C's, and Sentry's.
const TRACING: [HeaderName; 4] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("sentry-trace"),
    HeaderName::from_static("baggage"),
];
/// The time for which a browser may cache the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(1);
/// The time reserved for the answer that a function's time ran out.
const DEADLINE_MARGIN: Duration = Duration::from_millis(300);
/// The maximum size of a body, as escaped in the answer: the load balancer takes 1 MB for all of the answer.
const MAX_ANSWER: usize = 1_000_000;

/// A router with the layers around it.
pub struct Api {
    router: Router,
    cors: CorsLayer,
    sign_in: Option<Arc<SignIn>>,
    gate: Option<Gate>,
    body_limit: usize,
}

impl Api {
    /// Puts the layers around a router. Starts fetching the provider's keys.
    pub fn new(router: Router, settings: Settings) -> Self {
        let sign_in = settings
            .sign_in
            .map(|provider| Arc::new(SignIn::new(provider)));
        if let Some(sign_in) = &sign_in {
            sign_in.prefetch();
        }
        let router = router
            .fallback(misrouted)
            .method_not_allowed_fallback(misrouted);
        Self {
            router,
            cors: cors(settings.origins),
            sign_in,
            gate: settings.gate,
            body_limit: settings.body_limit,
        }
    }

    /// Answers one request, with the context of its invocation.
    pub async fn answer(&self, request: lambda_http::Request) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let context = request.lambda_context_ref().cloned().unwrap_or_default();
        let https = alb::is_https(request.headers());
        let trace = alb::trace(request.headers());
        let within = time_left(&context, DEADLINE_MARGIN);
        let deadline = tokio::time::Instant::now() + within;
        let invocation = Invocation::new(trace, Arc::default(), Some(deadline));
        let trace = invocation.trace().map(Trace::as_str);
        let span = tracing::error_span!("request", request_id = context.request_id, trace);
        let (method, route, response) = match alb::restore(request) {
            Ok(request) => {
                let found = routes::find(request.method(), request.uri().path());
                let route = match found {
                    Found::Route(path) | Found::OtherMethods(path, _) => path,
                    Found::Nothing => "none",
                };
                let method = request.method().clone();
                let answer = self.with_cors(request, found, within);
                let answer = Arc::clone(&invocation).run(answer.instrument(span));
                (method, route, answer.await)
            }
            Err(error) => (
                Method::default(),
                "unreadable",
                Problem::bad_request(error.to_string()).into_response(),
            ),
        };
        let info = RequestInfo {
            request_id: &context.request_id,
            head: method == Method::HEAD,
            https,
        };
        let answer = finish(response, &info).await;
        let calls = invocation.calls();
        tracing::info!(
            request_id = context.request_id,
            trace,
            caller = invocation.caller(),
            method = method.as_str(),
            route,
            status = answer.status().as_u16(),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            dynamodb = calls.of(Callee::Tables),
            sqs = calls.of(Callee::Queues),
            s3 = calls.of(Callee::Bucket),
            lambda = calls.of(Callee::Functions),
            cache = calls.of(Callee::Cache),
            "request"
        );
        metrics::flush();
        answer
    }

    async fn with_cors(&self, request: Request<Bytes>, found: Found, budget: Duration) -> Response {
        // Without an origin, the request is no preflight, but asks for the path's methods.
        if request.method() == Method::OPTIONS && !request.headers().contains_key(ORIGIN) {
            return options(&found);
        }
        let dispatch = service_fn(|request| {
            let found = found.clone();
            async move { Ok::<_, Infallible>(self.dispatch(request, found, budget).await) }
        });
        match self.cors.layer(dispatch).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn dispatch(&self, request: Request<Bytes>, found: Found, budget: Duration) -> Response {
        match found {
            Found::Nothing => {
                return Problem::not_found("There is nothing at this path.").into_response();
            }
            Found::OtherMethods(_, allow) => {
                return Problem::method_not_allowed(&allow).into_response();
            }
            Found::Route(_) => {}
        }
        if request.body().len() > self.body_limit {
            return Problem::body_too_large(self.body_limit).into_response();
        }
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(RawBody(body));
        if let Some(sign_in) = &self.sign_in {
            parts.extensions.insert(Arc::clone(sign_in));
        }
        if let Some(gate) = &self.gate {
            parts.extensions.insert(Arc::clone(gate));
        }
        let verdict = Verdict::default();
        parts.extensions.insert(verdict.clone());
        let request = Request::from_parts(parts, Body::empty());
        let answer = async {
            let answer = self.router.clone().oneshot(request).await;
            match verdict.refusal().await {
                Some(problem) => Ok(problem.into_response()),
                None => answer,
            }
        };
        let answer = AssertUnwindSafe(answer).catch_unwind();
        match tokio::time::timeout(budget, answer).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            // The panic itself was logged where it happened.
            Ok(Err(_panic)) => Problem::internal(&Panicked).into_response(),
            Err(elapsed) => Problem::unavailable(&elapsed).into_response(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is larger than the load balancer takes")]
struct TooLarge;

/// Returns a body's size as a JSON string, in which quotes and backslashes are escaped.
fn size_in_json(body: &[u8]) -> usize {
    body.len()
        + body
            .iter()
            .filter(|byte| matches!(byte, b'"' | b'\\'))
            .count()
}

#[derive(Debug, thiserror::Error)]
#[error("the handler panicked")]
struct Panicked;

#[derive(Debug, thiserror::Error)]
#[error("a rule of the load balancer sends this route to a function that doesn't serve it")]
struct Misrouted;

/// Answers a request that matches the table, but not this function's router: other requests never reach a router.
async fn misrouted() -> Problem {
    Problem::internal(&Misrouted)
}

fn options(found: &Found) -> Response {
    let allow = match found {
        Found::Nothing => {
            return Problem::not_found("There is nothing at this path.").into_response();
        }
        Found::Route(_) => "OPTIONS".to_owned(),
        Found::OtherMethods(_, allow) => format!("{allow}, OPTIONS"),
    };
    (StatusCode::NO_CONTENT, [(axum::http::header::ALLOW, allow)]).into_response()
}

fn cors(origins: Origins) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(match origins {
            Origins::Any => AllowOrigin::any(),
            Origins::These(origins) => AllowOrigin::list(origins),
        })
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(
            [AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY]
                .into_iter()
                .chain(TRACING)
                .collect::<Vec<_>>(),
        )
        // The load balancer exposes the same in its own answers: see the listeners in template.yaml.
        .expose_headers([LOCATION, RETRY_AFTER, WWW_AUTHENTICATE, REQUEST_ID])
        .max_age(PREFLIGHT_MAX_AGE)
}

/// The circumstances that an answer depends on besides its handler.
struct RequestInfo<'a> {
    request_id: &'a str,
    head: bool,
    https: bool,
}

/// Adds the request's id and the headers of every answer, and turns any failure into a problem.
async fn finish(response: Response, info: &RequestInfo<'_>) -> Response<Full<Bytes>> {
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, MAX_ANSWER).await;
    let failed = parts.status.is_client_error() || parts.status.is_server_error();
    let problem = match (parts.extensions.remove::<Problem>(), &body) {
        (Some(problem), _) => Some(problem),
        (None, Err(error)) => Some(Problem::internal(error)),
        (None, Ok(text)) if failed => {
            // The text may quote the request, so it is not logged.
            let (status, bytes) = (parts.status.as_u16(), text.len());
            tracing::warn!(status, bytes, "an error that is no problem");
            Some(Problem::of(parts.status))
        }
        (None, Ok(body)) if size_in_json(body) > MAX_ANSWER => Some(Problem::internal(&TooLarge)),
        (None, Ok(_)) => None,
    };
    let body = match problem {
        Some(problem) => {
            let body = problem.body(info.request_id);
            let (problem, _) = problem.into_response().into_parts();
            parts.status = problem.status;
            for (name, value) in &problem.headers {
                parts.headers.insert(name, value.clone());
            }
            if info.head { Bytes::new() } else { body.into() }
        }
        None => body.unwrap_or_default(),
    };
    if let Ok(id) = HeaderValue::from_str(info.request_id) {
        parts.headers.insert(REQUEST_ID, id);
    }
    protect(parts.status, &mut parts.headers, info.https);
    alb::tidy(&mut parts.headers);
    Response::from_parts(parts, Full::new(body))
}
