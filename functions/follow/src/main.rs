//! `PUT` and `DELETE /v1/users/{id}/follow`: queued, 202. `follow-consumer` applies it.
//!
//! An `@handle` is resolved in the store before the follow is queued, so its owner at that moment is followed, whoever has
//! it later. The handle of a user whom the caller may not know of is 404, as if nobody had it. An id needs no lookup.
//!
//! A caller who follows as many users as allowed is told so here, if the cache knows. The cache may be outdated, since
//! blocks and erasures end follows too, so the store is asked before a follow is refused.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use purrline::cache::Cache;
use purrline::domain::{FollowMessage, UserId, UserRef};
use purrline::http::routes::{FOLLOW_USER, UNFOLLOW_USER};
use purrline::http::{self, Path, Problem, ProblemType, Queued, Settings, StampedCaller};
use purrline::queue::Queue;
use purrline::store::Store;
use purrline::{aws, log};

struct App {
    store: Store,
    cache: Cache,
    follows: Queue,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let config = aws::config().await;
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.ordered(&cache)?;
    let app = App {
        store: Store::from_env(&config)?,
        cache,
        follows: Queue::from_env(&config, "FOLLOWS_QUEUE_URL")?,
    };
    let routes = Router::new()
        .merge(FOLLOW_USER.handled_by(follow))
        .merge(UNFOLLOW_USER.handled_by(unfollow))
        .with_state(Arc::new(app));
    http::run(routes, settings).await
}

async fn follow(app: State<Arc<App>>, stamped: StampedCaller, user: Path<UserRef>) -> Queued {
    queue(app, stamped, user, true).await
}

async fn unfollow(app: State<Arc<App>>, stamped: StampedCaller, user: Path<UserRef>) -> Queued {
    queue(app, stamped, user, false).await
}

impl App {
    /// Lets the caller follow another user before this unfollow is applied. The consumer then decides whether there is
    /// room.
    async fn make_room(&self, caller: &UserId) {
        if let Err(error) = self.cache.note_follow_limits([], [caller]).await {
            tracing::warn!(%error, "the cache learns later who may follow others again");
        }
    }
}

async fn queue(
    State(app): State<Arc<App>>,
    stamped: StampedCaller,
    user: Path<UserRef>,
    follow: bool,
) -> Queued {
    let user: UserId = user.visible_user(&stamped.caller, &app.store).await?;
    if stamped.caller == user {
        return Err(Problem::unprocessable("Nobody follows themselves."));
    }
    if follow && stamped.at_follow_limit && !app.store.may_follow(&stamped.caller, &user).await? {
        return Err(Problem::of_type(
            ProblemType::FollowingTooMany,
            "You already follow the maximum number of users: unfollow somebody first.",
        ));
    }
    if !follow && stamped.at_follow_limit {
        app.make_room(&stamped.caller).await;
    }
    let message = FollowMessage::new(stamped.caller, user, follow, stamped.stamp);
    http::queued(&app.follows, &message).await
}
