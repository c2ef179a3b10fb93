//! `PUT` and `DELETE /v1/posts/{id}/like`: queued, 202. `like-consumer` applies it, and finds out whether the post exists.

use axum::Router;
use axum::extract::State;
use purrline::cache::Cache;
use purrline::domain::{LikeMessage, PostId};
use purrline::http::routes::{LIKE_POST, UNLIKE_POST};
use purrline::http::{self, Path, Queued, Settings, Word};
use purrline::queue::Queue;
use purrline::{aws, log};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let likes = Queue::from_env(&aws::config().await, "LIKES_QUEUE_URL")?;
    let routes = Router::new()
        .merge(LIKE_POST.by(like))
        .merge(UNLIKE_POST.by(unlike))
        .with_state(likes);
    let settings = Settings::from_env()?.ordered(&Cache::from_env()?)?;
    http::run(routes, settings).await
}

async fn like(State(likes): State<Queue>, word: Word, Path(post): Path<PostId>) -> Queued {
    queue(&likes, word, post, true).await
}

async fn unlike(State(likes): State<Queue>, word: Word, Path(post): Path<PostId>) -> Queued {
    queue(&likes, word, post, false).await
}

async fn queue(likes: &Queue, word: Word, post: PostId, like: bool) -> Queued {
    let message = LikeMessage::new(word.caller, post, like, word.stamp);
    http::queued(likes, &message).await
}
