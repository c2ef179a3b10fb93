//! `GET /v1/posts/{id}`, the lists of posts by user, by cat and by tag, and the trending tags, from the store alone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    CatId, ImageHost, Limit, Page, PostId, PostView, Segment, Tag, TagView, Trend, UserId, UserRef,
    may_see_trend, present_posts,
};
use purrline::full_page::full_page;
use purrline::http::routes::{
    GET_POST, LIST_POSTS_BY_CAT, LIST_POSTS_BY_TAG, LIST_POSTS_BY_USER, LIST_TRENDING_TAGS,
};
use purrline::http::{self, Caller, Paging, Path, Problem, Query, Settings};
use purrline::store::{self, PostList, Store};
use purrline::{aws, env, log};
use tokio::sync::Mutex;

struct App {
    store: Store,
    images: ImageHost,
    /// The time for which the same trends are answered.
    trends_max_age: Duration,
    /// The trends, and when the store computed them.
    trends: Mutex<Option<(Instant, Vec<Trend>)>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let app = App {
        store: Store::from_env(&aws::config().await)?,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
        trends_max_age: Duration::from_secs(env::seconds("TRENDING_SECONDS", 10)?.unsigned_abs()),
        trends: Mutex::default(),
    };
    let router = Router::new()
        .merge(GET_POST.handled_by(by_id))
        .merge(LIST_POSTS_BY_CAT.handled_by(by_cat))
        .merge(LIST_POSTS_BY_TAG.handled_by(by_tag))
        .merge(LIST_TRENDING_TAGS.handled_by(trending))
        .merge(LIST_POSTS_BY_USER.handled_by(by_user))
        .with_state(Arc::new(app));
    let settings = Settings::from_env()?.limited_by(&Cache::from_env()?)?;
    http::run(router, settings).await
}

async fn by_id(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(id): Path<PostId>,
) -> Result<Json<PostView>, Problem> {
    let post = app.store.post(id).await?;
    let post = post.ok_or_else(Path::<PostId>::not_found)?;
    let (known, visibility) = app.store.hydrate_one(&me, post).await?;
    let visible = visibility.visible_posts(std::slice::from_ref(&id), &known.posts);
    let view = present_posts(visible, &known, &app.images).pop();
    view.map(Json).ok_or_else(Path::<PostId>::not_found)
}

async fn by_user(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    user: Path<UserRef>,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let user = user.user(&app.store).await?;
    let users = std::slice::from_ref(&user);
    if !app.store.visibility(&me, users).await?.finds(&user) {
        return Err(Path::<UserId>::not_found());
    }
    let name = format!("posts/{user}");
    let place = paging.open(&name, PostId::at_position)?;
    app.list(&me, &name, &PostList::By(user), place).await
}

async fn by_cat(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(cat): Path<CatId>,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let name = format!("cat/{cat}");
    let place = paging.open(&name, PostId::at_position)?;
    let visible = app.store.visible_cat(&me, cat).await?;
    visible.ok_or_else(Path::<CatId>::not_found)?;
    app.list(&me, &name, &PostList::Of(cat), place).await
}

async fn by_tag(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(tag): Path<Tag>,
    paging: Paging,
) -> Result<Json<Page<PostView>>, Problem> {
    let name = format!("tag/{tag}");
    let place = paging.open(&name, PostId::at_position)?;
    app.list(&me, &name, &PostList::Tagged(tag), place).await
}

/// Lists the trending tags, always on one page: trends change faster than readers turn pages.
async fn trending(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Query(mut query): Query,
) -> Result<Json<Page<TagView>>, Problem> {
    let limit = query.optional("limit", Limit::parse);
    let (limit,) = query.finish((limit,))?;
    let trends = app.trending().await?;
    let hidden = if trends.iter().any(|trend| !trend.few.is_empty()) {
        app.store.hidden_authors(&me).await?
    } else {
        HashSet::new()
    };
    let visible = trends
        .into_iter()
        .filter(|trend| may_see_trend(trend, |author| hidden.contains(author)));
    let tags = visible
        .take(limit.unwrap_or_default().get())
        .map(Trend::view);
    Ok(Json(Page::whole(&tags.collect::<Vec<_>>())))
}

impl App {
    /// Returns the trends that this process read recently, or reads them from the store, so that few requests need the
    /// store.
    async fn trending(&self) -> Result<Vec<Trend>, store::Error> {
        let mut cached = self.trends.lock().await;
        let fresh = |(at, _): &&(Instant, Vec<Trend>)| at.elapsed() < self.trends_max_age;
        if let Some((_, tags)) = cached.as_ref().filter(fresh) {
            return Ok(tags.clone());
        }
        let tags = self.store.trending(self.trends_max_age).await?;
        *cached = Some((Instant::now(), tags.clone()));
        Ok(tags)
    }

    /// Returns those of the posts that exist and that the viewer may see, in the given order.
    async fn views(&self, viewer: &UserId, ids: &[PostId]) -> Result<Vec<PostView>, store::Error> {
        let (known, visibility) = self.store.hydrate(viewer, ids).await?;
        let visible = visibility.visible_posts(ids, &known.posts);
        Ok(present_posts(visible, &known, &self.images))
    }

    /// Returns a page of a list, from a position on.
    async fn list(
        &self,
        caller: &UserId,
        name: &str,
        list: &PostList,
        (limit, after): (Limit, Option<PostId>),
    ) -> Result<Json<Page<PostView>>, Problem> {
        let views = full_page(limit.get(), after, |after, most| async move {
            let ids = self.store.newest_posts(list, after, most).await?;
            let end = ids.last().copied().filter(|_| ids.len() == most);
            let views = self.views(caller, &ids).await?;
            Ok::<_, store::Error>(Segment::new(views, end, |view| view.id))
        })
        .await?;
        Ok(Json(Page::new(name, views, |post| post.0.to_bytes())))
    }
}
