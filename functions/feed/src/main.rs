//! `GET /v1/feed`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Json, Router};
use mimalloc::MiMalloc;
use purrline::cache::Cache;
use purrline::domain::{ImageHost, Page, PostId, RenderedPost};
use purrline::feed::Feeds;
use purrline::http::routes::GET_FEED;
use purrline::http::{self, Caller, Paging, Problem, Settings};
use purrline::store::Store;
use purrline::{aws, env, log};

/// The C library's allocator consolidates free memory at every larger allocation, and an answer of the cache needs many
/// of them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let store = Store::from_env(&aws::config().await)?;
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.limited_by(&cache)?;
    let images = ImageHost::new(&env::required("MEDIA_BASE_URL")?);
    let feeds = Feeds::new(store, cache, images);
    let router = Router::new()
        .merge(GET_FEED.handled_by(feed))
        .with_state(Arc::new(feeds));
    http::run(router, settings).await
}

async fn feed(
    State(feeds): State<Arc<Feeds>>,
    Caller(me): Caller,
    paging: Paging,
) -> Result<Json<Page<RenderedPost>>, Problem> {
    let list = format!("feed/{me}");
    let (limit, after) = paging.open(&list, PostId::at_position)?;
    let posts = feeds.page(&me, after, limit.get()).await?;
    Ok(Json(Page::new(&list, posts, |post| post.0.to_bytes())))
}
