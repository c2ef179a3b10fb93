//! `POST` and `GET /v1/posts/{id}/comments`, and `DELETE /v1/posts/{id}/comments/{comment_id}`.
//!
//! A post's counts are read from the cache in feeds: what it has of them is replaced before a change is
//! answered. A request that can't be answered for that, or dies before, is sent again, and finds its work
//! done but for that. Until then, and where it isn't sent again, the hold on the counts has them read anew.

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
    let request = idempotency.request(&me);
    if let Some(request) = &request
        && let Some(known) = app.store.idempotency_record(request).await?
    {
        // Who answered before may have died right after.
        app.counted(post, None).await?;
        return known.replay();
    }
    let seen = app.store.seen_post_with(&me, post).await?;
    let (_, shown) = seen.ok_or_else(Path::<PostId>::not_found)?;
    let profile = match shown.known(&me) {
        Some(profile) => profile.clone(),
        // They have left, or write for the first time.
        None => http::writer(&app.store, &me).await?,
    };
    let author = Author::of(&me, Some(&profile));
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
        let request = request.as_ref().map(|request| (request, &answer));
        match app.store.create_comment(&comment, request).await? {
            Created::Now => break answer,
            Created::Before(known) => break known.replay()?,
            Created::IdTaken => {}
            Created::Outdated => {
                app.counted(post, Some(&hold)).await?;
                return Err(Path::<PostId>::not_found());
            }
        }
    };
    app.counted(post, Some(&hold)).await?;
    Ok(answer)
}

impl App {
    /// Puts the counts that the store has into the cache, in place of earlier ones, and lets go of them.
    async fn counted(&self, post: PostId, hold: Option<&Hold>) -> Result<(), Problem> {
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
    app.check_may_delete(&me, post, id).await?;
    let hold = app.cache.hold_counts(&HashSet::from([post])).await?;
    let deleted = app.store.delete_comment(post, id).await?;
    app.counted(post, Some(&hold)).await?;
    if deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Path::<CommentId>::not_found())
    }
}

impl App {
    /// A comment's author may delete it as long as the post is there, and so may the post's, whoever blocks whom.
    /// Others are told of what they see, and of nothing else.
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
        let shown = store.shown(me, &users).await?;
        if shown.has_left(me) {
            return Err(Problem::withdrawn());
        }
        if shown.has_left(&of) {
            return Err(Path::<PostId>::not_found());
        }
        match by {
            Some(by) if by == *me || of == *me => Ok(()),
            _ if !shown.sees(&of) => Err(Path::<PostId>::not_found()),
            Some(by) if shown.sees(&by) => Err(Problem::forbidden(
                "Only its author or the post's may delete a comment.",
            )),
            Some(_) => Err(Path::<CommentId>::not_found()),
            None => {
                // A deletion before this one may have died right after.
                self.counted(post, None).await?;
                Err(Path::<CommentId>::not_found())
            }
        }
    }
}
