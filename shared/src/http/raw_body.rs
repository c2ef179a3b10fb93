//! The body of a request, before it is parsed.

use axum::body::Bytes;

/// The request's body, shared by all extractors that need it.
#[derive(Debug, Clone)]
pub(super) struct RawBody(pub(super) Bytes);
