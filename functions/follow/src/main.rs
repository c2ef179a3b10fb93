//! `PUT` and `DELETE /v1/users/{id}/follow`: queued, 202. `follow-consumer` applies it.
//!
//! Whose an `@handle` is, the store is asked before the follow is queued: who has it then is followed, whoever has
//! it later. By id, nothing is asked.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::put;
use purrline::cache::Cache;
use purrline::domain::{FollowMessage, UserId, UserRef};
use purrline::http::{self, Caller, Path, Problem, Queued, Settings};
use purrline::queue::Queue;
use purrline::store::Store;
use purrline::{aws, log};

struct App {
    store: Store,
    follows: Queue,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let config = aws::config().await;
    let app = App {
        store: Store::from_env(&config)?,
        follows: Queue::from_env(&config, "FOLLOWS_QUEUE_URL")?,
    };
    let routes = Router::new()
        .route("/v1/users/{id}/follow", put(follow).delete(unfollow))
        .with_state(Arc::new(app));
    let settings = Settings::from_env()?.limited_by(&Cache::from_env()?)?;
    http::run(routes, settings).await
}

async fn follow(app: State<Arc<App>>, caller: Caller, user: Path<UserRef>) -> Queued {
    queue(app, caller, user, true).await
}

async fn unfollow(app: State<Arc<App>>, caller: Caller, user: Path<UserRef>) -> Queued {
    queue(app, caller, user, false).await
}

async fn queue(
    State(app): State<Arc<App>>,
    Caller(caller): Caller,
    user: Path<UserRef>,
    active: bool,
) -> Queued {
    let user: UserId = user.user(&app.store).await?;
    let message = FollowMessage::new(caller, user, active);
    if message.follower == message.followee {
        return Err(Problem::unprocessable("Nobody follows themselves."));
    }
    http::queued(&app.follows, &message).await
}
