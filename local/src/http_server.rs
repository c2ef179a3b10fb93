//! The one way in which every part of the stack listens for HTTP/1.1.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::error::{Error, Result};

/// Any error a body may end with.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An answer's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
pub(crate) struct Closed;

/// A body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// An answer of this status, content type and body.
pub(crate) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    response
}

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    answer(status, "application/json", value.to_string())
}

/// Listens for this machine only, on a free port.
pub(crate) async fn bind_free() -> Result<(TcpListener, SocketAddr)> {
    bind("127.0.0.1", 0).await
}

/// Listens on the given address, or the one that a name has, and the given port or, for 0, a free one.
pub(crate) async fn bind(host: &str, port: u16) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((host, port))
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Error::PortTaken { port },
            _ => Error::io(format!(
                "can't listen on {host}, port {port} (--host takes an address of this machine, or 0.0.0.0 for all)"
            ))(error),
        })?;
    let address = listener
        .local_addr()
        .map_err(Error::io("can't read the own address"))?;
    Ok((listener, address))
}

/// Answers every request with `handler` until the runtime ends. While `open` says no, connections
/// are closed as soon as they are made.
pub(crate) async fn serve<H, F>(listener: TcpListener, open: impl Fn() -> bool, handler: H)
where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, Closed>> + Send + 'static,
{
    let handler = Arc::new(handler);
    loop {
        // An error here is the client's (gone again) or lack of descriptors: neither is for ever.
        let Ok((socket, peer)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        if !open() {
            continue;
        }
        // A lost delay only costs time.
        let _ = socket.set_nodelay(true);
        let handler = Arc::clone(&handler);
        let service = service_fn(move |request| handler(request, peer));
        tokio::spawn(async move {
            // Whoever closes a connection early is told nothing.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .preserve_header_case(false)
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}
