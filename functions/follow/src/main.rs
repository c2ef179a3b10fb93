//! `PUT` and `DELETE /v1/users/{id}/follow`: queued, 202. `follow-consumer` applies it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::put;
use axum::{Json, Router};
use purrline::domain::{FollowMessage, UserId};
use purrline::http::{self, Caller, Path, Problem, Settings};
use purrline::queue::Queue;
use purrline::{aws, log};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let follows = Queue::from_env(&aws::config().await, "FOLLOWS_QUEUE_URL")?;
    let routes = Router::new()
        .route("/v1/users/{id}/follow", put(follow).delete(unfollow))
        .with_state(follows);
    http::run(routes, Settings::from_env()?).await
}

type Queued = Result<(StatusCode, Json<Value>), Problem>;

async fn follow(
    State(follows): State<Queue>,
    Caller(caller): Caller,
    Path(user): Path<UserId>,
) -> Queued {
    queue(&follows, FollowMessage::new(caller, user, true)).await
}

async fn unfollow(
    State(follows): State<Queue>,
    Caller(caller): Caller,
    Path(user): Path<UserId>,
) -> Queued {
    queue(&follows, FollowMessage::new(caller, user, false)).await
}

async fn queue(follows: &Queue, message: FollowMessage) -> Queued {
    if message.follower == message.followee {
        return Err(Problem::unprocessable("Nobody follows themselves."));
    }
    follows.send(&message).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "queued" }))))
}
