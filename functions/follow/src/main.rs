//! `PUT` and `DELETE /v1/users/{id}/follow`: queued, 202. `follow-consumer` applies it.
//!
//! By id only: whose an `@handle` is, the store knows, and this asks none. Such a path is 404.

use axum::Router;
use axum::extract::State;
use axum::routing::put;
use purrline::cache::Cache;
use purrline::domain::{FollowMessage, UserId};
use purrline::http::{self, Caller, Path, Problem, Queued, Settings};
use purrline::queue::Queue;
use purrline::{aws, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let follows = Queue::from_env(&aws::config().await, "FOLLOWS_QUEUE_URL")?;
    let routes = Router::new()
        .route("/v1/users/{id}/follow", put(follow).delete(unfollow))
        .with_state(follows);
    let settings = Settings::from_env()?.limited_by(&Cache::from_env()?)?;
    http::run(routes, settings).await
}

async fn follow(
    State(follows): State<Queue>,
    Caller(caller): Caller,
    Path(user): Path<UserId>,
) -> Queued {
    queue(&follows, &FollowMessage::new(caller, user, true)).await
}

async fn unfollow(
    State(follows): State<Queue>,
    Caller(caller): Caller,
    Path(user): Path<UserId>,
) -> Queued {
    queue(&follows, &FollowMessage::new(caller, user, false)).await
}

async fn queue(follows: &Queue, message: &FollowMessage) -> Queued {
    if message.follower == message.followee {
        return Err(Problem::unprocessable("Nobody follows themselves."));
    }
    http::queued(follows, message).await
}
