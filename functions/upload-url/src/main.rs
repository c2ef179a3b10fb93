//! `POST /v1/uploads`: a presigned PUT for one image.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use purrline::cache::Cache;
use purrline::domain::{
    ContentType, ImageKey, Timestamp, UPLOAD_MAX_BYTES, Upload, UploadSize, UserId,
};
use purrline::http::routes::{CREATE_UPLOAD, NewUpload, Sha256};
use purrline::http::{self, Body, Caller, Idempotency, Problem, ProblemType, Settings};
use purrline::media::{Checksum, Media};
use purrline::store::{Allowance, Answer, Grant, IdempotentRequest, Store};
use purrline::{aws, env, log};

/// Seconds before its expiry at which a presigned PUT becomes useless to a client.
const USEFUL_SECONDS: i64 = 60;
/// The default limits of a user: photos a day, and bytes in all.
const UPLOADS_PER_DAY: i64 = 200;
const STORED_BYTES: i64 = 10 * 1024 * 1024 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let aws = aws::config().await;
    let app = App {
        media: Media::from_env(&aws)?,
        store: Store::from_env(&aws)?,
        allowance: Allowance {
            photos_a_day: env::whole_number("UPLOADS_PER_DAY", UPLOADS_PER_DAY)?,
            bytes: env::whole_number("STORED_BYTES", STORED_BYTES)?,
        },
    };
    let routes = Router::new()
        .merge(CREATE_UPLOAD.handled_by(upload))
        .with_state(app);
    let settings = Settings::from_env()?.limited_by(&Cache::from_env()?)?;
    http::run(routes, settings).await
}

#[derive(Clone)]
struct App {
    media: Media,
    store: Store,
    allowance: Allowance,
}

/// The upload that the client announces.
struct UploadRequest {
    kind: ContentType,
    size: UploadSize,
    checksum: Option<Checksum>,
}

async fn upload(
    State(app): State<App>,
    Caller(caller): Caller,
    idempotency: Idempotency,
    Body(new): Body<NewUpload>,
) -> Result<Answer, Problem> {
    let upload_request = UploadRequest::new(&new)?;
    // An erasure waits only for uploads that were allowed before it.
    http::not_withdrawn(&app.store, &caller).await?;
    let Some(request) = idempotency.request(&caller) else {
        return app.mint(&caller, &upload_request).await;
    };
    let answer = match app.store.idempotency_record(&request).await? {
        Some(known) => known.replay()?,
        None => app.mint_once(&caller, &upload_request, &request).await?,
    };
    let upload: Upload =
        serde_json::from_str(&answer.body).map_err(|error| Problem::internal(&error))?;
    if upload.expires_at > Timestamp::now().plus_seconds(USEFUL_SECONDS).to_string() {
        return Ok(answer);
    }
    app.store.renew_grant(&caller, Timestamp::now()).await?;
    let answer = app.presign(upload.key, &upload_request).await?;
    app.store.replace(&request, &answer).await?;
    Ok(answer)
}

impl App {
    async fn mint(
        &self,
        caller: &UserId,
        upload_request: &UploadRequest,
    ) -> Result<Answer, Problem> {
        self.grant(caller, upload_request.size).await?;
        self.presign(ImageKey::mint(caller, upload_request.kind), upload_request)
            .await
    }

    /// Mints an answer and remembers it. Returns the answer of another request if that was faster.
    async fn mint_once(
        &self,
        caller: &UserId,
        upload_request: &UploadRequest,
        request: &IdempotentRequest,
    ) -> Result<Answer, Problem> {
        let answer = self.mint(caller, upload_request).await?;
        match self.store.remember(request, &answer).await? {
            None => Ok(answer),
            Some(faster) => faster.replay(),
        }
    }

    /// Counts an upload against the caller's allowance. Answers 429 if the day's photos are used up, and 409 if there
    /// is no room.
    async fn grant(&self, caller: &UserId, size: UploadSize) -> Result<(), Problem> {
        let now = Timestamp::now();
        let grant = || self.store.grant_upload(caller, size, &self.allowance, now);
        let mut granted = grant().await?;
        if let Grant::Full(known) = granted
            && known.is_settled(now)
        {
            let bytes = self.media.stored_by(caller).await?;
            let correct = self.store.correct_granted(caller, &known, bytes, now);
            correct.await?;
            granted = grant().await?;
        }
        match granted {
            Grant::Yes => Ok(()),
            Grant::NotBefore(time) => {
                let wait = time.millis().saturating_sub(now.millis());
                let wait = Duration::from_millis(u64::try_from(wait).unwrap_or_default());
                Err(Problem::too_many_of(wait, "photos for one day"))
            }
            Grant::Full(_) => Err(storage_full()),
        }
    }

    async fn presign(
        &self,
        key: ImageKey,
        upload_request: &UploadRequest,
    ) -> Result<Answer, Problem> {
        let put = self
            .media
            .presign(
                &key,
                upload_request.kind,
                upload_request.size,
                upload_request.checksum,
            )
            .await?;
        let upload = Upload {
            key,
            method: "PUT".to_owned(),
            url: put.url,
            headers: put.headers,
            expires_at: put.expires_at.to_string(),
        };
        let body = serde_json::to_string(&upload).map_err(|error| Problem::internal(&error))?;
        Ok(Answer {
            status: StatusCode::CREATED.as_u16(),
            location: None,
            body,
        })
    }
}

fn storage_full() -> Problem {
    Problem::of_type(
        ProblemType::StorageFull,
        "Your uploads have reached their limit, and this file does not fit. Deleting posts with photos makes room.",
    )
}

impl UploadRequest {
    fn new(new: &NewUpload) -> Result<Self, Problem> {
        let kind = ContentType::parse(&new.content_type.text).map_err(|reason| {
            Problem::unsupported_media_type(format!("The upload's type {reason}."))
        })?;
        let size = UploadSize::new(new.size.0).ok_or_else(|| {
            Problem::too_large(format!("An upload is 1 to {UPLOAD_MAX_BYTES} bytes."))
        })?;
        let checksum = new
            .sha256
            .as_ref()
            .map(|Sha256(bytes)| Checksum::new(*bytes));
        Ok(Self {
            kind,
            size,
            checksum,
        })
    }
}
