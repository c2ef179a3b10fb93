//! Uploads and pictures (S3). Clients put uploads into a bucket that only functions can read. Pictures made from them
//! are in another bucket, which the CDN serves to everybody.
//!
//! A client gets a presigned PUT for one object of a given type and size that doesn't exist yet. The object is tagged
//! as unused until its picture is made. After two days the bucket's lifecycle removes objects that still have the tag:
//! uploads whose notification never came.

mod pictures;

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, Object, ObjectIdentifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::aws::{CountCalls, OnlyConnect};
use crate::domain::{ContentType, ImageKey, Timestamp, UploadSize, UserId};
use crate::env::{self, BadSetting};
use crate::invocation::Callee;
use crate::lifecycle;

pub use pictures::PictureBucket;

/// The lifetime of a presigned PUT.
const VALID_SECONDS: u32 = 15 * 60;
/// The time limit for reading an object; it leaves time to use the object and to answer.
const READ: Duration = Duration::from_secs(5);
/// The time for which an object's body may stall.
const STALL: Duration = Duration::from_secs(1);
/// The maximum number of times that a body is fetched if it breaks off.
const FETCHES: u32 = 3;
/// The tag of an upload whose picture isn't made, by which the bucket's lifecycle rule finds it.
const UNUSED: &str = "state=unused";

/// The bucket of uploads.
#[derive(Debug, Clone)]
pub struct Media {
    client: Client,
    /// Signs the requests of clients, who may reach the bucket at another address.
    signer: Client,
    bucket: String,
}

/// The bucket did not answer, or not in time.
#[derive(Debug, thiserror::Error)]
#[error("the bucket did not answer")]
pub struct Error(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Error {
    fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

/// An object was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such object.
    #[error("there is no such object")]
    Missing,
    /// The object is larger than the reader accepts.
    #[error("the object is larger than the reader takes")]
    TooLarge,
    /// The bucket did not answer, or not in time.
    #[error(transparent)]
    Unavailable(#[from] Error),
}

/// A body ended early, or was larger than announced.
#[derive(Debug, thiserror::Error)]
#[error("the object's body is not as long as it said")]
struct LengthMismatch;

/// The SHA-256 that an upload must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// Creates a checksum from its 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A signed request that puts one object into the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PresignedPut {
    /// The URL to send the request to.
    pub url: String,
    /// Every header that the request must have. Browsers set `content-length` themselves; it must be this one.
    pub headers: BTreeMap<String, String>,
    /// The time at which the request expires.
    pub expires_at: Timestamp,
}

impl Media {
    /// Creates the bucket that `UPLOADS_BUCKET` names, which clients reach at `UPLOAD_ENDPOINT_URL`, if that is set.
    /// Begins to connect to it.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, BadSetting> {
        let media = Self::new(aws, env::required("UPLOADS_BUCKET")?);
        let media = match env::optional("UPLOAD_ENDPOINT_URL") {
            Some(endpoint) => media.reached_at(&endpoint),
            None => media,
        };
        connect(&media.client, &media.bucket);
        Ok(media)
    }

    /// Creates the bucket with this name.
    pub fn new(aws: &SdkConfig, bucket: String) -> Self {
        let client = client(aws);
        Self {
            signer: client.clone(),
            client,
            bucket,
        }
    }

    /// Signs for clients who reach the bucket by this URL, to whose path the bucket's name is added. A signature covers
    /// the host.
    #[must_use]
    pub fn reached_at(mut self, endpoint: &str) -> Self {
        let config = self.client.config().to_builder();
        let config = config.endpoint_url(endpoint).force_path_style(true);
        self.signer = Client::from_conf(config.build());
        self
    }

    /// Signs a PUT of an object of this type, size and, if given, checksum, valid for 15 minutes, and only while the
    /// key has no object. Makes no call.
    pub async fn presign(
        &self,
        key: &ImageKey,
        kind: ContentType,
        size: UploadSize,
        checksum: Option<Checksum>,
    ) -> Result<PresignedPut, Error> {
        // S3 counts from the second of the signature.
        let start = Timestamp::from_millis(Timestamp::now().seconds().saturating_mul(1000));
        let presigning = PresigningConfig::builder()
            .start_time(
                SystemTime::UNIX_EPOCH + Duration::from_secs(start.seconds().unsigned_abs()),
            )
            .expires_in(Duration::from_secs(VALID_SECONDS.into()))
            .build()
            .map_err(Error::new)?;
        let put = self
            .signer
            .put_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .content_type(kind.as_str())
            .content_length(i64::try_from(size.bytes()).map_err(Error::new)?)
            .set_checksum_sha256(checksum.map(|Checksum(bytes)| STANDARD.encode(bytes)))
            .if_none_match("*")
            .tagging(UNUSED)
            .presigned(presigning)
            .await
            .map_err(Error::new)?;
        let headers = put
            .headers()
            .filter(|(name, _)| is_signed(name, put.uri()))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let expires_at = start.plus_seconds(VALID_SECONDS.into());
        Ok(PresignedPut {
            url: put.uri().to_owned(),
            headers,
            expires_at,
        })
    }

    /// Reads the key's object, of at most `limit` bytes: a larger object is refused by the size that S3 reports, before
    /// any of it is read.
    ///
    /// A call is tried again as all calls are, and a body that breaks off or stalls is fetched again, all of it within
    /// five seconds. The role needs `s3:GetObject`, and `s3:ListBucket`: without it, S3 answers "forbidden" for a missing
    /// object.
    pub async fn read(&self, key: &ImageKey, limit: u64) -> Result<Vec<u8>, ReadError> {
        read(&self.client, &self.bucket, key.as_str(), limit).await
    }
}

