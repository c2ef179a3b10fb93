//! `PUT` and `DELETE /v1/users/{id}/follow`: queued, 202. `follow-consumer` applies it.
//!
//! By id only: whose an `@handle` is, the store knows, and this asks none. Such a path is 404.

use axum::Router;
use axum::extract::State;
use axum::routing::put;
use purrline::cache::Cache;
use purrline::domain::{FollowMessage, UserId};
use purrline::http::{self, Path, Problem, Queued, Settings, Word};
use purrline::queue::Queue;
use purrline::{aws, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let follows = Queue::from_env(&aws::config().await, "FOLLOWS_QUEUE_URL")?;
    let routes = Router::new()
        .route("/v1/users/{id}/follow", put(follow).delete(unfollow))
        .with_state(follows);
    let settings = Settings::from_env()?.ordered(&Cache::from_env()?)?;
    http::run(routes, settings).await
}

async fn follow(State(follows): State<Queue>, word: Word, Path(user): Path<UserId>) -> Queued {
    queue(&follows, word, user, true).await
}

async fn unfollow(State(follows): State<Queue>, word: Word, Path(user): Path<UserId>) -> Queued {
    queue(&follows, word, user, false).await
}

async fn queue(follows: &Queue, word: Word, user: UserId, follow: bool) -> Queued {
    if word.caller == user {
        return Err(Problem::unprocessable("Nobody follows themselves."));
    }
    if follow && word.follows_most {
        return Err(Problem::conflict(
            "You follow as many users as one may: unfollow somebody first.",
        ));
    }
    let message = FollowMessage::new(word.caller, user, follow, word.stamp);
    http::queued(follows, &message).await
}
