//! `POST /v1/cats`, `GET`, `PATCH` and `DELETE /v1/cats/{id}`, and `GET /v1/users/{id}/cats`.
//!
//! When a cat is registered with a photo but without a breed, the answer includes `breed_suggestions`: the classifier's
//! three best guesses for the photo's picture, or none if it fails or takes too long. They are part of the answer that an `Idempotency-Key`
//! remembers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    BreedProbability, Cat, CatEdit, CatId, CatView, IdSource, ImageHost, IndexMessage, Invalid,
    NOT_UPLOADED, Page, Picture, RegisteredCat, Segment, Subject, UserId, UserRef,
};
use purrline::full_page::full_page;
use purrline::http::routes::{
    CREATE_CAT, DELETE_CAT, EDIT_CAT, EditCat, GET_CAT, LIST_CATS_BY_USER, NewCat,
};
use purrline::http::{
    self, Body, Caller, Clearable, Idempotency, Paging, Path, Problem, Settings, StampedCaller,
};
use purrline::media::PictureBucket;
use purrline::queue::Queue;
use purrline::store::{self, Answer, Created, EditedCat, IdempotencyRecord, Store};
use purrline::suggest::Suggestions;
use purrline::uploads::{UnusableUploads, Uploads};
use purrline::{aws, env, log};

/// The maximum size in bytes of a picture that the classifier takes. Only very tall ones are larger, and have no suggestions.
const PICTURE_MAX_BYTES: u64 = 1024 * 1024;
/// The width in pixels from which a picture has all the detail that the classifier uses.
const CLASSIFIED_WIDTH: u32 = 512;
/// The time limit for suggestions, the reading of the picture included.
const SUGGESTING: Duration = Duration::from_secs(4);

struct App {
    store: Store,
    uploads: Uploads,
    pictures: PictureBucket,
    suggestions: Suggestions,
    images: ImageHost,
    ids: IdSource,
    index: Queue,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let config = aws::config().await;
    let store = Store::from_env(&config)?;
    let app = App {
        uploads: Uploads::from_env(&config, store.clone())?,
        store,
        pictures: PictureBucket::from_env(&config)?,
        suggestions: Suggestions::from_env(&config)?,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
        ids: IdSource::new(),
        index: Queue::from_env(&config, "INDEX_QUEUE_URL")?,
    };
    let router = Router::new()
        .merge(CREATE_CAT.handled_by(create))
        .merge(GET_CAT.handled_by(by_id))
        .merge(EDIT_CAT.handled_by(edit))
        .merge(DELETE_CAT.handled_by(delete))
        .merge(LIST_CATS_BY_USER.handled_by(by_user))
        .with_state(Arc::new(app));
    let settings = Settings::from_env()?.ordered(&Cache::from_env()?)?;
    http::run(router, settings).await
}

impl App {
    /// Returns the picture of the caller's upload.
    async fn photo(&self, caller: &UserId, key: &str) -> Result<Picture, Problem> {
        let picture = self.uploads.one(caller, key).await?;
        let picture = picture.map_err(|reason| UnusableUploads::one("/photo", reason))?;
        Ok(picture)
    }

    /// Returns the breeds that the classifier suggests for a photo.
    async fn suggest(&self, photo: &Picture, authorization: &str) -> Vec<BreedProbability> {
        let file = photo.file_of_at_least(CLASSIFIED_WIDTH);
        let suggestions = async {
            match self.pictures.read(&file, PICTURE_MAX_BYTES).await {
                Ok(jpeg) => self.suggestions.of(&jpeg, authorization).await,
                Err(error) => {
                    let error = log::chain(&error);
                    tracing::warn!(error, "no breeds are suggested: the picture was not read");
                    Vec::new()
                }
            }
        };
        // An extra must not cost the request.
        let suggestions = tokio::time::timeout(SUGGESTING, suggestions).await;
        suggestions.unwrap_or_default()
    }

    /// Tells search of a change.
    async fn notify_search(&self, id: CatId) -> Result<(), Problem> {
        let changed = IndexMessage::new(Subject::Cat(id));
        Ok(self.index.send(&changed).await?)
    }

    /// Tells search of a change, and only logs a failure, so that the request succeeds all the same. Used for a new
    /// cat, since repeating the request without a key would create another (with a key, it tells search again), and for
    /// a deleted cat.
    async fn try_notify_search(&self, id: CatId) {
        if let Err(problem) = self.notify_search(id).await {
            tracing::warn!(%id, status = problem.status().as_u16(), "search was not told of a cat");
        }
    }

    /// Repeats the answer of an earlier request, and tells search again: that request may have died before it did.
    async fn replay(&self, known: IdempotencyRecord) -> Result<Answer, Problem> {
        let answer = known.replay()?;
        let location = answer.location.as_deref().unwrap_or_default();
        let id = location.rsplit('/').next().map(CatId::parse);
        if let Some(Ok(id)) = id {
            self.try_notify_search(id).await;
        }
        Ok(answer)
    }

    /// Returns a cat that the caller may see.
    async fn visible(&self, caller: &UserId, id: CatId) -> Result<Cat, Problem> {
        let visible = self.store.visible_cat(caller, id).await?;
        visible.ok_or_else(Path::<CatId>::not_found)
    }

    /// Returns a cat that the caller may change.
    async fn owned(&self, caller: &UserId, id: CatId) -> Result<Cat, Problem> {
        let cat = self.visible(caller, id).await?;
        if cat.owner == *caller {
            Ok(cat)
        } else {
            Err(Problem::forbidden("Only its owner may change a cat."))
        }
    }
}

