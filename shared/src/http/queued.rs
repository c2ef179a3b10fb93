//! The answer to what is queued.

use axum::http::StatusCode;
use serde::Serialize;

use super::{Problem, Status};
use crate::queue::Queue;

/// 202 `{"status": "queued"}`, or why not.
pub type Queued = Result<(StatusCode, Status), Problem>;

/// 202 as soon as the queue has the message; 503 if it does not take it.
pub async fn queued(queue: &Queue, message: &impl Serialize) -> Queued {
    queue.send(message).await?;
    Ok((StatusCode::ACCEPTED, Status::Queued))
}
