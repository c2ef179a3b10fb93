//! `PUT` and `DELETE /v1/users/{id}/follow`: queued, 202. `follow-consumer` applies it.
//!
//! An `@handle` is resolved in the store before the follow is queued, so its owner at that moment is followed, whoever has
//! it later. An id needs no lookup.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use purrline::cache::Cache;
use purrline::domain::{FollowMessage, UserId, UserRef};
use purrline::http::routes::{FOLLOW_USER, UNFOLLOW_USER};
use purrline::http::{self, Path, Problem, ProblemType, Queued, Settings, Word};
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
        .merge(FOLLOW_USER.by(follow))
        .merge(UNFOLLOW_USER.by(unfollow))
        .with_state(Arc::new(app));
    let settings = Settings::from_env()?.ordered(&Cache::from_env()?)?;
    http::run(routes, settings).await
}

async fn follow(app: State<Arc<App>>, word: Word, user: Path<UserRef>) -> Queued {
    queue(app, word, user, true).await
}

async fn unfollow(app: State<Arc<App>>, word: Word, user: Path<UserRef>) -> Queued {
    queue(app, word, user, false).await
}

async fn queue(
    State(app): State<Arc<App>>,
    word: Word,
    user: Path<UserRef>,
    follow: bool,
) -> Queued {
    let user: UserId = user.user(&app.store).await?;
    if word.caller == user {
        return Err(Problem::unprocessable("Nobody follows themselves."));
    }
    if follow && word.follows_most {
        return Err(Problem::of_type(
            ProblemType::FollowingTooMany,
            "You follow as many users as one may: unfollow somebody first.",
        ));
    }
    let message = FollowMessage::new(word.caller, user, follow, word.stamp);
    http::queued(&app.follows, &message).await
}
