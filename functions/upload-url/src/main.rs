//! `POST /v1/uploads`: a presigned PUT for one image.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use purrline::cache::Cache;
use purrline::domain::{
    ContentType, ImageKey, Reason, Timestamp, UPLOAD_MAX_BYTES, Upload, UploadSize, UserId,
};
use purrline::http::{self, Caller, Fields, Idempotency, Problem, Settings};
use purrline::media::{Checksum, Media};
use purrline::store::{Answer, Once, Store};
use purrline::{aws, log};

/// A presigned PUT that is about to expire is no use to a client.
const USEFUL_SECONDS: i64 = 60;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let aws = aws::config().await;
    let parts = Parts {
        media: Media::from_env(&aws)?,
        store: Store::from_env(&aws)?,
    };
    let routes = Router::new()
        .route("/v1/uploads", post(upload))
        .with_state(parts);
    let settings = Settings::from_env()?.limited_by(&Cache::from_env()?)?;
    http::run(routes, settings).await
}

#[derive(Clone)]
struct Parts {
    media: Media,
    store: Store,
}

/// What the client means to upload.
struct Wanted {
    kind: ContentType,
    size: UploadSize,
    checksum: Option<Checksum>,
}

async fn upload(
    State(parts): State<Parts>,
    Caller(caller): Caller,
    idempotency: Idempotency,
    fields: Fields,
) -> Result<Answer, Problem> {
    let wanted = Wanted::read(fields)?;
    // An erasure waits for what was allowed before, and for nothing else.
    http::not_withdrawn(&parts.store, &caller).await?;
    let Some(once) = idempotency.once(&caller) else {
        return parts.mint(&caller, &wanted).await;
    };
    let answer = match parts.store.known(&once).await? {
        Some(known) => known.again()?,
        None => parts.mint_once(&caller, &wanted, &once).await?,
    };
    let upload: Upload =
        serde_json::from_str(&answer.body).map_err(|error| Problem::internal(&error))?;
    if upload.expires_at > Timestamp::now().plus_seconds(USEFUL_SECONDS).to_string() {
        return Ok(answer);
    }
    let answer = parts.presign(upload.key, &wanted).await?;
    parts.store.replace(&once, &answer).await?;
    Ok(answer)
}

impl Parts {
    async fn mint(&self, caller: &UserId, wanted: &Wanted) -> Result<Answer, Problem> {
        self.presign(ImageKey::mint(caller, wanted.kind), wanted)
            .await
    }

    /// The answer that is remembered: this one, or that of a request that was faster.
    async fn mint_once(
        &self,
        caller: &UserId,
        wanted: &Wanted,
        once: &Once,
    ) -> Result<Answer, Problem> {
        let answer = self.mint(caller, wanted).await?;
        match self.store.remember(once, &answer).await? {
            None => Ok(answer),
            Some(faster) => faster.again(),
        }
    }

    async fn presign(&self, key: ImageKey, wanted: &Wanted) -> Result<Answer, Problem> {
        let put = self
            .media
            .presign(&key, wanted.kind, wanted.size, wanted.checksum)
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

impl Wanted {
    fn read(mut fields: Fields) -> Result<Self, Problem> {
        let kind = fields.required("content_type", |text| Ok::<_, Reason>(text.to_owned()));
        let size = fields.number("size");
        let checksum = fields.optional("sha256", checksum);
        let (kind, size, checksum) = fields.finish((kind, size, checksum))?;
        let kind = ContentType::parse(&kind).map_err(|reason| {
            Problem::unsupported_media_type(format!("The upload's type {reason}."))
        })?;
        let size = UploadSize::new(size).ok_or_else(|| {
            Problem::too_large(format!("An upload is 1 to {UPLOAD_MAX_BYTES} bytes."))
        })?;
        Ok(Self {
            kind,
            size,
            checksum,
        })
    }
}

fn checksum(text: &str) -> Result<Checksum, Reason> {
    let bytes = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Checksum::new)
        .ok_or(Reason::new("must be a SHA-256 in base64, 44 characters"))
}
