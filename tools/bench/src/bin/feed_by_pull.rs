//! `GET /v1/feed-by-pull`: the feed without fan-out, which the benchmark compares with.
//!
//! It asks every followed author's list for its newest posts, merges these, and reads the page's content from the store.
//! Everything around that is as in `GET /v1/feed`, whose route it takes: sign-in, limits, paging, logging.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use futures::{StreamExt, TryStreamExt};
use lambda_http::{RequestExt as _, service_fn};
use mimalloc::MiMalloc;
use purrline::cache::Cache;
use purrline::domain::{ImageHost, Page, PostId, PostView, Segment, UserId, present_posts};
use purrline::http::{self, Api, Caller, Paging, Problem, Settings};
use purrline::store::{self, PostList, Store};
use purrline::{aws, env, log};

/// The C library's allocator consolidates free memory at every larger allocation, of which an answer of the cache has many.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The route as the library knows it.
const ROUTE: &str = "/v1/feed";
/// Authors' lists read at a time, as in `purrline::feed`.
const LISTS_AT_ONCE: usize = 32;

struct App {
    store: Store,
    images: ImageHost,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let store = Store::from_env(&aws::config().await)?;
    let settings = Settings::from_env()?.limited_by(&Cache::from_env()?)?;
    let images = ImageHost::new(&env::required("MEDIA_BASE_URL")?);
    let router = Router::new()
        .route(ROUTE, get(feed))
        .with_state(Arc::new(App { store, images }));
    let api = Arc::new(Api::new(router, settings));
    lambda_http::run(service_fn(|request: lambda_http::Request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.answer(request.with_raw_http_path(ROUTE)).await) }
    }))
    .await
}

async fn feed(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let list = format!("feed/{me}");
    let (limit, after) = paging.open(&list, PostId::at_position)?;
    let posts = app.page(&me, after, limit.get()).await?;
    Ok(Json(Page::new(&list, posts, |post| post.0.to_bytes())))
}

impl App {
    async fn page(
        &self,
        caller: &UserId,
        after: Option<PostId>,
        size: usize,
    ) -> Result<Segment<PostView, PostId>, store::Error> {
        let mut authors = self.store.following(caller).await?;
        authors.push(caller.clone());
        // One more than is asked for tells whether there is a next page.
        let most = size.saturating_add(1);
        let lists: Vec<Vec<PostId>> = futures::stream::iter(authors)
            .map(|author| async move {
                let list = PostList::By(author);
                self.store.newest_posts(&list, after, most).await
            })
            .buffer_unordered(LISTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut ids = lists.concat();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let more = ids.len() > size;
        ids.truncate(size);
        let end = ids.last().copied().filter(|_| more);
        let (known, visibility) = self.store.hydrate(caller, &ids).await?;
        let visible = visibility.visible_posts(&ids, &known.posts);
        let items = present_posts(visible, &known, &self.images);
        Ok(Segment::new(items, end, |post| post.id))
    }
}
