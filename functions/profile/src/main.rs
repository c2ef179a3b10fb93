//! `GET /v1/me`, `GET /v1/users/{id}`, and the two lists of follows.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use purrline::domain::{Page, Profile, UserId, UserView, Version};
use purrline::http::{self, Caller, Paging, Path, Problem, Settings};
use purrline::store::{FollowList, Store};
use purrline::{aws, log};

type App = Arc<Store>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let store = Store::from_env(&aws::config().await)?;
    let router = Router::new()
        .route("/v1/me", get(me))
        .route("/v1/users/{id}", get(user))
        .route("/v1/users/{id}/followers", get(followers))
        .route("/v1/users/{id}/following", get(following))
        .with_state(Arc::new(store));
    http::run(router, Settings::from_env()?).await
}

async fn me(State(store): State<App>, Caller(me): Caller) -> Result<Json<UserView>, Problem> {
    Ok(Json(store.sign_in(&me).await?.view(false)))
}

async fn user(
    State(store): State<App>,
    Caller(me): Caller,
    Path(id): Path<UserId>,
) -> Result<Json<UserView>, Problem> {
    if id == me {
        return Ok(Json(store.sign_in(&me).await?.view(false)));
    }
    let (profile, followed) = futures::try_join!(
        store.profile(&id),
        store.followed(&me, std::slice::from_ref(&id))
    )?;
    let profile = profile.ok_or_else(Path::<UserId>::not_found)?;
    Ok(Json(profile.view(followed.contains(&id))))
}

async fn followers(
    store: State<App>,
    caller: Caller,
    path: Path<UserId>,
    paging: Paging,
) -> Answer {
    follows(FollowList::Followers, store, caller, path, paging).await
}

async fn following(
    store: State<App>,
    caller: Caller,
    path: Path<UserId>,
    paging: Paging,
) -> Answer {
    follows(FollowList::Following, store, caller, path, paging).await
}

type Answer = Result<Json<Page<UserView>>, Problem>;

async fn follows(
    which: FollowList,
    State(store): State<App>,
    Caller(me): Caller,
    Path(of): Path<UserId>,
    paging: Paging,
) -> Answer {
    let list = format!("{}/{of}", which.name());
    let (limit, after) = paging.open(&list, position)?;
    // One more than is asked for tells whether there is a next page.
    let mut found = store
        .latest_follows(which, &of, after, limit.get() + 1)
        .await?;
    let more = found.len() > limit.get();
    found.truncate(limit.get());
    let ids: Vec<UserId> = found.iter().map(|(id, _)| id.clone()).collect();
    let (mut profiles, followed) =
        futures::try_join!(store.profiles(&ids), store.followed(&me, &ids))?;
    let sinces: HashMap<UserId, Version> = found.iter().cloned().collect();
    let view = |(id, since): (UserId, Version)| {
        let profile = profiles
            .remove(&id)
            .unwrap_or_else(|| Profile::new(id.clone(), since.timestamp()));
        profile.view(followed.contains(&id))
    };
    let views = found.into_iter().map(view).collect();
    Ok(Json(Page::new(&list, views, more, |user: &UserView| {
        at(&user.id, sinces.get(&user.id))
    })))
}

/// A position in a list of follows: since when, and who.
fn at(id: &UserId, since: Option<&Version>) -> Vec<u8> {
    let since = since.map_or(0, |since| since.micros());
    [&since.to_be_bytes(), id.as_str().as_bytes()].concat()
}

fn position(bytes: &[u8]) -> Option<(Version, UserId)> {
    let (since, id) = bytes.split_first_chunk()?;
    let id = UserId::parse(std::str::from_utf8(id).ok()?).ok()?;
    Some((Version::from_micros(i64::from_be_bytes(*since)), id))
}
