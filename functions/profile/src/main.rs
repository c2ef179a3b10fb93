//! `GET`, `PUT` and `PATCH /v1/me`, `GET /v1/users/{id}`, and lists of users: who follows whom, and who likes a post.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    Bio, Handle, ImageHost, IndexMessage, Invalid, Limit, NOT_UPLOADED, Name, Page, PostId,
    ProfileEdit, Reason, Relation, Segment, Subject, TimedPosition, UserId, UserRef, UserView,
};
use purrline::full_page::full_page;
use purrline::http::{self, Bad, Caller, Fields, Paging, Path, Problem, ProblemType, Settings};
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
        .route("/v1/me", get(me).put(put_me).patch(patch_me))
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
        Ok(profile.view(Relation::default(), &self.images))
    }
}

async fn put_me(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    fields: Fields,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let asked = asked(fields, |fields| {
        (
            fields.required("handle", Handle::choose).map(Some),
            fields.required("name", Name::parse).map(Some),
        )
    })?;
    let new = app.change(&me, asked).await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(app.see_oneself(&me).await?)))
}

async fn patch_me(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    fields: Fields,
) -> Result<Json<UserView>, Problem> {
    let asked = asked(fields, |fields| {
        (
            fields.optional("handle", Handle::choose),
            fields.optional("name", Name::parse),
        )
    })?;
    app.change(&me, asked).await?;
    app.see_oneself(&me).await.map(Json)
}

/// The body of a change to a profile. An avatar's key is any text: one that this service never handed out is an image that was
/// never uploaded.
struct Asked {
    edit: ProfileEdit,
    #[expect(clippy::option_option, reason = "left out, none, or a value")]
    avatar: Option<Option<String>>,
}

/// A handle and a name, as far as a body says them.
type Names = (Result<Option<Handle>, Bad>, Result<Option<Name>, Bad>);

/// Reads a body, with the handle and the name that `names` finds in it.
fn asked(mut fields: Fields, names: impl FnOnce(&mut Fields) -> Names) -> Result<Asked, Problem> {
    let (handle, name) = names(&mut fields);
    let bio = fields.clearable("bio", Bio::parse);
    let avatar = fields.clearable("avatar", |key| Ok::<_, Reason>(key.to_owned()));
    let (handle, name, bio, avatar) = fields.finish((handle, name, bio, avatar))?;
    let edit = ProfileEdit {
        handle,
        name,
        bio,
        avatar: None,
    };
    Ok(Asked { edit, avatar })
}

impl App {
    /// Changes the caller's profile. Answers whether the caller had chosen no handle before.
    async fn change(&self, me: &UserId, asked: Asked) -> Result<bool, Problem> {
        let edit = self.edit(me, asked).await?;
        // Who shows the author once this is answered must show the new one, whatever becomes of this request.
        let hold = self.cache.hold_author(me).await?;
        let new = match self.store.put_profile(me, &edit).await {
            Ok(new) => new,
            Err(error) => {
                self.cache.release(&hold).await?;
                return Err(refused(error));
            }
        };
        // And search must find them. If either can't be told, the same request tries again.
        let changed = IndexMessage::new(Subject::User(me.clone()));
        let (released, queued) =
            futures::join!(self.cache.release(&hold), self.index.send(&changed));
        released?;
        queued?;
        Ok(new)
    }

    /// The edit, with an avatar that the caller uploaded, and that is kept from now on.
    async fn edit(&self, me: &UserId, asked: Asked) -> Result<ProfileEdit, Problem> {
        let Asked { edit, avatar } = asked;
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
        Ok(ProfileEdit { avatar, ..edit })
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
    let users = std::slice::from_ref(&id);
    let (visibility, relations) = futures::try_join!(
        app.store.visibility(&me, users),
        app.store.relations(&me, users)
    )?;
    let profile = visibility.existing(&id).cloned();
    let profile = profile.ok_or_else(Path::<UserId>::not_found)?;
    Ok(Json(profile.view(relations.to(&id), &app.images)))
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
    let visibility = store.visibility(&me, std::slice::from_ref(&of)).await?;
    if !visibility.finds(&of) {
        return Err(Path::<UserId>::not_found());
    }
    let list = format!("{}/{of}", which.name());
    let (limit, after) = paging.open(&list, TimedPosition::from_bytes)?;
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
    let (limit, after) = paging.open(&list, TimedPosition::from_bytes)?;
    let visible = app.store.visible_post(&me, post).await?;
    visible.ok_or_else(Path::<PostId>::not_found)?;
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
        after: Option<TimedPosition<UserId>>,
        read: impl Fn(Option<TimedPosition<UserId>>, usize) -> R + Sync,
    ) -> Answer
    where
        R: Future<Output = Result<Vec<TimedPosition<UserId>>, store::Error>> + Send,
    {
        let (store, read) = (&self.store, &read);
        let views = full_page(limit.get(), after, |after, most| async move {
            let entries = read(after, most).await?;
            let ids: Vec<UserId> = entries.iter().map(|user| user.entry.clone()).collect();
            let (visibility, relations) = futures::try_join!(
                store.visibility_on_page(me, &ids),
                store.readable_relations(me, &ids)
            )?;
            let end = entries.last().cloned().filter(|_| entries.len() == most);
            let view = |at: TimedPosition<UserId>| {
                let profile = visibility.profile(&at.entry, at.since.timestamp())?;
                let view = profile.view(relations.to(&at.entry), &self.images);
                Some((view, at))
            };
            let items = entries.into_iter().filter_map(view).collect();
            Ok::<_, store::Error>(Segment { items, end })
        })
        .await?;
        Ok(Json(Page::new(list, views, TimedPosition::to_bytes)))
    }
}
