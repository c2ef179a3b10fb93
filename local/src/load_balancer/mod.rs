//! The application load balancer: routes requests to functions by the template's listener rules, and
//! passes them on as load balancer events.
//!
//! So that clients need only one port, the load balancer also serves `/media/…` (the content delivery
//! network in front of the bucket), `/<bucket>/…` (the buckets themselves, for presigned uploads),
//! `/_local/…` (sign-in, status, drain) and Lambda's invoke API.

mod answer;
mod event;
mod invoke_api;
mod local_routes;
mod problem;
mod rules;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use crate::http_server::{Body, Closed, full};
use crate::lambda::{InvokeError, Lambda};
use crate::monitor::Monitor;
use crate::services::{BucketService, Interceptor};
use crate::template::{Action, Listener};
use event::{Hop, MAX_REQUEST};

pub(crate) use invoke_api::InvokeApi;
pub(crate) use local_routes::LocalRoutes;

/// The size beyond which an oversized body isn't read to its end.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

/// The load balancer.
#[derive(Debug)]
pub(crate) struct LoadBalancer {
    pub(crate) port: u16,
    /// The template's listener, if it has one.
    pub(crate) listener: Option<Listener>,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) bucket: Option<(BucketService, Interceptor)>,
    pub(crate) local_routes: LocalRoutes,
    pub(crate) invoke_api: InvokeApi,
}

impl LoadBalancer {
    /// Answers a client's request.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<Body>, Closed> {
        let path = request.uri().path();
        if let Some(rest) = path.strip_prefix("/_local/") {
            let rest = rest.to_owned();
            return Ok(self.local_routes.handle(request, &rest).await);
        }
        if let Some(function) = invoke_api::function_of(path) {
            let function = function.to_owned();
            return self.invoke_api.clone().handle(function, request).await;
        }
        if path.starts_with("/media/") {
            return self.local_routes.media(request).await;
        }
        if let Some((bucket, interceptor)) = &self.bucket
            && bucket.contains(path)
        {
            return bucket.clone().handle(interceptor.clone(), request).await;
        }
        let Some(listener) = &self.listener else {
            return Ok(answer::bare(StatusCode::SERVICE_UNAVAILABLE));
        };
        let action = rules::route(listener, request.method(), path);
        let mut response = self.act(action, request, client).await?;
        for (name, value) in &listener.headers {
            response.headers_mut().insert(name, value.clone());
        }
        Ok(response)
    }

    async fn act(
        &self,
        action: &Action,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<Body>, Closed> {
        match action {
            Action::Forward {
                function,
                target_group_arn,
                multi_value,
            } => {
                let hop = Hop {
                    client,
                    port: self.port,
                    target_group_arn,
                    multi_value: *multi_value,
                };
                self.forward(request, function.clone(), &hop).await
            }
            Action::Fixed {
                status,
                content_type,
                body,
            } => {
                let mut response = Response::new(full(body.clone()));
                *response.status_mut() = StatusCode::from_u16(*status).map_err(|_| Closed)?;
                let content_type = content_type.as_ref().and_then(|kind| kind.parse().ok());
                if let Some(kind) = content_type {
                    response
                        .headers_mut()
                        .insert(http::header::CONTENT_TYPE, kind);
                }
                Ok(response)
            }
        }
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        function: String,
        hop: &Hop<'_>,
    ) -> Result<Response<Body>, Closed> {
        let (head, body) = request.into_parts();
        let Some(body) = read(&head.headers, body).await? else {
            return Ok(answer::bare(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let (payload, trace) = event::build(&head, &body, hop);
        let open_request = self.monitor.open_request();
        let lambda = Arc::clone(&self.lambda);
        // In a task of its own, so that the invocation continues if the client goes away.
        let invocation = tokio::spawn(async move {
            let _open_request = open_request;
            lambda.invoke(&function, payload, Some(trace)).await
        });
        match invocation.await {
            Ok(Ok(payload)) => Ok(answer::from_function(&payload, hop.multi_value)),
            // Only the local stack fails in this way: the machine is too busy to start a process or to handle the
            // waiting invocations.
            Ok(Err(InvokeError::StartTimedOut(_) | InvokeError::Throttled)) => {
                Ok(problem::unavailable())
            }
            // As on AWS, clients can't tell failures, crashes and timeouts apart.
            Ok(Err(_)) | Err(_) => Ok(answer::bare(StatusCode::BAD_GATEWAY)),
        }
    }
}

/// Reads a request's body. Returns `None` if the body is larger than functions may receive.
async fn read(headers: &HeaderMap, mut body: Incoming) -> Result<Option<Bytes>, Closed> {
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    // A client that waits for `100 Continue` is refused before it sends the body.
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
        // An oversized body is read to its end, since clients don't read the answer while they are still sending.
    }
    Ok((length <= MAX_REQUEST).then(|| read.freeze()))
}
