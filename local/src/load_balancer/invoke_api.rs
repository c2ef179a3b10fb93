//! Lambda's own invoke API, `POST /2015-03-31/functions/<name>/invocations`, so that `./dev invoke`,
//! `cargo lambda invoke` and `aws lambda invoke` send events here, and functions call each other.
//! Placeholders in an event are filled in.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::events::fill_event;
use crate::faults::Service;
use crate::http_server::{Body, Closed, answer, json as json_answer};
use crate::services::{Front, Refusal, asked};
use crate::stack::Parts;

/// The largest event that can be invoked by hand, as on AWS.
const MAX_EVENT: usize = 6 * 1024 * 1024;

/// The function that a path of this API names.
pub(super) fn function(path: &str) -> Option<&str> {
    path.strip_prefix("/2015-03-31/functions/")?
        .strip_suffix("/invocations")
}

/// Answers at an address that has this API alone.
pub(crate) async fn handle_alone(
    parts: Arc<Parts>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    match function(request.uri().path()).map(str::to_owned) {
        Some(function) => handle(parts, function, request).await,
        None => Ok(refused(
            StatusCode::NOT_FOUND,
            "this is Lambda's invoke API alone",
        )),
    }
}

/// Invokes a function with the request's body as its event.
pub(super) async fn handle(
    parts: Arc<Parts>,
    function: String,
    request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    let front = Front {
        service: Service::Functions,
        refusal: Refusal::Json,
        faults: Arc::clone(&parts.faults),
        lambda: Arc::clone(&parts.lambda),
    };
    let headers = request.headers().clone();
    front.asks(&headers, asked::of_function(&function));
    let invoked = async move { Ok(invoke(&parts, function, request).await) };
    front.call(&headers, "Invoke".to_owned(), invoked).await
}

async fn invoke(
    parts: &Arc<Parts>,
    function: String,
    request: Request<Incoming>,
) -> Response<Body> {
    if request.method() != Method::POST {
        let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "invoking is a POST");
        let post = HeaderValue::from_static("POST");
        response.headers_mut().insert(http::header::ALLOW, post);
        return response;
    }
    let Ok(event) = Limited::new(request.into_body(), MAX_EVENT).collect().await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "the event is too large");
    };
    let event = String::from_utf8_lossy(&event.to_bytes()).into_owned();
    if serde_json::from_str::<Value>(&event).is_err() {
        return refused(StatusCode::BAD_REQUEST, "the event isn't JSON");
    }
    if parts.lambda.function(&function).is_err() {
        let message = format!("there is no function {function}");
        return refused(StatusCode::NOT_FOUND, &message);
    }
    let event = match fill_event(&parts.endpoints.url, &event).await {
        Ok(event) => event,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let invoked = Arc::clone(parts);
    let outcome = tokio::spawn(async move {
        let event = event.into_bytes().into();
        invoked.lambda.invoke(&function, event, None).await
    });
    match outcome.await {
        Ok(Ok(payload)) => answer(StatusCode::OK, "application/json", payload),
        Ok(Err(error)) => failed(&error.to_string()),
        Err(error) => failed(&error.to_string()),
    }
}

fn refused(status: StatusCode, message: &str) -> Response<Body> {
    json_answer(status, &json!({ "message": message }))
}

/// A function that fails is answered with 200 and a header that says so.
fn failed(message: &str) -> Response<Body> {
    let mut response = json_answer(
        StatusCode::OK,
        &json!({ "errorType": "Unhandled", "errorMessage": message }),
    );
    let unhandled = HeaderValue::from_static("Unhandled");
    response
        .headers_mut()
        .insert("x-amz-function-error", unhandled);
    response
}
