//! Answers that tell no more than how things stand.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// How things stand, in JSON: `{"status": "ok"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// This answers.
    Ok,
    /// The queue has it; it takes effect within seconds.
    Queued,
    /// The account is gone for everybody, and is erased in the background.
    Withdrawn,
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}
