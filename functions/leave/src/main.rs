//! `DELETE /v1/me`: the caller leaves. `photo` removes their pictures at once, and `sweep` erases all their data.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use purrline::cache::Cache;
use purrline::domain::{PhotoMessage, PhotoTask, REVIEW_SECONDS, Timestamp};
use purrline::http::routes::LEAVE;
use purrline::http::{self, Caller, Problem, Settings, SignInName, Status};
use purrline::queue::Queue;
use purrline::store::Store;
use purrline::{aws, env, log};

struct App {
    store: Store,
    cache: Cache,
    photo_tasks: Queue,
    review_after: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.limited_by(&cache)?;
    let config = aws::config().await;
    let app = App {
        store: Store::from_env(&config)?,
        cache,
        photo_tasks: Queue::from_env(&config, "PHOTOS_QUEUE_URL")?,
        review_after: env::seconds("PICTURE_REVIEW_SECONDS", REVIEW_SECONDS)?,
    };
    let router = Router::new()
        .merge(LEAVE.handled_by(leave))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn leave(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    SignInName(name): SignInName,
) -> Result<impl IntoResponse, Problem> {
    // Before the withdrawal, so that the pictures are removed even if this function dies after it.
    let erase = PhotoMessage::new(PhotoTask::Erase {
        user: me.clone(),
        after: None,
    });
    app.photo_tasks.send_later(&erase, app.review_after).await?;
    // From now on no cached feed shows the caller, whatever becomes of this request.
    let hold = app.cache.hide_author(&me).await?;
    app.store
        .withdraw(&me, name.as_deref(), Timestamp::now())
        .await?;
    app.cache.release(&hold).await?;
    Ok((StatusCode::ACCEPTED, Status::Withdrawn))
}
