//! Answers that report only a status.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A status in JSON: `{"status": "ok"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// The function answers.
    Ok,
    /// The queue has the request, which takes effect within seconds.
    Queued,
    /// The account is gone for everybody, and is erased in the background.
    Withdrawn,
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}
