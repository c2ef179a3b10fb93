//! The application load balancer: routes requests to functions by the template's listener rules, and
//! speaks to them in the load balancer's own events only.
//!
//! Outside the template it answers `/media/…` (the content delivery network in front of the bucket)
//! and `/_local/…` (sign-in, status, drain, invoke), which exist on this machine only.

mod answer;
mod event;
mod local_routes;
mod rules;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};

use crate::http_server::{Body, Closed, full};
use crate::stack::Parts;
use crate::template::Action;
use event::{Hop, MAX_REQUEST};

pub(crate) use rules::matches;

/// Answers one request of a client.
pub(crate) async fn handle(
    parts: Arc<Parts>,
    request: Request<Incoming>,
    client: SocketAddr,
) -> Result<Response<Body>, Closed> {
    let path = request.uri().path();
    if let Some(rest) = path.strip_prefix("/_local/") {
        let rest = rest.to_owned();
        return Ok(local_routes::handle(&parts, request, &rest).await);
    }
    if path.starts_with("/media/") {
        return local_routes::media(&parts, request).await;
    }
    let action = parts
        .plan
        .listener
        .as_ref()
        .map(|listener| rules::route(listener, request.method(), path));
    match action.cloned() {
        Some(Action::Forward {
            function,
            target_group_arn,
            multi_value,
        }) => {
            forward(
                parts,
                request,
                client,
                function,
                target_group_arn,
                multi_value,
            )
            .await
        }
        Some(Action::Fixed {
            status,
            content_type,
            body,
        }) => {
            let mut response = Response::new(full(body));
            *response.status_mut() = StatusCode::from_u16(status).map_err(|_| Closed)?;
            if let Some(kind) = content_type.and_then(|kind| kind.parse().ok()) {
                response
                    .headers_mut()
                    .insert(http::header::CONTENT_TYPE, kind);
            }
            Ok(response)
        }
        None => Ok(answer::bare(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

async fn forward(
    parts: Arc<Parts>,
    request: Request<Incoming>,
    client: SocketAddr,
    function: String,
    target_group_arn: String,
    multi_value: bool,
) -> Result<Response<Body>, Closed> {
    let (head, body) = request.into_parts();
    let too_large = || Ok(answer::bare(StatusCode::PAYLOAD_TOO_LARGE));
    if body.size_hint().lower() > u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX) {
        return too_large();
    }
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return too_large(),
        Err(_) => return Err(Closed),
    };
    let hop = Hop {
        client,
        port: parts.load_balancer_port,
        target_group_arn: &target_group_arn,
        multi_value,
    };
    let (payload, trace) = event::build(&head, &body, &hop);
    let busy = Busy::new(&parts.requests);
    // In a task of its own: a client that goes away doesn't end what it started.
    let invocation = tokio::spawn(async move {
        let _busy = busy;
        parts.lambda.invoke(&function, payload, Some(trace)).await
    });
    match invocation.await {
        Ok(Ok(payload)) => Ok(answer::from_function(&payload, multi_value)),
        // Failed, crashed, timed out or throttled: the client sees the same.
        Ok(Err(_)) | Err(_) => Ok(answer::bare(StatusCode::BAD_GATEWAY)),
    }
}

/// Counts a request while it is worked on.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
