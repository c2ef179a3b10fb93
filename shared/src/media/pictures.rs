//! The bucket of pictures.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use futures::future::try_join_all;

use super::{Error, ReadError, client, connect, read};
use crate::domain::PictureName;
use crate::env::{self, BadSetting};

/// The time for which a picture may be kept: a month in browsers, and six hours in caches in between, which then forget a
/// picture that was removed.
const CACHE_CONTROL: &str = "public, max-age=2592000, s-maxage=21600, immutable";

/// The bucket of pictures, which the world reads.
#[derive(Debug, Clone)]
pub struct PictureBucket {
    client: Client,
    bucket: String,
}

impl PictureBucket {
    /// Creates the bucket that `PICTURES_BUCKET` names. Begins to connect to it.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, BadSetting> {
        let bucket = Self {
            client: client(aws),
            bucket: env::required("PICTURES_BUCKET")?,
        };
        connect(&bucket.client, &bucket.bucket);
        Ok(bucket)
    }

    /// Writes the files of a picture, the smallest first.
    pub async fn write(&self, name: &PictureName, files: Vec<Vec<u8>>) -> Result<(), Error> {
        let puts = name.files().into_iter().zip(files).map(|(path, jpeg)| {
            self.client
                .put_object()
                .bucket(&self.bucket)
                .key(path)
                .content_type("image/jpeg")
                .cache_control(CACHE_CONTROL)
                .body(ByteStream::from(jpeg))
                .send()
        });
        try_join_all(puts).await.map(drop).map_err(Error::new)
    }

    /// Reads a file of at most `limit` bytes.
    pub async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        read(&self.client, &self.bucket, path, limit).await
    }

    /// Deletes the files of a picture. Missing ones are no error.
    pub async fn delete(&self, name: &PictureName) -> Result<(), Error> {
        let deletes = name.files().map(|path| {
            let call = self.client.delete_object();
            call.bucket(&self.bucket).key(path).send()
        });
        try_join_all(deletes).await.map(drop).map_err(Error::new)
    }
}
