//! The application load balancer: routes requests to functions by the template's listener rules, and
//! speaks to them in the load balancer's own events only.
//!
//! Outside the template it answers `/media/…` (the content delivery network in front of the bucket),
//! `/<bucket>/…` (the bucket itself, for presigned uploads), `/_local/…` (sign-in, status, drain) and Lambda's invoke
//! API: so a client needs to reach one port only.

mod answer;
mod event;
mod invoke_api;
mod local_routes;
mod problem;
mod rules;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use crate::faults::Service;
use crate::http_server::{Body, Closed, full};
use crate::lambda::InvokeError;
use crate::services::{Front, Refusal};
use crate::stack::Parts;
use crate::template::Action;
use event::{Hop, MAX_REQUEST};

pub(crate) use invoke_api::handle_alone as invoke;
pub(crate) use rules::matches;

/// The most of a body that is too large that is read before the connection is closed.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

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
    if let Some(function) = invoke_api::function(path) {
        let function = function.to_owned();
        return invoke_api::handle(parts, function, request).await;
    }
    if path.starts_with("/media/") {
        return local_routes::media(&parts, request).await;
    }
    if let Some(bucket) = parts.bucket.clone().filter(|bucket| bucket.has(path)) {
        let front = Front {
            service: Service::Bucket,
            refusal: Refusal::Xml,
            faults: Arc::clone(&parts.faults),
            lambda: Arc::clone(&parts.lambda),
        };
        return bucket.handle(front, request).await;
    }
    let mut response = listen(Arc::clone(&parts), request, client).await?;
    let listener = parts.plan.listener.iter();
    for (name, value) in listener.flat_map(|listener| &listener.headers) {
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}

/// Does what the listener's rules say.
async fn listen(
    parts: Arc<Parts>,
    request: Request<Incoming>,
    client: SocketAddr,
) -> Result<Response<Body>, Closed> {
    let path = request.uri().path();
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
    let Some(body) = read(&head.headers, body).await? else {
        return Ok(answer::bare(StatusCode::PAYLOAD_TOO_LARGE));
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
        // These only this machine has: it is too busy to start a process, or to work off what waits.
        Ok(Err(InvokeError::StartTimedOut(_) | InvokeError::Throttled)) => {
            Ok(problem::unavailable())
        }
        // Failed, crashed or timed out: the client sees the same, as on AWS.
        Ok(Err(_)) | Err(_) => Ok(answer::bare(StatusCode::BAD_GATEWAY)),
    }
}

/// A request's body; `None` if it is larger than functions may get.
async fn read(headers: &HeaderMap, mut body: Incoming) -> Result<Option<Bytes>, Closed> {
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    // A client that asks first is told at once.
    if body.size_hint().lower() > limit && headers.contains_key(EXPECT) {
        return Ok(None);
    }
    let mut read = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Closed)?.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length <= MAX_REQUEST {
            read.extend_from_slice(&data);
        } else if length > MAX_DISCARDED {
            return Err(Closed);
        }
        // What is too large is read to its end: a client that still sends wouldn't see the answer.
    }
    Ok((length <= MAX_REQUEST).then(|| read.freeze()))
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
