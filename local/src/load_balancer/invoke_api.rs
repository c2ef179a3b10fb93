//! Lambda's own invoke API, `POST /2015-03-31/functions/<name>/invocations`, so that `./dev invoke`,
//! `cargo lambda invoke` and `aws lambda invoke` can send events, and functions can call each other.
//! Placeholders in events are filled in.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::events::fill_event;
use crate::http_server::{Body, Closed, answer, json as json_answer};
use crate::lambda::Lambda;
use crate::services::{Interceptor, iam};

/// The largest event, as on AWS.
const MAX_EVENT: usize = 6 * 1024 * 1024;

/// The invoke API.
#[derive(Debug, Clone)]
pub(crate) struct InvokeApi {
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) interceptor: Interceptor,
    /// The load balancer's own URL, through which placeholders are filled in.
    pub(crate) url: String,
}

/// Returns the function that a path of this API names, or `None` for any other path.
pub(super) fn function_of(path: &str) -> Option<&str> {
    path.strip_prefix("/2015-03-31/functions/")?
        .strip_suffix("/invocations")
}

impl InvokeApi {
    /// Answers a request to an address that serves only this API.
    pub(crate) async fn serve(self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        match function_of(request.uri().path()).map(str::to_owned) {
            Some(function) => self.handle(function, request).await,
            None => Ok(refusal(
                StatusCode::NOT_FOUND,
                "this address serves only Lambda's invoke API",
            )),
        }
    }

    /// Invokes a function with the request's body as its event.
    pub(super) async fn handle(
        self,
        function: String,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Closed> {
        let (headers, interceptor) = (request.headers().clone(), self.interceptor.clone());
        interceptor.record_iam_calls(&headers, iam::of_function(&function));
        let invoked = async move { Ok(self.invoke(function, request).await) };
        interceptor
            .intercept(&headers, "Invoke".to_owned(), invoked)
            .await
    }

    async fn invoke(self, function: String, request: Request<Incoming>) -> Response<Body> {
        if request.method() != Method::POST {
            let mut response = refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                "functions are invoked by POST",
            );
            let post = HeaderValue::from_static("POST");
            response.headers_mut().insert(http::header::ALLOW, post);
            return response;
        }
        let Ok(event) = Limited::new(request.into_body(), MAX_EVENT).collect().await else {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the event is too large");
        };
        let event = String::from_utf8_lossy(&event.to_bytes()).into_owned();
        if serde_json::from_str::<Value>(&event).is_err() {
            return refusal(StatusCode::BAD_REQUEST, "the event isn't JSON");
        }
        if self.lambda.function(&function).is_err() {
            let message = format!("there is no function {function}");
            return refusal(StatusCode::NOT_FOUND, &message);
        }
        let event = match fill_event(&self.url, &event).await {
            Ok(event) => event,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        // In a task of its own, so that the invocation continues if the client goes away.
        let outcome = tokio::spawn(async move {
            let event = event.into_bytes().into();
            self.lambda.invoke(&function, event, None).await
        });
        match outcome.await {
            Ok(Ok(payload)) => answer(StatusCode::OK, "application/json", payload),
            Ok(Err(error)) => failure(&error.to_string()),
            Err(error) => failure(&error.to_string()),
        }
    }
}

fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    json_answer(status, &json!({ "message": message }))
}

/// Reports a failed function, with status 200 and a header, as Lambda does.
fn failure(message: &str) -> Response<Body> {
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
