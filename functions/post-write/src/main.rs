//! `POST /v1/posts`, `PATCH /v1/posts/{id}`, `DELETE /v1/posts/{id}`.
//!
//! A post is stored, then handed over to fan-out. Once the post is stored, the request succeeds even if the hand-over fails:
//! the post carries an outbox mark, and `sweep` hands it over again. A change that drops images is announced before it is
//! made, so that what nothing shows any more is removed even if this function dies.

mod checks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use purrline::cache::Cache;
use purrline::domain::{
    Author, FanOutMessage, Id, IdSource, ImageHost, Invalid, NOT_UPLOADED, NOT_YOUR_CAT, Post,
    PostCounts, PostId, Stamp, Timestamp, UserId, ViewerState, present_posts,
};
use purrline::http::routes::{CREATE_POST, DELETE_POST, EDIT_POST, EditPost, NewPost};
use purrline::http::{self, Body, Caller, Idempotency, Path, Problem, Settings, StampedCaller};
use purrline::queue::Queue;
use purrline::store::{Answer, Created, Edited, IdempotencyRecord, PostError, Removed, Store};
use purrline::uploads::Uploads;
use purrline::{aws, env, log};

use self::checks::Content;

/// The maximum time that the author waits for the hand-over.
const HAND_OVER: Duration = Duration::from_millis(1500);

struct App {
    store: Store,
    cache: Cache,
    uploads: Uploads,
    fan_out: Queue,
    images: ImageHost,
    ids: IdSource,
    overdue_after: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let config = aws::config().await;
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.ordered(&cache)?;
    let store = Store::from_env(&config)?;
    let app = App {
        uploads: Uploads::from_env(&config, store.clone())?,
        store,
        cache,
        fan_out: Queue::from_env(&config, "FAN_OUT_QUEUE_URL")?,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
        ids: IdSource::new(),
        overdue_after: env::seconds("OUTBOX_SECONDS", 60)?,
    };
    let router = Router::new()
        .merge(CREATE_POST.handled_by(create))
        .merge(EDIT_POST.handled_by(edit))
        .merge(DELETE_POST.handled_by(delete))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

impl App {
    fn due(&self) -> Timestamp {
        Timestamp::now().plus_seconds(self.overdue_after)
    }

    /// Shows a new post in its author's own feed before it is answered, and hands it over.
    async fn publish(&self, post: &Post) {
        futures::join!(
            self.show_own(post.id, &post.author),
            self.hand_over(post.id, 0)
        );
    }

    /// Repeats the answer of an earlier request, and shows the post in its author's feed: that request may have died before
    /// it did.
    async fn replay(&self, known: IdempotencyRecord, author: &UserId) -> Result<Answer, Problem> {
        let answer = known.replay()?;
        let location = answer.location.as_deref().unwrap_or_default();
        if let Some(Ok(post)) = location.rsplit('/').next().map(PostId::parse) {
            self.show_own(post, author).await;
        }
        Ok(answer)
    }

    /// Shows a post in its author's own feed. Where the cache doesn't take it in time, fan-out shows it there, as it
    /// does in the followers' feeds.
    async fn show_own(&self, post: PostId, author: &UserId) {
        let own = tokio::time::timeout(HAND_OVER, self.cache.show_own(post, author));
        match own.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%post, %error, "not in the author's feed yet"),
            Err(_) => tracing::warn!(%post, "not in the author's feed in time"),
        }
    }

    /// Hands a post over. A hand-over that takes too long or fails is left to `sweep`.
    async fn hand_over(&self, post: PostId, rev: u32) {
        let whole = FanOutMessage::whole(post, rev);
        let handed_over = self.fan_out.send(&whole);
        match tokio::time::timeout(HAND_OVER, handed_over).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = purrline::log::chain(&error);
                tracing::warn!(%post, error, "not handed over: left to sweep");
            }
            Err(_) => tracing::warn!(%post, "not handed over in time: left to sweep"),
        }
    }

    /// Returns a post that the caller may change, or `None` if the post is gone. Answers 404 for a post that the caller
    /// may not know of, as when reading it.
    async fn owned(&self, caller: &UserId, id: PostId) -> Result<Option<Post>, Problem> {
        let Some(post) = self.store.post(id).await? else {
            return Ok(None);
        };
        let author = std::slice::from_ref(&post.author);
        let visibility = self.store.visibility(caller, author).await?;
        if !visibility.allows(&post.author) {
            return Err(Path::<PostId>::not_found());
        }
        if post.author != *caller {
            return Err(not_author());
        }
        Ok(Some(post))
    }

    /// Returns the id of the author's newest post, which the next post's id must exceed. Returns `None` unless the
    /// stamp comes from this process's own clock.
    async fn newest(&self, author: &UserId, stamp: Stamp) -> Result<Option<Id>, Problem> {
        if !stamp.is_own() {
            return Ok(None);
        }
        let newest = self.store.posts_by(author, None, 1).await?;
        Ok(newest.first().map(|post| post.0))
    }

    /// Completes a change: makes the cache forget the post, which must happen before the answer, and hands it over.
    async fn finish_change(&self, post: PostId, rev: u32) -> Result<(), Problem> {
        let (forgotten, ()) =
            futures::join!(self.cache.forget_post(post), self.hand_over(post, rev));
        forgotten.map_err(|error| Problem::unavailable(&error))
    }
}

