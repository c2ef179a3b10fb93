//! `POST` and `GET /v1/posts/{id}/comments`, and `DELETE /v1/posts/{id}/comments/{comment_id}`.
//!
//! Feeds read a post's counts from the cache, so each change replaces the cached counts before it is answered. If a
//! request fails or dies before that, its client repeats it, and only the counts are left to replace. If nobody repeats
//! it, the cached counts expire with the hold on them, and readers get the counts from the store.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use purrline::cache::{Cache, Hold};
use purrline::domain::{
    Author, Comment, CommentId, CommentView, Id, IdSource, ImageHost, Page, PostId, Segment, Stamp,
    UserId,
};
use purrline::full_page::full_page;
use purrline::http::routes::{CREATE_COMMENT, DELETE_COMMENT, LIST_COMMENTS, NewComment};
use purrline::http::{
    self, Body, Caller, Idempotency, Paging, Path, Problem, Settings, StampedCaller,
};
use purrline::store::{self, Answer, Created, Store};
use purrline::{aws, env, log};

struct App {
    store: Store,
    cache: Cache,
    images: ImageHost,
    ids: IdSource,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let cache = Cache::from_env()?;
    let settings = Settings::from_env()?.ordered(&cache)?;
    let app = App {
        store: Store::from_env(&aws::config().await)?,
        cache,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
        ids: IdSource::new(),
    };
    let router = Router::new()
        .merge(CREATE_COMMENT.handled_by(create))
        .merge(LIST_COMMENTS.handled_by(list))
        .merge(DELETE_COMMENT.handled_by(remove))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn create(
    State(app): State<Arc<App>>,
    StampedCaller {
        caller: me, stamp, ..
    }: StampedCaller,
    Path(post): Path<PostId>,
    idempotency: Idempotency,
    Body(NewComment { text }): Body<NewComment>,
) -> Result<Answer, Problem> {
    let request = idempotency.request(&me);
    if let Some(request) = &request
        && let Some(known) = app.store.idempotency_record(request).await?
    {
        // The earlier request may have died before it replaced the counts.
        app.refresh_counts(post, None).await?;
        return known.replay();
    }
    let visible = app.store.visible_post_with(&me, post).await?;
    let (_, visibility) = visible.ok_or_else(Path::<PostId>::not_found)?;
    let profile = match visibility.existing(&me) {
        Some(profile) => profile.clone(),
        // The caller has left, or writes for the first time.
        None => http::writer(&app.store, &me).await?,
    };
    let author = Author::of(&me, Some(&profile));
    let newest = app.newest(post, stamp).await?;
    let hold = app.cache.hold_counts(&HashSet::from([post])).await?;
    let answer = loop {
        let id = app.ids.mint_after(stamp.version().timestamp(), newest);
        let comment = Comment {
            id: CommentId(id),
            post,
            author: me.clone(),
            text: text.clone(),
        };
        let location = format!("/v1/posts/{post}/comments/{}", comment.id);
        let answer = Answer::created(location, &comment.clone().view(author.clone(), &app.images))?;
        let request = request.as_ref().map(|request| (request, &answer));
        match app.store.create_comment(&comment, request).await? {
            Created::Now => break answer,
            Created::Before(known) => break known.replay()?,
            Created::IdTaken => {}
            // A comment shows no picture.
            Created::PictureGone | Created::Outdated => {
                app.refresh_counts(post, Some(&hold)).await?;
                return Err(Path::<PostId>::not_found());
            }
        }
    };
    app.refresh_counts(post, Some(&hold)).await?;
    Ok(answer)
}

impl App {
    /// Returns the id of the post's newest comment, which the next comment's id must exceed. Returns `None` unless the
    /// stamp comes from this process's own clock.
    async fn newest(&self, post: PostId, stamp: Stamp) -> Result<Option<Id>, Problem> {
        if !stamp.is_own() {
            return Ok(None);
        }
        let newest = self.store.comments(post, None, 1).await?;
        Ok(newest.first().map(|comment| comment.id.0))
    }