/// Creates the client of buckets.
fn client(aws: &SdkConfig) -> Client {
    // An endpoint of our own (a local stack) has no host name for each bucket.
    let moved = std::env::var_os("AWS_ENDPOINT_URL_S3").is_some() || aws.endpoint_url().is_some();
    let config = Builder::from(aws)
        .force_path_style(moved)
        .interceptor(CountCalls(Callee::Bucket))
        .build();
    Client::from_conf(config)
}

/// Begins to connect to a bucket.
fn connect(client: &Client, bucket: &str) {
    let call = client.head_bucket().bucket(bucket).customize();
    lifecycle::begin(async move {
        let _ = call.interceptor(OnlyConnect).send().await;
    });
}

/// Reads an object of at most `limit` bytes: see [`Media::read`].
async fn read(client: &Client, bucket: &str, key: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
    let reading = async {
        let mut fetches = 1;
        loop {
            let object = open(client, bucket, key).await?;
            let size = object.content_length().unwrap_or_default();
            let size = u64::try_from(size).map_err(Error::new)?;
            if size > limit {
                return Err(ReadError::TooLarge);
            }
            match collect(object.body, size).await {
                Err(error) if fetches < FETCHES => {
                    let error = crate::log::chain(&error);
                    tracing::warn!(error, "an object broke off");
                }
                read => return Ok(read?),
            }
            fetches += 1;
        }
    };
    let read = tokio::time::timeout(READ, reading).await;
    read.map_err(Error::new)?
}

/// Returns an object, with its body not read yet.
async fn open(client: &Client, bucket: &str, key: &str) -> Result<GetObjectOutput, ReadError> {
    let call = client.get_object().bucket(bucket).key(key);
    call.send().await.map_err(|error| {
        let missing = error
            .as_service_error()
            .is_some_and(GetObjectError::is_no_such_key);
        if missing {
            ReadError::Missing
        } else {
            Error::new(error).into()
        }
    })
}

impl Media {
    /// Removes the tag, so that the upload stays. Removing it twice is harmless, and so is a missing object.
    pub async fn untag(&self, key: &ImageKey) -> Result<(), Error> {
        let call = self
            .client
            .delete_object_tagging()
            .bucket(&self.bucket)
            .key(key.as_str());
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(Error::new(error)),
        }
    }

    /// Deletes an upload. A missing one is no error.
    pub async fn delete(&self, key: &ImageKey) -> Result<(), Error> {
        let call = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(key.as_str());
        call.send().await.map(drop).map_err(Error::new)
    }
}

impl Media {
    /// Returns the number of bytes of a user's uploads, used or not. The role needs `s3:ListBucket`.
    pub async fn stored_by(&self, owner: &UserId) -> Result<i64, Error> {
        let list = self.client.list_objects_v2().bucket(&self.bucket);
        let mut pages = list.prefix(ImageKey::prefix(owner)).into_paginator().send();
        let mut bytes = 0_i64;
        while let Some(page) = pages.try_next().await.map_err(Error::new)? {
            let sizes = page.contents().iter().filter_map(Object::size);
            bytes = sizes.fold(bytes, i64::saturating_add);
        }
        Ok(bytes)
    }

    /// Deletes everything that a user uploaded. The role needs `s3:ListBucket` and `s3:DeleteObject`.
    pub async fn erase(&self, owner: &UserId) -> Result<(), Error> {
        loop {
            let list = self.client.list_objects_v2().bucket(&self.bucket);
            let found = list
                .prefix(ImageKey::prefix(owner))
                .send()
                .await
                .map_err(Error::new)?;
            let ids = found.contents().iter().filter_map(Object::key);
            let ids = ids.map(|key| ObjectIdentifier::builder().key(key).build());
            let ids = ids.collect::<Result<Vec<_>, _>>().map_err(Error::new)?;
            if ids.is_empty() {
                return Ok(());
            }
            let delete = Delete::builder().set_objects(Some(ids)).quiet(true).build();
            let deleted = self
                .client
                .delete_objects()
                .bucket(&self.bucket)
                .delete(delete.map_err(Error::new)?)
                .send()
                .await
                .map_err(Error::new)?;
            if !deleted.errors().is_empty() {
                return Err(Error::new(NotDeleted(deleted.errors().len())));
            }
        }
    }
}

/// Some objects remain.
#[derive(Debug, thiserror::Error)]
#[error("{0} objects were not deleted")]
struct NotDeleted(usize);

/// Reads a body of this many bytes into one piece of memory: it may be large, and a function's memory small.
async fn collect(mut body: ByteStream, size: u64) -> Result<Vec<u8>, Error> {
    let size = usize::try_from(size).map_err(Error::new)?;
    let mut bytes = Vec::with_capacity(size);
    while let Some(piece) = tokio::time::timeout(STALL, body.try_next())
        .await
        .map_err(Error::new)?
        .map_err(Error::new)?
    {
        if bytes.len() + piece.len() > size {
            return Err(Error::new(LengthMismatch));
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() < size {
        return Err(Error::new(LengthMismatch));
    }
    Ok(bytes)
}

/// Returns whether a presigned URL's signature covers a header. Clients need not send other headers (inside Lambda, the
/// SDK adds its own trace id).
fn is_signed(header: &str, url: &str) -> bool {
    let list = url
        .split(['?', '&'])
        .find_map(|pair| pair.strip_prefix("X-Amz-SignedHeaders="));
    list.is_some_and(|list| list.split("%3B").any(|signed| signed == header))
}

#[cfg(test)]
mod tests;