async fn create(
    State(app): State<Arc<App>>,
    StampedCaller {
        caller: me, stamp, ..
    }: StampedCaller,
    idempotency: Idempotency,
    headers: HeaderMap,
    Body(new): Body<NewCat>,
) -> Result<Answer, Problem> {
    let created_at = stamp.version().timestamp();
    let request = idempotency.request(&me);
    if let Some(request) = &request
        && let Some(known) = app.store.idempotency_record(request).await?
    {
        return app.replay(known).await;
    }
    let photo = async {
        match &new.photo {
            Some(key) => app.photo(&me, &key.text).await.map(Some),
            None => Ok(None),
        }
    };
    let (photo, _) = futures::try_join!(photo, http::writer(&app.store, &me))?;
    let mut cat = Cat {
        id: CatId(app.ids.mint_at(created_at)),
        owner: me,
        name: new.name,
        breed: new.breed,
        birth_date: new.birth_date,
        photo,
        bio: new.bio.filter(|bio| !bio.as_str().is_empty()),
    };
    let breed_suggestions = match (&cat.breed, &cat.photo) {
        (None, Some(photo)) => {
            let authorization = headers.get(AUTHORIZATION).map(HeaderValue::to_str);
            let authorization = authorization.and_then(Result::ok).unwrap_or_default();
            Some(app.suggest(photo, authorization).await)
        }
        _ => None,
    };
    loop {
        let registered = RegisteredCat {
            cat: cat.clone().view(&app.images),
            breed_suggestions: breed_suggestions.as_deref(),
        };
        let answer = Answer::created(format!("/v1/cats/{}", cat.id), &registered)?;
        let request = request.as_ref().map(|request| (request, &answer));
        match app.store.create_cat(&cat, request).await? {
            Created::Now => {
                app.try_notify_search(cat.id).await;
                return Ok(answer);
            }
            Created::Before(known) => return app.replay(known).await,
            Created::PictureGone => return Err(photo_gone()),
            // A cat depends on nothing else that can change, so only its id can be at fault.
            Created::IdTaken | Created::Outdated => {
                cat.id = CatId(app.ids.mint_at(created_at));
            }
        }
    }
}

async fn by_id(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(id): Path<CatId>,
) -> Result<Json<CatView>, Problem> {
    Ok(Json(app.visible(&me, id).await?.view(&app.images)))
}

async fn edit(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(id): Path<CatId>,
    Body(edit): Body<EditCat>,
) -> Result<Json<CatView>, Problem> {
    let cat = app.owned(&me, id).await?;
    let photo = match edit.photo {
        Some(Clearable(Some(key))) => Some(Some(app.photo(&me, &key.text).await?)),
        none => none.map(|_| None),
    };
    let edit = CatEdit {
        name: edit.name,
        breed: edit.breed.map(|Clearable(breed)| breed),
        birth_date: edit.birth_date.map(|Clearable(date)| date),
        photo,
        bio: edit.bio.map(|Clearable(bio)| bio),
    };
    let announced = match &edit.photo {
        Some(photo) => {
            let (before, after) = (Vec::from_iter(&cat.photo), Vec::from_iter(photo));
            app.uploads.announce(&before, &after).await?
        }
        None => Vec::new(),
    };
    let edited = match app.store.edit_cat(cat.id, &me, &edit).await? {
        EditedCat::Now(cat, dropped) => {
            app.uploads.announce_rest(&announced, dropped).await;
            *cat
        }
        EditedCat::Gone => return Err(Path::<CatId>::not_found()),
        EditedCat::PictureGone => return Err(photo_gone()),
    };
    // If this fails, repeating the request tells search.
    app.notify_search(edited.id).await?;
    Ok(Json(edited.view(&app.images)))
}

async fn delete(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Path(id): Path<CatId>,
) -> Result<StatusCode, Problem> {
    let cat = app.owned(&me, id).await?;
    let before = Vec::from_iter(&cat.photo);
    let announced = app.uploads.announce(&before, &[]).await?;
    let dropped = app.store.delete_cat(cat.id, &me).await?;
    let dropped = dropped.ok_or_else(Path::<CatId>::not_found)?;
    app.uploads.announce_rest(&announced, dropped).await;
    // `sweep` tells search too, once no post shows the cat.
    app.try_notify_search(cat.id).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the refusal of a photo that was removed after it was looked up.
fn photo_gone() -> Problem {
    Problem::unusable(Invalid::one("/photo", NOT_UPLOADED))
}

async fn by_user(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    owner: Path<UserRef>,
    paging: Paging,
) -> Result<Json<Page<CatView>>, Problem> {
    let owner = owner.user(&app.store).await?;
    let users = std::slice::from_ref(&owner);
    if !app.store.visibility(&me, users).await?.finds(&owner) {
        return Err(Path::<UserId>::not_found());
    }
    let list = format!("cats/{owner}");
    let (limit, after) = paging.open(&list, CatId::at_position)?;
    let (app, owner) = (&*app, &owner);
    let views = full_page(limit.get(), after, |after, most| async move {
        let ids = app.store.cats_of(owner, after, most).await?;
        let mut found = app.store.readable_cats(&ids).await?;
        let cats = ids.iter().filter_map(|id| found.remove(id));
        let views = cats.map(|cat| cat.view(&app.images)).collect();
        let end = ids.last().copied().filter(|_| ids.len() == most);
        Ok::<_, store::Error>(Segment::new(views, end, |cat: &CatView| cat.id))
    })
    .await?;
    Ok(Json(Page::new(&list, views, |cat| cat.0.to_bytes())))
}
