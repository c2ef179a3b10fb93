//! `GET`, `PUT` and `PATCH /v1/me`, `GET /v1/users/{id}`, and lists of users: who follows whom, and who likes a post.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    ImageHost, IndexMessage, Invalid, Limit, NOT_UPLOADED, Page, PostId, ProfileEdit, Relation,
    Segment, Subject, TimedPosition, UserId, UserRef, UserView,
};
use purrline::full_page::full_page;
use purrline::http::routes::{
    EDIT_ME, EditProfile, GET_ME, GET_USER, LIST_FOLLOWERS, LIST_FOLLOWING, LIST_LIKES, PUT_ME,
    PutProfile,
};
use purrline::http::{
    self, Body, Caller, ChosenHandle, Clearable, Paging, Path, Problem, ProblemType, Settings,
};
use purrline::queue::Queue;
use purrline::store::{self, FollowList, ProfileError, Store};
use purrline::uploads::{UnusableUploads, Uploads};
use purrline::{aws, env, log};

struct App {
    store: Store,
    cache: Cache,
    uploads: Uploads,
    images: ImageHost,
    index: Queue,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let config = aws::config().await;
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.limited_by(&cache)?;
    let store = Store::from_env(&config)?;
    let app = App {
        uploads: Uploads::from_env(&config, store.clone())?,
        store,
        cache,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
        index: Queue::from_env(&config, "INDEX_QUEUE_URL")?,
    };
    let router = Router::new()
        .merge(GET_ME.handled_by(me))
        .merge(PUT_ME.handled_by(put_me))
        .merge(EDIT_ME.handled_by(patch_me))
        .merge(GET_USER.handled_by(user))
        .merge(LIST_FOLLOWERS.handled_by(followers))
        .merge(LIST_FOLLOWING.handled_by(following))
        .merge(LIST_LIKES.handled_by(likes))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn me(State(app): State<Arc<App>>, Caller(me): Caller) -> Result<Json<UserView>, Problem> {
    app.own_view(&me).await.map(Json)
}

impl App {
    async fn own_view(&self, me: &UserId) -> Result<UserView, Problem> {
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
    Body(profile): Body<PutProfile>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let edit = EditProfile {
        handle: Some(profile.handle),
        name: Some(profile.name),
        bio: profile.bio,
        avatar: profile.avatar,
    };
    let new = app.change(&me, edit).await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(app.own_view(&me).await?)))
}

async fn patch_me(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Body(edit): Body<EditProfile>,
) -> Result<Json<UserView>, Problem> {
    app.change(&me, edit).await?;
    app.own_view(&me).await.map(Json)
}

impl App {
    /// Changes the caller's profile. Returns whether the caller had chosen no handle before.
    async fn change(&self, me: &UserId, edit: EditProfile) -> Result<bool, Problem> {
        let edit = self.edit(me, edit).await?;
        let announced = match &edit.avatar {
            Some(avatar) => {
                let profile = self.store.profile(me).await?;
                let before = profile.and_then(|profile| profile.avatar);
                let (before, after) = (Vec::from_iter(&before), Vec::from_iter(avatar));
                self.uploads.announce(&before, &after).await?
            }
            None => Vec::new(),
        };
        // Thanks to the hold, readers soon see the new profile even if this request dies after storing it.
        let hold = self.cache.hold_author(me).await?;
        let put = match self.store.put_profile(me, &edit).await {
            Ok(put) => put,
            Err(error) => {
                self.cache.release(&hold).await?;
                return Err(refused(error));
            }
        };
        self.uploads.announce_rest(&announced, put.dropped).await;
        // Search must find the new profile too. If either step fails, repeating the request repeats both.
        let changed = IndexMessage::new(Subject::User(me.clone()));
        let (released, queued) =
            futures::join!(self.cache.release(&hold), self.index.send(&changed));
        released?;
        queued?;
        Ok(put.first)
    }

    /// Resolves the avatar, which must be an upload of the caller that can be shown.
    async fn edit(&self, me: &UserId, edit: EditProfile) -> Result<ProfileEdit, Problem> {
        let avatar = match edit.avatar {
            Some(Clearable(Some(key))) => {
                let picture = self.uploads.one(me, &key.text).await?;
                let picture = picture.map_err(|reason| UnusableUploads::one("/avatar", reason))?;
                Some(Some(picture))
            }
            other => other.map(|_| None),
        };
        Ok(ProfileEdit {
            handle: edit.handle.map(|ChosenHandle(handle)| handle),
            name: edit.name,
            bio: edit.bio.map(|Clearable(bio)| bio),
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
        ProfileError::PictureGone => Problem::unusable(Invalid::one("/avatar", NOT_UPLOADED)),
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
        return app.own_view(&me).await.map(Json);
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
    /// Returns a page of a list of users, as the caller sees them; `read` returns the entries after a position.
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