async fn create(
    State(app): State<Arc<App>>,
    StampedCaller {
        caller: me, stamp, ..
    }: StampedCaller,
    idempotency: Idempotency,
    Body(NewPost { text, images, cats }): Body<NewPost>,
) -> Result<Answer, Problem> {
    let content = Content { text, images, cats };
    let request = idempotency.request(&me);
    if let Some(request) = &request
        && let Some(known) = app.store.idempotency_record(request).await?
    {
        return app.replay(known, &me).await;
    }
    let usable = checks::check_content(&app.uploads, &app.store, &me, content, &[]);
    let (draft, profile) = futures::join!(usable, http::writer(&app.store, &me));
    let (draft, profile) = (draft?.into_draft()?, profile?);
    let author = Author::of(&me, Some(&profile));
    let newest = app.newest(&me, stamp).await?;
    loop {
        let id = app.ids.mint_after(stamp.version().timestamp(), newest);
        let post = Post {
            id: PostId(id),
            author: me.clone(),
            draft: draft.clone(),
            edited_at: None,
        };
        let (counts, viewer) = (PostCounts::default(), ViewerState::default());
        let view = post.clone();
        let view = view.view(author.clone(), counts, viewer, &app.images);
        let answer = Answer::created(format!("/v1/posts/{}", post.id), &view)?;
        match app
            .store
            .create_post(
                &post,
                app.due(),
                request.as_ref().map(|request| (request, &answer)),
            )
            .await?
        {
            Created::Now => {
                app.publish(&post).await;
                return Ok(answer);
            }
            Created::Before(known) => return app.replay(known, &me).await,
            Created::IdTaken => {}
            Created::PictureGone => return Err(picture_gone()),
            Created::Outdated => return Err(cat_gone()),
        }
    }
}

async fn edit(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(id): Path<PostId>,
    Body(EditPost { text, images, cats }): Body<EditPost>,
) -> Result<impl IntoResponse, Problem> {
    let content = Content { text, images, cats };
    let stored = app.owned(&me, id).await?;
    let stored = stored.ok_or_else(Path::<PostId>::not_found)?;
    let kept = stored.draft.images();
    let edit = checks::check_content(&app.uploads, &app.store, &me, content, kept).await?;
    let before = stored.draft.pictures();
    let after = match &edit.images {
        Some(images) => images.iter().map(|image| &image.picture).collect(),
        None => before.clone(),
    };
    let announced = app.uploads.announce(&before, &after).await?;
    let edited = app
        .store
        .edit_post(id, &me, &edit, app.due())
        .await
        .map_err(refused)?;
    let Edited { post, rev, .. } = edited;
    app.uploads.announce_rest(&announced, edited.dropped).await;
    match rev {
        Some(rev) => app.finish_change(id, rev).await?,
        // An earlier identical request may have died before the cache forgot the post.
        None => app.cache.forget_post(id).await?,
    }
    let (known, visibility) = app.store.hydrate_one(&me, post).await?;
    let visible = visibility.visible_posts(std::slice::from_ref(&id), &known.posts);
    let view = present_posts(visible, &known, &app.images).pop();
    view.map(axum::Json).ok_or_else(Path::<PostId>::not_found)
}

async fn delete(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(id): Path<PostId>,
) -> Result<StatusCode, Problem> {
    // A post that is already gone passes too: see below.
    let stored = app.owned(&me, id).await?;
    let before = stored.as_ref().map(|stored| stored.draft.pictures());
    let before = before.unwrap_or_default();
    let announced = app.uploads.announce(&before, &[]).await?;
    let removed = app
        .store
        .delete_post(id, &me, app.due())
        .await
        .map_err(refused)?;
    let Removed { rev, before, .. } = removed;
    app.uploads.announce_rest(&announced, removed.dropped).await;
    // This step runs even if the post was deleted before: the request that deleted it may have died before this step.
    app.finish_change(id, rev).await?;
    if before {
        return Err(Path::<PostId>::not_found());
    }
    Ok(StatusCode::NO_CONTENT)
}

fn not_author() -> Problem {
    Problem::forbidden("Only its author may change a post.")
}

/// Returns the refusal of a cat that was deleted after it was looked up.
fn cat_gone() -> Problem {
    Problem::unusable(Invalid::one("/cats", NOT_YOUR_CAT))
}

/// Returns the refusal of an image that was removed after it was looked up.
fn picture_gone() -> Problem {
    Problem::unusable(Invalid::one("/images", NOT_UPLOADED))
}

fn refused(error: PostError) -> Problem {
    match error {
        PostError::NotFound => Path::<PostId>::not_found(),
        PostError::NotAuthor => not_author(),
        PostError::CatGone => cat_gone(),
        PostError::PictureGone => picture_gone(),
        PostError::Invalid(invalid) => invalid.into(),
        PostError::Store(error) => error.into(),
    }
}
