//! `PUT` and `DELETE /v1/posts/{id}/save`, and `GET /v1/me/saved`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    ImageHost, Invalidation, Like, Page, PostId, PostView, Segment, TimedPosition, UserId,
    present_posts,
};
use purrline::full_page::full_page;
use purrline::http::routes::{LIST_SAVED, SAVE_POST, UNSAVE_POST};
use purrline::http::{self, Caller, Paging, Path, Problem, Settings, StampedCaller};
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
        .merge(SAVE_POST.handled_by(save))
        .merge(UNSAVE_POST.handled_by(unsave))
        .merge(LIST_SAVED.handled_by(saved))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn save(
    State(app): State<Arc<App>>,
    StampedCaller {
        caller: me, stamp, ..
    }: StampedCaller,
    Path(post): Path<PostId>,
) -> Result<StatusCode, Problem> {
    http::not_withdrawn(&app.store, &me).await?;
    let visible = app.store.visible_post(&me, post).await?;
    visible.ok_or_else(Path::<PostId>::not_found)?;
    app.store.save(&me, post, stamp).await?;
    app.invalidate_save(me, post).await
}

async fn unsave(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(post): Path<PostId>,
) -> Result<StatusCode, Problem> {
    app.store.unsave(&me, post).await?;
    app.invalidate_save(me, post).await
}

impl App {
    /// Makes the cache forget whether the user saved the post, which feeds show. If the cache is unreachable, leaves
    /// that to `sweep`.
    async fn invalidate_save(&self, user: UserId, post: PostId) -> Result<StatusCode, Problem> {
        if let Err(error) = self.cache.forget_save(&user, post).await {
            tracing::warn!(%error, "a save's invalidation is deferred");
            // The cache keeps likes and saves in one field.
            let same_field = HashSet::from([Like { user, post }]);
            let invalidation = Invalidation::Likes(same_field);
            self.store.defer_invalidation(&invalidation).await?;
        }
        Ok(StatusCode::NO_CONTENT)
    }
}

/// Lists saved posts, without deleted ones and those of authors whom the caller no longer sees.
async fn saved(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let list = format!("saved/{me}");
    let (limit, after) = paging.open(&list, TimedPosition::from_bytes)?;
    let (app, me) = (&*app, &me);
    let posts = full_page(limit.get(), after, |after, most| async move {
        let entries = app.store.saved(me, after, most).await?;
        let ids: Vec<PostId> = entries.iter().map(|post| post.entry).collect();
        let (known, visibility) = app.store.hydrate(me, &ids).await?;
        let visible = visibility.visible_posts(&ids, &known.posts);
        let views = present_posts(visible, &known, &app.images);
        let end = entries.last().cloned().filter(|_| entries.len() == most);
        let mut views: HashMap<PostId, PostView> =
            views.into_iter().map(|view| (view.id, view)).collect();
        let item = |at: TimedPosition<PostId>| Some((views.remove(&at.entry)?, at));
        let items = entries.into_iter().filter_map(item).collect();
        Ok::<_, store::Error>(Segment { items, end })
    })
    .await?;
    Ok(Json(Page::new(&list, posts, TimedPosition::to_bytes)))
}
