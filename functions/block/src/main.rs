//! `PUT` and `DELETE /v1/users/{id}/block`, and `GET /v1/me/blocked`.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{BlockedView, Page, Profile, Since, Stretch, UserId, UserRef};
use purrline::full_page::full_page;
use purrline::http::routes::{BLOCK_USER, LIST_BLOCKED, UNBLOCK_USER};
use purrline::http::{self, Caller, Paging, Path, Problem, Settings, Word};
use purrline::store::{self, Store};
use purrline::{aws, log};

struct App {
    store: Store,
    cache: Cache,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.ordered(&cache)?;
    let app = App {
        store: Store::from_env(&aws::config().await)?,
        cache,
    };
    let router = Router::new()
        .merge(BLOCK_USER.by(block))
        .merge(UNBLOCK_USER.by(unblock))
        .merge(LIST_BLOCKED.by(blocked))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn block(
    State(app): State<Arc<App>>,
    Word {
        caller: me, stamp, ..
    }: Word,
    other: Path<UserRef>,
) -> Result<StatusCode, Problem> {
    let other = other.user(&app.store).await?;
    somebody_else(&me, &other)?;
    http::writer(&app.store, &me).await?;
    // Also if the other blocks the caller: each has a block of their own.
    let exists = app.store.profile(&other).await?;
    let exists = exists.is_some_and(|profile| !profile.withdrawn);
    if !exists {
        return Err(Path::<UserId>::not_found());
    }
    // Neither's feed shows the other from now on, whatever becomes of this request.
    let feeds = HashSet::from([me.clone(), other.clone()]);
    app.cache.hold_feeds(&feeds).await?;
    let blocked = app.store.block(&me, &other, stamp).await;
    // Also if it failed: readers would wait for feeds that nobody rebuilds.
    app.cache.forget_feeds(&feeds).await?;
    blocked?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unblock(
    State(app): State<Arc<App>>,
    Word {
        caller: me, stamp, ..
    }: Word,
    other: Path<UserRef>,
) -> Result<StatusCode, Problem> {
    let other = other.user(&app.store).await?;
    somebody_else(&me, &other)?;
    app.store.unblock(&me, &other, stamp).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn somebody_else(me: &UserId, other: &UserId) -> Result<(), Problem> {
    if other == me {
        return Err(Problem::unprocessable("Nobody can block themselves."));
    }
    Ok(())
}

/// Those who have left are not listed, and are again when they return.
async fn blocked(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    paging: Paging,
) -> Result<Json<Page<BlockedView>>, Problem> {
    let list = format!("blocked/{me}");
    let (limit, after) = paging.open(&list, Since::from_bytes)?;
    let (store, me) = (&app.store, &me);
    let users = full_page(limit.get(), after, |after, most| async move {
        let entries = store.blocked_by(me, after, most).await?;
        let ids: Vec<UserId> = entries.iter().map(|user| user.entry.clone()).collect();
        let (mut profiles, blocked_back) =
            futures::try_join!(store.profiles(&ids), store.blocked_back(me, &ids))?;
        let end = entries.last().cloned().filter(|_| entries.len() == most);
        let view = |at: Since<UserId>| {
            let known = profiles.remove(&at.entry);
            // Who blocks the caller too is there to be unblocked, and no more of them is told.
            let profile = known
                .filter(|profile| profile.withdrawn || !blocked_back.contains(&at.entry))
                .unwrap_or_else(|| Profile::new(at.entry.clone(), at.since.timestamp()));
            (!profile.withdrawn).then(|| (profile.blocked_view(), at))
        };
        let items = entries.into_iter().filter_map(view).collect();
        Ok::<_, store::Error>(Stretch { items, end })
    })
    .await?;
    Ok(Json(Page::new(&list, users, Since::to_bytes)))
}
