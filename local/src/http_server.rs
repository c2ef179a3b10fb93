//! The HTTP/1.1 server that every part of the stack uses.

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

/// The time for which an idle connection is kept, which is a load balancer's default.
const IDLE: std::time::Duration = std::time::Duration::from_mins(1);

/// An error with which a body may end.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// An error that closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
pub(crate) struct Closed;

/// Creates a body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// Creates an answer with this status, content type and body.
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

/// Creates an answer with a JSON body.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    answer(status, "application/json", value.to_string())
}

/// A listener with the address that it is bound to.
#[derive(Debug)]
pub(crate) struct BoundListener {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Binds a listener to a free port, reachable from this machine only.
pub(crate) async fn bind_free() -> Result<BoundListener> {
    bind("127.0.0.1", 0).await
}

/// Binds a listener to a host, which is an address or a name, and a port. Port 0 stands for a free one.
pub(crate) async fn bind(host: &str, port: u16) -> Result<BoundListener> {
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
        .map_err(Error::io("can't read the listener's address"))?;
    Ok(BoundListener { listener, address })
}

/// Answers every request with `handler` until the runtime ends. While `is_open` returns false, new connections are
/// closed at once.
pub(crate) async fn serve<H, F>(listener: TcpListener, is_open: impl Fn() -> bool, handler: H)
where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, Closed>> + Send + 'static,
{
    let handler = Arc::new(handler);
    loop {
        // Either the client is already gone or file descriptors are short; both are temporary.
        let Ok((socket, peer)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        if !is_open() {
            continue;
        }
        // A failure only costs latency.
        let _ = socket.set_nodelay(true);
        let handler = Arc::clone(&handler);
        let service = service_fn(move |request| handler(request, peer));
        tokio::spawn(async move {
            // A client that closes the connection early needs no answer.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE)
                .preserve_header_case(false)
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}
