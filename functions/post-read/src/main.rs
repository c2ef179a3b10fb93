//! `GET /v1/posts/{id}` and `GET /v1/users/{id}/posts`, from the store alone.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use purrline::domain::{ImageHost, Page, Post, PostId, PostView, UserId, UserRef};
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
    user: Path<UserRef>,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let user = user.user(&app.store).await?;
    let list = format!("posts/{user}");
    let (limit, after) = paging.open(&list, PostId::at_position)?;
    let (posts, more) = app.page(&user, after, limit.get()).await?;
    let views = app.store.views(&me, posts, &app.images).await?;
    Ok(Json(Page::new(&list, views, more, |post| {
        post.id.0.to_bytes()
    })))
}

impl App {
    /// A full page while there are more, and whether there are.
    async fn page(
        &self,
        user: &UserId,
        after: Option<PostId>,
        size: usize,
    ) -> Result<(Vec<Post>, bool), store::Error> {
        let mut posts = Vec::new();
        let mut position = after;
        while posts.len() <= size {
            let wanted = size + 1 - posts.len();
            let ids = self.store.posts_by(user, position, wanted).await?;
            // One that was deleted since its place in the list was read is left out, and made up for.
            let mut found = self.store.posts(&ids).await?;
            posts.extend(ids.iter().filter_map(|id| found.remove(id)));
            position = ids.last().copied();
            if ids.len() < wanted {
                break;
            }
        }
        let more = posts.len() > size;
        posts.truncate(size);
        Ok((posts, more))
    }
}
