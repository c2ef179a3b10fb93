//! `GET /v1/me`, `GET /v1/users/{id}`, and lists of users: who follows whom, and who likes a post.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use purrline::domain::{Limit, Page, PostId, Since, UserId, UserView};
use purrline::full_page::{Stretch, full_page};
use purrline::http::{self, Caller, Paging, Path, Problem, Settings};
use purrline::store::{self, FollowList, Store};
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
        .route("/v1/posts/{id}/likes", get(likes))
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
    let (shown, followed) = futures::try_join!(
        store.shown(&me, std::slice::from_ref(&id)),
        store.followed(&me, std::slice::from_ref(&id))
    )?;
    let profile = shown.known(&id).ok_or_else(Path::<UserId>::not_found)?;
    Ok(Json(profile.clone().view(followed.contains(&id))))
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
    let (limit, after) = paging.open(&list, Since::from_bytes)?;
    if !store.shown(&me, std::slice::from_ref(&of)).await?.sees(&of) {
        return Err(Path::<UserId>::not_found());
    }
    let read = |after, most| store.latest_follows(which, &of, after, most);
    users(&store, &me, &list, limit, after, read).await
}

async fn likes(
    State(store): State<App>,
    Caller(me): Caller,
    Path(post): Path<PostId>,
    paging: Paging,
) -> Answer {
    let list = format!("likes/{post}");
    let (limit, after) = paging.open(&list, Since::from_bytes)?;
    let seen = store.seen_post(&me, post).await?;
    seen.ok_or_else(Path::<PostId>::not_found)?;
    let read = |after, most| store.likers(post, after, most);
    users(&store, &me, &list, limit, after, read).await
}

/// A page of a list of users, as the caller sees them; `read` gives the entries after a position.
async fn users<R>(
    store: &Store,
    me: &UserId,
    list: &str,
    limit: Limit,
    after: Option<Since<UserId>>,
    read: impl Fn(Option<Since<UserId>>, usize) -> R + Sync,
) -> Answer
where
    R: Future<Output = Result<Vec<Since<UserId>>, store::Error>> + Send,
{
    let read = &read;
    let (views, more) = full_page(limit.get(), after, |after, most| async move {
        let entries = read(after, most).await?;
        let ids: Vec<UserId> = entries.iter().map(|user| user.entry.clone()).collect();
        let (shown, followed) =
            futures::try_join!(store.shown(me, &ids), store.followed(me, &ids))?;
        let end = entries.last().cloned().filter(|_| entries.len() == most);
        let view = |at: Since<UserId>| {
            let profile = shown.profile(&at.entry, at.since.timestamp())?;
            Some((profile.view(followed.contains(&at.entry)), at.to_bytes()))
        };
        let items = entries.into_iter().filter_map(view).collect();
        Ok::<_, store::Error>(Stretch { items, end })
    })
    .await?;
    Ok(Json(Page::of(list, views, more)))
}
