//! `POST /v1/classify`, which names the breed of the cat in an image, and `GET /v1/breeds`, which lists all breeds.
//!
//! The image is either an upload of the caller, named by its key, or the request's body, for which the load balancer
//! allows 1 MiB. `?top=` is the number of breeds to name, 1 to 12, most likely first. The default is 5, as in api.md's
//! example: the probabilities after the fifth are next to nothing.
//!
//! The model is read during init, from the folder `MODEL_DIR`, or `model` beside the executable.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::decode::ImageError;
use purrline::domain::{
    BREEDS, Breed, BreedProbability, Classification, ImageKey, Invalid, ModelInfo, NOT_UPLOADED,
    Page, Reason, Segment, UPLOAD_MAX_BYTES, UserId,
};
use purrline::http::routes::{CLASSIFY, LIST_BREEDS, NamedImage, Top};
use purrline::http::{self, Caller, FromFields, ImageBody, Paging, Problem, Query, Settings};
use purrline::media::{Media, ReadError};
use purrline::vision::Classifier;
use purrline::{aws, lifecycle, log, metrics};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The maximum size of a request's body in bytes, which is also the load balancer's limit.
const BODY_LIMIT: usize = 1024 * 1024;
/// The name of the list of breeds in cursors.
const LIST: &str = "breeds";

fn main() -> Result<(), http::Error> {
    log::init();
    lifecycle::decoding_runtime()?.block_on(serve())
}

async fn serve() -> Result<(), http::Error> {
    let folder = model_dir()?;
    let classifier = tokio::task::spawn_blocking(move || Classifier::load(&folder)).await??;
    let app = App {
        model: classifier.model().clone(),
        classifier: Arc::new(Mutex::new(classifier)),
        media: Media::from_env(&aws::config().await)?,
    };
    let routes = Router::new()
        .merge(LIST_BREEDS.handled_by(breeds))
        .merge(CLASSIFY.handled_by(classify))
        .with_state(app);
    let settings = Settings::from_env()?.limited_by(&Cache::from_env()?)?;
    http::run(routes, settings.with_body_limit(BODY_LIMIT)).await
}

fn model_dir() -> std::io::Result<PathBuf> {
    match std::env::var_os("MODEL_DIR") {
        Some(dir) => Ok(dir.into()),
        None => Ok(std::env::current_exe()?.with_file_name("model")),
    }
}

#[derive(Clone)]
struct App {
    /// Classifies one image at a time: a request that timed out may still be at work when the next one comes, and the
    /// memory suffices for only one.
    classifier: Arc<Mutex<Classifier>>,
    model: ModelInfo,
    media: Media,
}

/// The right to classify one image.
type Permit = OwnedMutexGuard<Classifier>;
type Breeds = Vec<BreedProbability>;

async fn classify(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(mut query): Query,
    image: ImageBody,
) -> Result<Json<Classification>, Problem> {
    let top = query.optional("top", Top::parse);
    let (top, mut breeds) = match image {
        ImageBody::Bytes(bytes) => {
            let (top,) = query.finish((top,))?;
            let permit = app.acquire().await;
            (top, breeds_of(permit, bytes).await??)
        }
        ImageBody::Fields(mut fields) => {
            let named = NamedImage::read(&mut fields);
            let (top, NamedImage { image }) = fields.with(query).finish((top, named))?;
            (top, app.breeds_of_upload(&caller, &image.text).await?)
        }
    };
    breeds.truncate(top.unwrap_or_default().0);
    Ok(Json(Classification {
        breeds,
        model: app.model,
    }))
}

impl App {
    async fn acquire(&self) -> Permit {
        Arc::clone(&self.classifier).lock_owned().await
    }

    /// Returns all breeds of an upload, most likely first.
    async fn breeds_of_upload(&self, caller: &UserId, key: &str) -> Result<Breeds, Problem> {
        let unusable = |reason: Reason| Problem::unusable(Invalid::one("/image", reason));
        let key = ImageKey::sent_by(caller, key).map_err(unusable)?;
        // The image's bytes take memory too, so they are fetched only when it is this request's turn.
        let permit = self.acquire().await;
        let image = self.media.read(&key, UPLOAD_MAX_BYTES).await;
        let image = image.map_err(|error| match error {
            ReadError::Missing => unusable(NOT_UPLOADED),
            ReadError::TooLarge => {
                let detail = format!("The image is larger than {UPLOAD_MAX_BYTES} bytes.");
                Problem::too_large(detail).about("/image")
            }
            ReadError::Unavailable(error) => error.into(),
        })?;
        let breeds = breeds_of(permit, image).await?;
        breeds.map_err(|error| Problem::from(error).about("/image"))
    }
}

/// Returns all breeds of an image, most likely first. Classifying occupies the processor for some time, so it runs on a
/// thread of its own, and it continues to its end even if the request has given up.
async fn breeds_of(
    permit: Permit,
    image: impl AsRef<[u8]> + Send + 'static,
) -> Result<Result<Breeds, ImageError>, Problem> {
    let breeds = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        let breeds = permit.classify(image.as_ref());
        metrics::classified(started.elapsed());
        breeds
    });
    breeds.await.map_err(|error| Problem::internal(&error))
}

async fn breeds(_: Caller, paging: Paging) -> Result<Json<Page<Breed>>, Problem> {
    let place = |id: &[u8]| BREEDS.iter().position(|breed| breed.id.as_bytes() == id);
    let (limit, last) = paging.open(LIST, place)?;
    let rest = BREEDS.get(last.map_or(0, |last| last + 1)..);
    let rest = rest.unwrap_or_default();
    let page = Segment::first(limit.get(), rest.to_vec(), |breed| breed.id);
    Ok(Json(Page::new(LIST, page, |id| *id)))
}