    /// Replaces the cached counts by the store's and releases the hold.
    async fn refresh_counts(&self, post: PostId, hold: Option<&Hold>) -> Result<(), Problem> {
        match self.store.post_counts(&[post]).await {
            Ok(counts) => {
                let counts = counts.get(&post).copied().unwrap_or_default();
                Ok(self.cache.put_counts(hold, post, counts).await?)
            }
            Err(error) => {
                let chain = log::chain(&error);
                tracing::warn!(error = chain, "counts are left to their next reader");
                let hold = hold.ok_or(error)?;
                Ok(self.cache.release(hold).await?)
            }
        }
    }
}

/// Lists a post's comments, without those by users whom the caller doesn't see.
async fn list(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(post): Path<PostId>,
    paging: Paging,
) -> Result<Json<Page<CommentView>>, Problem> {
    let list = format!("comments/{post}");
    let (limit, after) = paging.open(&list, CommentId::at_position)?;
    let visible = app.store.visible_post(&me, post).await?;
    visible.ok_or_else(Path::<PostId>::not_found)?;
    let (store, images, me) = (&app.store, &app.images, &me);
    let comments = full_page(limit.get(), after, |after, most| async move {
        let comments = store.comments(post, after, most).await?;
        let authors = distinct(comments.iter().map(|comment| &comment.author));
        let visibility = store.visibility_on_page(me, &authors).await?;
        let end = comments.last().map(|comment| comment.id);
        let end = end.filter(|_| comments.len() == most);
        let view = |comment: Comment| {
            let author = visibility.author(&comment.author)?;
            Some(comment.view(author, images))
        };
        let views = comments.into_iter().filter_map(view).collect();
        Ok::<_, store::Error>(Segment::new(views, end, |comment: &CommentView| comment.id))
    })
    .await?;
    Ok(Json(Page::new(&list, comments, |comment| {
        comment.0.to_bytes()
    })))
}

fn distinct<'u>(users: impl Iterator<Item = &'u UserId>) -> Vec<UserId> {
    let users: HashSet<&UserId> = users.collect();
    users.into_iter().cloned().collect()
}

async fn remove(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path((post, id)): Path<(PostId, CommentId)>,
) -> Result<StatusCode, Problem> {
    app.check_may_delete(&me, post, id).await?;
    let hold = app.cache.hold_counts(&HashSet::from([post])).await?;
    let deleted = app.store.delete_comment(post, id).await?;
    app.refresh_counts(post, Some(&hold)).await?;
    if deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Path::<CommentId>::not_found())
    }
}

impl App {
    /// Checks that the caller wrote the comment or its post. Blocks don't matter. Other callers learn only about posts
    /// and comments that they can see.
    async fn check_may_delete(
        &self,
        me: &UserId,
        post: PostId,
        id: CommentId,
    ) -> Result<(), Problem> {
        let store = &self.store;
        let (found, comment) = futures::try_join!(store.post(post), store.comment(post, id))?;
        let of = found.ok_or_else(Path::<PostId>::not_found)?.author;
        let by = comment.map(|comment| comment.author);
        let users = distinct([&of, me].into_iter().chain(&by));
        let visibility = store.visibility(me, &users).await?;
        if visibility.has_withdrawn(me) {
            return Err(Problem::withdrawn());
        }
        if visibility.has_withdrawn(&of) {
            return Err(Path::<PostId>::not_found());
        }
        match by {
            Some(by) if by == *me || of == *me => Ok(()),
            _ if !visibility.allows(&of) => Err(Path::<PostId>::not_found()),
            Some(by) if visibility.allows(&by) => Err(Problem::forbidden(
                "Only its author or the post's may delete a comment.",
            )),
            Some(_) => Err(Path::<CommentId>::not_found()),
            None => {
                // An earlier deletion may have died before it replaced the counts.
                self.refresh_counts(post, None).await?;
                Err(Path::<CommentId>::not_found())
            }
        }
    }
}
