//! `PUT` and `DELETE /v1/posts/{id}/like`: queued, 202. `like-consumer` applies it, and finds out whether the post exists.

use axum::Router;
use axum::extract::State;
use purrline::cache::Cache;
use purrline::domain::{LikeMessage, PostId};
use purrline::http::routes::{LIKE_POST, UNLIKE_POST};
use purrline::http::{self, Path, Queued, Settings, StampedCaller};
use purrline::queue::Queue;
use purrline::{aws, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let likes = Queue::from_env(&aws::config().await, "LIKES_QUEUE_URL")?;
    let routes = Router::new()
        .merge(LIKE_POST.handled_by(like))
        .merge(UNLIKE_POST.handled_by(unlike))
        .with_state(likes);
    let settings = Settings::from_env()?.ordered(&Cache::from_env()?)?;
    http::run(routes, settings).await
}

async fn like(
    State(likes): State<Queue>,
    stamped: StampedCaller,
    Path(post): Path<PostId>,
) -> Queued {
    queue(&likes, stamped, post, true).await
}

async fn unlike(
    State(likes): State<Queue>,
    stamped: StampedCaller,
    Path(post): Path<PostId>,
) -> Queued {
    queue(&likes, stamped, post, false).await
}

async fn queue(likes: &Queue, stamped: StampedCaller, post: PostId, like: bool) -> Queued {
    let message = LikeMessage::new(stamped.caller, post, like, stamped.stamp);
    http::queued(likes, &message).await
}
