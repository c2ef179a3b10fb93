//! `DELETE /v1/me`: the caller leaves. `sweep` erases their data.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use purrline::cache::Cache;
use purrline::domain::Timestamp;
use purrline::http::routes::LEAVE;
use purrline::http::{self, Caller, Problem, Settings, SignInName, Status};
use purrline::store::Store;
use purrline::{aws, log};

struct App {
    store: Store,
    cache: Cache,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.limited_by(&cache)?;
    let app = App {
        store: Store::from_env(&aws::config().await)?,
        cache,
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
    // From now on no cached feed shows the caller, whatever becomes of this request.
    let hold = app.cache.hide_author(&me).await?;
    app.store
        .withdraw(&me, name.as_deref(), Timestamp::now())
        .await?;
    app.cache.release(&hold).await?;
    Ok((StatusCode::ACCEPTED, Status::Withdrawn))
}
