//! The body of a request, before anybody looks into it.

use axum::body::Bytes;

/// The request's body, shared by all extractors that need it.
#[derive(Debug, Clone)]
pub(super) struct RawBody(pub(super) Bytes);
