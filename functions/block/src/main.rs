//! `PUT` and `DELETE /v1/users/{id}/block`, and `GET /v1/me/blocked`.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    BlockedView, Page, Profile, Segment, Stamp, Standing, TimedPosition, UserId, UserRef, may_see,
};
use purrline::full_page::full_page;
use purrline::http::routes::{BLOCK_USER, LIST_BLOCKED, UNBLOCK_USER};
use purrline::http::{self, Caller, Paging, Path, Problem, Settings, StampedCaller};
use purrline::store::{self, Readable, Store};
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
        .merge(BLOCK_USER.handled_by(block))
        .merge(UNBLOCK_USER.handled_by(unblock))
        .merge(LIST_BLOCKED.handled_by(blocked))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn block(
    State(app): State<Arc<App>>,
    StampedCaller {
        caller: me, stamp, ..
    }: StampedCaller,
    other: Path<UserRef>,
) -> Result<StatusCode, Problem> {
    let other = other.user(&app.store).await?;
    check_not_oneself(&me, &other)?;
    http::writer(&app.store, &me).await?;
    // Allowed even if the other user blocks the caller: each has a block of their own.
    let profile = app.store.profile(&other).await?;
    if !profile.is_some_and(|profile| may_block(&me, &profile)) {
        return Err(Path::<UserId>::not_found());
    }
    // From now on neither feed shows the other user, whatever becomes of this request.
    let feeds = HashSet::from([me.clone(), other.clone()]);
    app.cache.hold_feeds(&feeds).await?;
    let blocked = app.store.block(&me, &other, stamp).await;
    // The feeds are released even if the block failed: otherwise readers would wait for feeds that no reader rebuilds.
    app.cache.forget_feeds(&feeds).await?;
    blocked?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a block. Fails without the cache, as blocking does: only the cache knows the stamps that the two users were
/// given. By any other clock, a follow accepted during the block could seem later than the end of the block.
async fn unblock(
    State(app): State<Arc<App>>,
    StampedCaller {
        caller: me, stamp, ..
    }: StampedCaller,
    other: Path<UserRef>,
) -> Result<StatusCode, Problem> {
    let named = other.clone();
    let other = other.user(&app.store).await?;
    check_not_oneself(&me, &other)?;
    let blocks = app.store.blocked_back(&other, std::slice::from_ref(&me));
    let stamps = if blocks.await?.is_empty() {
        // If the caller doesn't block the other user, no stamp is requested for that user, who may not exist.
        [stamp.version(); 2]
    } else {
        let own = async {
            match stamp {
                Stamp::Shared(version) => Ok(version),
                Stamp::Own(_) => app.cache.stamp(&me).await,
            }
        };
        let (own, theirs) = futures::try_join!(own, app.cache.stamp(&other))?;
        [own, theirs]
    };
    // Callers know the users they block. For other users, a handle reveals no more here than on any other route.
    if !app.store.unblock(&me, &other, stamps).await? {
        named.visible_user(&me, &app.store).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn check_not_oneself(me: &UserId, other: &UserId) -> Result<(), Problem> {
    if other == me {
        return Err(Problem::unprocessable("Nobody can block themselves."));
    }
    Ok(())
}

/// Returns whether the caller may block or unblock a user. An existing block hides everything else, but doesn't matter
/// here.
fn may_block(me: &UserId, profile: &Profile) -> bool {
    let standing = Standing {
        withdrawn: profile.withdrawn,
        ..Standing::default()
    };
    may_see(me, &profile.id, standing)
}

/// Lists blocked users, except those who have withdrawn, who reappear when they return.
async fn blocked(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    paging: Paging,
) -> Result<Json<Page<BlockedView>>, Problem> {
    let list = format!("blocked/{me}");
    let (limit, after) = paging.open(&list, TimedPosition::from_bytes)?;
    let (store, me) = (&app.store, &me);
    let users = full_page(limit.get(), after, |after, most| async move {
        let entries = store.blocked_by(me, after, most).await?;
        let ids: Vec<UserId> = entries.iter().map(|user| user.entry.clone()).collect();
        let (Readable { found, unread }, blocked_back) =
            futures::try_join!(store.readable_profiles(&ids), store.blocked_back(me, &ids))?;
        let mut profiles = found;
        let end = entries.last().cloned().filter(|_| entries.len() == most);
        let view = |at: TimedPosition<UserId>| {
            // A user who can't be read may have left.
            if unread.contains(&at.entry) {
                return None;
            }
            let known = profiles.remove(&at.entry);
            // A user who blocks the caller too is listed so that the caller can unblock them, but without details.
            let profile = known
                .filter(|profile| profile.withdrawn || !blocked_back.contains(&at.entry))
                .unwrap_or_else(|| Profile::new(at.entry.clone(), at.since.timestamp()));
            may_block(me, &profile).then(|| (profile.blocked_view(), at))
        };
        let items = entries.into_iter().filter_map(view).collect();
        Ok::<_, store::Error>(Segment { items, end })
    })
    .await?;
    Ok(Json(Page::new(&list, users, TimedPosition::to_bytes)))
}
