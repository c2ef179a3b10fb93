//! The Lambda runtime API, one path per process: `/<function>/<instance>/2018-06-01/runtime/…`.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::error::InvokeError;
use super::function::Function;
use super::functions::Lambda;
use super::state::Event;
use crate::http_server::{self, Body, Closed, full};

/// The largest answer that Lambda accepts from a function.
const MAX_ANSWER: usize = 6 * 1024 * 1024;

/// Answers one call of a function's process.
pub(crate) async fn handle(
    lambda: Arc<Lambda>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches('/').splitn(5, '/');
    let (name, instance) = (
        parts.next().unwrap_or_default(),
        parts.next().and_then(|id| id.parse().ok()),
    );
    let (Some(instance), Some("2018-06-01"), Some("runtime")) =
        (instance, parts.next(), parts.next())
    else {
        return Ok(refuse(StatusCode::NOT_FOUND, "unknown path"));
    };
    let Ok(function) = lambda.function(name).map(Arc::clone) else {
        return Ok(refuse(StatusCode::NOT_FOUND, "unknown function"));
    };
    let call: Vec<_> = parts.next().unwrap_or_default().split('/').collect();
    match (request.method(), call.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => match function.next(instance).await {
            Some(event) => event_response(&function, event),
            None => Err(Closed),
        },
        (&Method::POST, ["invocation", id, "response"]) => {
            let (id, body) = ((*id).to_owned(), body(request).await?);
            Ok(accepted(function.complete(instance, &id, body)))
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            let (id, body) = ((*id).to_owned(), body(request).await?);
            let text = body.map_or_else(|error| error.to_string(), |bytes| message(&bytes));
            Ok(accepted(function.complete(
                instance,
                &id,
                Err(InvokeError::Function(text)),
            )))
        }
        (&Method::POST, ["init", "error"]) => {
            let body = body(request).await?;
            let text = body.map_or_else(|error| error.to_string(), |bytes| message(&bytes));
            function.init_failed(instance, text);
            Ok(accepted(true))
        }
        _ => Ok(refuse(StatusCode::NOT_FOUND, "unknown call")),
    }
}

fn event_response(function: &Function, event: Event) -> Result<Response<Body>, Closed> {
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", event.id)
        .header("lambda-runtime-deadline-ms", event.deadline_ms.to_string())
        .header("lambda-runtime-invoked-function-arn", function.arn())
        .header("lambda-runtime-trace-id", event.trace)
        .body(full(event.payload))
        .map_err(|_| Closed)
}

/// Reads a function's answer. An inner error means that the answer is too large; `Closed` means that the connection
/// broke off.
async fn body(request: Request<Incoming>) -> Result<Result<Bytes, InvokeError>, Closed> {
    match Limited::new(request.into_body(), MAX_ANSWER)
        .collect()
        .await
    {
        Ok(body) => Ok(Ok(body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Ok(Err(InvokeError::TooLarge(MAX_ANSWER))),
        Err(_) => Err(Closed),
    }
}

/// Formats a reported error as `errorType: errorMessage`.
fn message(bytes: &Bytes) -> String {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    match (field("errorType"), field("errorMessage")) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn accepted(known: bool) -> Response<Body> {
    if known {
        http_server::json(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
    } else {
        refuse(
            StatusCode::BAD_REQUEST,
            "this process isn't handling that request",
        )
    }
}

fn refuse(status: StatusCode, message: &str) -> Response<Body> {
    http_server::json(
        status,
        &json!({ "errorType": "InvalidRequest", "errorMessage": message }),
    )
}
