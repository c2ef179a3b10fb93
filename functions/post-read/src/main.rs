//! `GET /v1/posts/{id}` and `GET /v1/users/{id}/posts`, from the store alone.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use purrline::domain::{ImageHost, Page, PostId, PostView, UserId, UserRef};
use purrline::full_page::{Stretch, full_page};
use purrline::http::{self, Caller, Paging, Path, Problem, Settings};
use purrline::store::{self, Store};
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
    let view = app.store.seen(&me, &[id], &app.images).await?.pop();
    view.map(Json).ok_or_else(Path::<PostId>::not_found)
}

async fn by_user(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    user: Path<UserRef>,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let user = user.user(&app.store).await?;
    let list = format!("posts/{user}");
    let (limit, after) = paging.open(&list, PostId::at_position)?;
    let shown = app.store.shown(&me, std::slice::from_ref(&user)).await?;
    if !shown.sees(&user) {
        return Err(Path::<UserId>::not_found());
    }
    let (app, me, user) = (&*app, &me, &user);
    let (views, more) = full_page(limit.get(), after, |after, most| async move {
        let ids = app.store.posts_by(user, after, most).await?;
        Ok::<_, store::Error>(Stretch {
            items: app.store.seen(me, &ids, &app.images).await?,
            end: ids.last().copied().filter(|_| ids.len() == most),
        })
    })
    .await?;
    Ok(Json(Page::new(&list, views, more, |post| {
        post.id.0.to_bytes()
    })))
}
