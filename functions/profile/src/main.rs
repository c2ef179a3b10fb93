//! `GET` and `PUT /v1/me`, `GET /v1/users/{id}`, and the two lists of follows.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    Bio, Handle, ImageHost, Invalid, NOT_UPLOADED, Name, Page, Profile, ProfileEdit, Reason,
    UserId, UserRef, UserView, Version,
};
use purrline::http::{self, Caller, Fields, Paging, Path, Problem, Settings};
use purrline::media::Media;
use purrline::store::{FollowList, ProfileError, Store};
use purrline::{aws, env, log};

struct App {
    store: Store,
    cache: Cache,
    media: Media,
    images: ImageHost,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let config = aws::config().await;
    let app = App {
        store: Store::from_env(&config)?,
        cache: Cache::from_env()?,
        media: Media::from_env(&config)?,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
    };
    let router = Router::new()
        .route("/v1/me", get(me).put(put_me))
        .route("/v1/users/{id}", get(user))
        .route("/v1/users/{id}/followers", get(followers))
        .route("/v1/users/{id}/following", get(following))
        .with_state(Arc::new(app));
    http::run(router, Settings::from_env()?).await
}

async fn me(State(app): State<Arc<App>>, Caller(me): Caller) -> Result<Json<UserView>, Problem> {
    app.see_oneself(&me).await.map(Json)
}

impl App {
    async fn see_oneself(&self, me: &UserId) -> Result<UserView, Problem> {
        Ok(self.store.sign_in(me).await?.view(false, &self.images))
    }
}

async fn put_me(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    fields: Fields,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let edit = app.edit(&me, fields).await?;
    app.cache.hold_author(&me).await?;
    let new = app.store.put_profile(&me, &edit).await.map_err(refused)?;
    // Who shows the author from now on must show the new one.
    app.cache.forget_author(&me).await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(app.see_oneself(&me).await?)))
}

impl App {
    /// What the body says, with an avatar that the caller uploaded, and that is kept from now on.
    async fn edit(&self, me: &UserId, mut fields: Fields) -> Result<ProfileEdit, Problem> {
        let handle = fields.required("handle", Handle::parse);
        let name = fields.required("name", Name::parse);
        let bio = fields.nullable("bio", Bio::parse);
        let avatar = fields.nullable("avatar", |key| Ok::<_, Reason>(key.to_owned()));
        let (handle, name, bio, avatar) = fields.finish((handle, name, bio, avatar))?;
        let avatar = match avatar {
            Some(Some(key)) => {
                let key = self.media.sent_by(me, &key).await?;
                let unusable = || Problem::unusable(Invalid::one("/avatar", NOT_UPLOADED));
                let key = key.ok_or_else(unusable)?;
                self.media.keep(&key).await?;
                Some(Some(key))
            }
            other => other.map(|_| None),
        };
        Ok(ProfileEdit {
            handle,
            name,
            // An empty one is none.
            bio: bio.map(|bio| bio.filter(|bio| !bio.as_str().is_empty())),
            avatar,
        })
    }
}

fn refused(error: ProfileError) -> Problem {
    match error {
        ProfileError::HandleTaken => {
            Problem::conflict("Somebody else has this handle.").about("/handle")
        }
        ProfileError::Store(error) => error.into(),
    }
}

async fn user(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    user: Path<UserRef>,
) -> Result<Json<UserView>, Problem> {
    let id = user.user(&app.store).await?;
    if id == me {
        return app.see_oneself(&me).await.map(Json);
    }
    let (profile, followed) = futures::try_join!(
        app.store.profile(&id),
        app.store.followed(&me, std::slice::from_ref(&id))
    )?;
    let profile = profile.ok_or_else(Path::<UserId>::not_found)?;
    Ok(Json(profile.view(followed.contains(&id), &app.images)))
}

async fn followers(
    app: State<Arc<App>>,
    caller: Caller,
    user: Path<UserRef>,
    paging: Paging,
) -> Answer {
    follows(FollowList::Followers, app, caller, user, paging).await
}

async fn following(
    app: State<Arc<App>>,
    caller: Caller,
    user: Path<UserRef>,
    paging: Paging,
) -> Answer {
    follows(FollowList::Following, app, caller, user, paging).await
}

type Answer = Result<Json<Page<UserView>>, Problem>;

async fn follows(
    which: FollowList,
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    user: Path<UserRef>,
    paging: Paging,
) -> Answer {
    let store = &app.store;
    let of = user.user(store).await?;
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
        profile.view(followed.contains(&id), &app.images)
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
