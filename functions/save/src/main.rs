//! `PUT` and `DELETE /v1/posts/{id}/save`, and `GET /v1/me/saved`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{ImageHost, Page, PostId, PostView, Since, Stretch};
use purrline::full_page::full_page;
use purrline::http::routes::{LIST_SAVED, SAVE_POST, UNSAVE_POST};
use purrline::http::{self, Caller, Paging, Path, Problem, Settings, Word};
use purrline::store::{self, Store};
use purrline::{aws, env, log};

struct App {
    store: Store,
    cache: Cache,
    images: ImageHost,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.ordered(&cache)?;
    let app = App {
        store: Store::from_env(&aws::config().await)?,
        cache,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
    };
    let router = Router::new()
        .merge(SAVE_POST.by(save))
        .merge(UNSAVE_POST.by(unsave))
        .merge(LIST_SAVED.by(saved))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn save(
    State(app): State<Arc<App>>,
    Word {
        caller: me, stamp, ..
    }: Word,
    Path(post): Path<PostId>,
) -> Result<StatusCode, Problem> {
    http::not_withdrawn(&app.store, &me).await?;
    let seen = app.store.seen_post(&me, post).await?;
    seen.ok_or_else(Path::<PostId>::not_found)?;
    app.store.save(&me, post, stamp).await?;
    // Feeds show whether a post is saved. If the cache can't be told, the same request tells it.
    app.cache.forget_save(&me, post).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unsave(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(post): Path<PostId>,
) -> Result<StatusCode, Problem> {
    app.store.unsave(&me, post).await?;
    app.cache.forget_save(&me, post).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Without those that were deleted since, and those of somebody whom the caller doesn't see any more.
async fn saved(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let list = format!("saved/{me}");
    let (limit, after) = paging.open(&list, Since::from_bytes)?;
    let (app, me) = (&*app, &me);
    let posts = full_page(limit.get(), after, |after, most| async move {
        let entries = app.store.saved(me, after, most).await?;
        let ids: Vec<PostId> = entries.iter().map(|post| post.entry).collect();
        let views = app.store.seen(me, &ids, &app.images).await?;
        let end = entries.last().cloned().filter(|_| entries.len() == most);
        let mut views: HashMap<PostId, PostView> =
            views.into_iter().map(|view| (view.id, view)).collect();
        let item = |at: Since<PostId>| Some((views.remove(&at.entry)?, at));
        let items = entries.into_iter().filter_map(item).collect();
        Ok::<_, store::Error>(Stretch { items, end })
    })
    .await?;
    Ok(Json(Page::new(&list, posts, Since::to_bytes)))
}
