//! `GET /v1/posts/{id}` and `GET /v1/users/{id}/posts`, from the store alone.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use purrline::domain::{ImageHost, Page, PostId, PostView, UserId};
use purrline::http::{self, Caller, Paging, Path, Problem, Settings};
use purrline::store::{Store, full_page};
use purrline::{aws, env, log};

struct App {
    store: Store,
    images: ImageHost,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let app = App {
        store: Store::from_env(&aws::config().await)?,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
    };
    let router = Router::new()
        .route("/v1/posts/{id}", get(by_id))
        .route("/v1/users/{id}/posts", get(by_user))
        .with_state(Arc::new(app));
    http::run(router, Settings::from_env()?).await
}

async fn by_id(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(id): Path<PostId>,
) -> Result<Json<PostView>, Problem> {
    let post = app
        .store
        .post(id)
        .await?
        .ok_or_else(Path::<PostId>::not_found)?;
    let view = app.store.views(&me, vec![post], &app.images).await?.pop();
    view.map(Json).ok_or_else(Path::<PostId>::not_found)
}

async fn by_user(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(user): Path<UserId>,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let list = format!("posts/{user}");
    let (limit, after) = paging.open(&list, PostId::at_position)?;
    let (store, user) = (&app.store, &user);
    let ids = |before, most| store.posts_by(user, before, most);
    let find = |ids: Vec<PostId>| async move {
        let mut found = store.posts(&ids).await?;
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    };
    let (posts, more) = full_page(limit.get(), after, ids, find).await?;
    let views = app.store.views(&me, posts, &app.images).await?;
    Ok(Json(Page::new(&list, views, more, |post| {
        post.id.0.to_bytes()
    })))
}
