//! `GET` and `PUT /v1/me`, `GET /v1/users/{id}`, and lists of users: who follows whom, and who likes a post.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    Bio, Handle, ImageHost, IndexMessage, Invalid, Limit, NOT_UPLOADED, Name, Page, PostId,
    ProfileEdit, Reason, Since, Stretch, Subject, UserId, UserRef, UserView,
};
use purrline::full_page::full_page;
use purrline::http::{self, Caller, Fields, Paging, Path, Problem, ProblemType, Settings};
use purrline::media::Media;
use purrline::queue::Queue;
use purrline::store::{self, FollowList, ProfileError, Store};
use purrline::{aws, env, log};

struct App {
    store: Store,
    cache: Cache,
    media: Media,
    images: ImageHost,
    index: Queue,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let config = aws::config().await;
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.limited_by(&cache)?;
    let app = App {
        store: Store::from_env(&config)?,
        cache,
        media: Media::from_env(&config)?,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
        index: Queue::from_env(&config, "INDEX_QUEUE_URL")?,
    };
    let router = Router::new()
        .route("/v1/me", get(me).put(put_me))
        .route("/v1/users/{id}", get(user))
        .route("/v1/users/{id}/followers", get(followers))
        .route("/v1/users/{id}/following", get(following))
        .route("/v1/posts/{id}/likes", get(likes))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn me(State(app): State<Arc<App>>, Caller(me): Caller) -> Result<Json<UserView>, Problem> {
    app.see_oneself(&me).await.map(Json)
}

impl App {
    async fn see_oneself(&self, me: &UserId) -> Result<UserView, Problem> {
        let profile = self.store.sign_in(me).await?;
        if profile.withdrawn {
            return Err(Problem::not_found("This account was withdrawn."));
        }
        Ok(profile.view(false, &self.images))
    }
}

async fn put_me(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    fields: Fields,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let edit = app.edit(&me, fields).await?;
    // Who shows the author from now on must show the new one, whatever becomes of this request.
    let hold = app.cache.hold_author(&me).await?;
    let put = app.store.put_profile(&me, &edit).await;
    let new = match put {
        Ok(new) => new,
        Err(error) => {
            app.cache.release(&hold).await?;
            return Err(refused(error));
        }
    };
    // And search must find them. If either can't be told, the same request tries again.
    let changed = IndexMessage::new(Subject::User(me.clone()));
    let (released, queued) = futures::join!(app.cache.release(&hold), app.index.send(&changed));
    released?;
    queued?;
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
            Problem::of_type(ProblemType::HandleTaken, "Somebody else has this handle.")
                .about("/handle")
        }
        ProfileError::TooManyHandles => Problem::of_type(
            ProblemType::HandlesTooMany,
            "You gave up five handles within 30 days: take one of them back, or wait.",
        )
        .about("/handle"),
        ProfileError::Withdrawn => Problem::withdrawn(),
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
    let (shown, followed) = futures::try_join!(
        app.store.shown(&me, std::slice::from_ref(&id)),
        app.store.followed(&me, std::slice::from_ref(&id))
    )?;
    let profile = shown.known(&id).ok_or_else(Path::<UserId>::not_found)?;
    let profile = profile.clone();
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
    let (limit, after) = paging.open(&list, Since::from_bytes)?;
    if !store.shown(&me, std::slice::from_ref(&of)).await?.sees(&of) {
        return Err(Path::<UserId>::not_found());
    }
    let read = |after, most| store.latest_follows(which, &of, after, most);
    app.users(&me, &list, limit, after, read).await
}

async fn likes(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(post): Path<PostId>,
    paging: Paging,
) -> Answer {
    let list = format!("likes/{post}");
    let (limit, after) = paging.open(&list, Since::from_bytes)?;
    let seen = app.store.seen_post(&me, post).await?;
    seen.ok_or_else(Path::<PostId>::not_found)?;
    let read = |after, most| app.store.likers(post, after, most);
    app.users(&me, &list, limit, after, read).await
}

impl App {
    /// A page of a list of users, as the caller sees them; `read` gives the entries after a position.
    async fn users<R>(
        &self,
        me: &UserId,
        list: &str,
        limit: Limit,
        after: Option<Since<UserId>>,
        read: impl Fn(Option<Since<UserId>>, usize) -> R + Sync,
    ) -> Answer
    where
        R: Future<Output = Result<Vec<Since<UserId>>, store::Error>> + Send,
    {
        let (store, read) = (&self.store, &read);
        let views = full_page(limit.get(), after, |after, most| async move {
            let entries = read(after, most).await?;
            let ids: Vec<UserId> = entries.iter().map(|user| user.entry.clone()).collect();
            let (shown, followed) =
                futures::try_join!(store.shown(me, &ids), store.followed(me, &ids))?;
            let end = entries.last().cloned().filter(|_| entries.len() == most);
            let view = |at: Since<UserId>| {
                let profile = shown.profile(&at.entry, at.since.timestamp())?;
                let view = profile.view(followed.contains(&at.entry), &self.images);
                Some((view, at))
            };
            let items = entries.into_iter().filter_map(view).collect();
            Ok::<_, store::Error>(Stretch { items, end })
        })
        .await?;
        Ok(Json(Page::new(list, views, Since::to_bytes)))
    }
}
