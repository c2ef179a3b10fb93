//! `PUT` and `DELETE /v1/posts/{id}/like`: queued, 202. `like-consumer` applies it; whether there is
//! such a post turns out there.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::put;
use axum::{Json, Router};
use purrline::domain::{LikeMessage, PostId};
use purrline::http::{self, Caller, Path, Problem, Settings};
use purrline::queue::Queue;
use purrline::{aws, log};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let likes = Queue::from_env(&aws::config().await, "LIKES_QUEUE_URL")?;
    let routes = Router::new()
        .route("/v1/posts/{id}/like", put(like).delete(unlike))
        .with_state(likes);
    http::run(routes, Settings::from_env()?).await
}

type Queued = Result<(StatusCode, Json<Value>), Problem>;

async fn like(
    State(likes): State<Queue>,
    Caller(user): Caller,
    Path(post): Path<PostId>,
) -> Queued {
    queue(&likes, LikeMessage::new(user, post, true)).await
}

async fn unlike(
    State(likes): State<Queue>,
    Caller(user): Caller,
    Path(post): Path<PostId>,
) -> Queued {
    queue(&likes, LikeMessage::new(user, post, false)).await
}

async fn queue(likes: &Queue, message: LikeMessage) -> Queued {
    likes.send(&message).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "queued" }))))
}
