//! `POST` and `GET /v1/posts/{id}/comments`, and `DELETE /v1/posts/{id}/comments/{comment_id}`.
//!
//! A post's counts are read from the cache in feeds: what it has of them must go before a change is
//! answered. A request that can't be answered for that, or dies before, is sent again, and finds its work
//! done but for that.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, post};
use axum::{Json, Router};
use purrline::cache::{Cache, Hold};
use purrline::domain::{
    Author, Comment, CommentId, CommentText, CommentView, IdSource, ImageHost, Page, PostId,
    Stretch, UserId,
};
use purrline::full_page::full_page;
use purrline::http::{self, Caller, Fields, Idempotency, Paging, Path, Problem, Settings, Word};
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
        .route("/v1/posts/{id}/comments", post(create).get(list))
        .route("/v1/posts/{id}/comments/{comment_id}", delete(remove))
        .with_state(Arc::new(app));
    http::run(router, settings).await
}

async fn create(
    State(app): State<Arc<App>>,
    Word {
        caller: me, stamp, ..
    }: Word,
    Path(post): Path<PostId>,
    idempotency: Idempotency,
    mut fields: Fields,
) -> Result<Answer, Problem> {
    let text = fields.required("text", CommentText::parse);
    let (text,) = fields.finish((text,))?;
    let once = idempotency.once(&me);
    if let Some(once) = &once
        && let Some(known) = app.store.known(once).await?
    {
        return known.again();
    }
    let (seen, profile) =
        futures::try_join!(app.store.seen_post(&me, post), app.store.profile(&me))?;
    seen.ok_or_else(Path::<PostId>::not_found)?;
    if profile.as_ref().is_some_and(|profile| profile.withdrawn) {
        return Err(Problem::withdrawn());
    }
    let author = Author::of(&me, profile.as_ref());
    let hold = app.cache.hold_counts(&HashSet::from([post])).await?;
    let answer = loop {
        let comment = Comment {
            id: CommentId(app.ids.mint_at(stamp.version().timestamp())),
            post,
            author: me.clone(),
            text: text.clone(),
        };
        let location = format!("/v1/posts/{post}/comments/{}", comment.id);
        let answer = Answer::created(location, &comment.clone().view(author.clone(), &app.images))?;
        let once = once.as_ref().map(|once| (once, &answer));
        match app.store.create_comment(&comment, once).await? {
            Created::Now => break answer,
            Created::Before(known) => break known.again()?,
            Created::IdTaken => {}
            Created::Outdated => return Err(Path::<PostId>::not_found()),
        }
    };
    app.counted(&hold).await;
    Ok(answer)
}

impl App {
    /// Lets the counts be read anew. Where the cache can't be told, it holds them a few seconds more.
    async fn counted(&self, hold: &Hold) {
        if let Err(error) = self.cache.release(hold).await {
            let error = purrline::log::chain(&error);
            tracing::warn!(error, "the cache learns of a comment later");
        }
    }
}

/// Without those by users whom the caller doesn't see.
async fn list(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(post): Path<PostId>,
    paging: Paging,
) -> Result<Json<Page<CommentView>>, Problem> {
    let list = format!("comments/{post}");
    let (limit, after) = paging.open(&list, CommentId::at_position)?;
    let seen = app.store.seen_post(&me, post).await?;
    seen.ok_or_else(Path::<PostId>::not_found)?;
    let (store, images, me) = (&app.store, &app.images, &me);
    let comments = full_page(limit.get(), after, |after, most| async move {
        let comments = store.comments(post, after, most).await?;
        let authors = distinct(comments.iter().map(|comment| &comment.author));
        let shown = store.shown(me, &authors).await?;
        let end = comments.last().map(|comment| comment.id);
        let end = end.filter(|_| comments.len() == most);
        let view = |comment: Comment| {
            let author = shown.author(&comment.author)?;
            Some(comment.view(author, images))
        };
        let views = comments.into_iter().filter_map(view).collect();
        Ok::<_, store::Error>(Stretch::new(views, end, |comment: &CommentView| comment.id))
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
    let (found, comment) = futures::try_join!(app.store.post(post), app.store.comment(post, id))?;
    let of = found.ok_or_else(Path::<PostId>::not_found)?.author;
    if me != of {
        let by = comment.as_ref().map(|comment| &comment.author);
        let users = distinct([&of].into_iter().chain(by));
        let shown = app.store.shown(&me, &users).await?;
        if !shown.sees(&of) {
            return Err(Path::<PostId>::not_found());
        }
        if let Some(by) = by.filter(|by| **by != me) {
            // Who doesn't see its author isn't told that it is there.
            return Err(if shown.sees(by) {
                Problem::forbidden("Only its author or the post's may delete a comment.")
            } else {
                Path::<CommentId>::not_found()
            });
        }
    }
    if comment.is_none() {
        return Err(Path::<CommentId>::not_found());
    }
    let hold = app.cache.hold_counts(&HashSet::from([post])).await?;
    let deleted = app.store.delete_comment(post, id).await?;
    app.counted(&hold).await;
    if deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Path::<CommentId>::not_found())
    }
}
