//! The answer to a request that is queued.

use axum::http::StatusCode;
use serde::Serialize;

use super::{Problem, Status};
use crate::queue::Queue;

/// The answer 202 `{"status": "queued"}`, or a problem.
pub type Queued = Result<(StatusCode, Status), Problem>;

/// Answers 202 as soon as the queue has the message, or 503 if the queue does not take it.
pub async fn queued(queue: &Queue, message: &impl Serialize) -> Queued {
    queue.send(message).await?;
    Ok((StatusCode::ACCEPTED, Status::Queued))
}
