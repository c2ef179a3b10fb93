//! Makes the picture of an upload.
//!
//! The upload's row gets the picture's name first, so that the store knows of every file; then the files are written, then
//! the row is completed. Another try, or one at the same time, writes the same files.

use std::sync::Arc;

use purrline::decode::ImageError;
use purrline::domain::{
    ImageKey, PhotoAnswer, Picture, PictureName, PictureSize, PictureSizes, Thumbhash, Timestamp,
    UPLOAD_MAX_BYTES,
};
use purrline::media::{self, ReadError};
use purrline::picture::{self, Pictures};
use purrline::removal::Removals;
use purrline::store::{self, UploadState};
use tokio::sync::Mutex;

/// The number of seconds for which an upload that nothing shows is kept.
const UNUSED_SECONDS: i64 = 2 * 24 * 60 * 60;

/// The maker of pictures.
pub(crate) struct Maker {
    removals: Removals,
    /// The right to decode: one upload at a time, since the memory suffices for only one.
    turn: Arc<Mutex<()>>,
}

/// A picture was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Media(#[from] media::Error),
    #[error("the picture was not made")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// The reason why no picture was drawn.
enum Undrawn {
    Missing,
    Refused,
}

impl Maker {
    pub(crate) fn new(removals: Removals) -> Self {
        let turn = Arc::default();
        Self { removals, turn }
    }

    /// Makes the picture of an upload, unless it is made already.
    pub(crate) async fn make(&self, key: &ImageKey) -> Result<PhotoAnswer, Error> {
        let store = &self.removals.store;
        match store.uploads(std::slice::from_ref(key)).await?.remove(key) {
            Some(UploadState::Ready(picture)) => return Ok(PhotoAnswer::Ready(picture)),
            Some(UploadState::Refused) => return Ok(PhotoAnswer::Refused),
            Some(UploadState::Removed) => return Ok(PhotoAnswer::Missing),
            Some(UploadState::Begun(_)) | None => {}
        }
        let drawn = self.draw(key).await?;
        if matches!(drawn, Err(Undrawn::Missing)) {
            return Ok(PhotoAnswer::Missing);
        }
        let due = Timestamp::now().plus_seconds(UNUSED_SECONDS);
        let name = match store.begin_picture(key, due).await? {
            UploadState::Begun(name) => name,
            UploadState::Ready(picture) => return Ok(PhotoAnswer::Ready(picture)),
            UploadState::Refused => return Ok(PhotoAnswer::Refused),
            UploadState::Removed => return Ok(PhotoAnswer::Missing),
        };
        if let Ok(pictures) = drawn {
            return self.keep(key, name, pictures).await;
        }
        tracing::info!("an upload is no picture");
        store.refuse_upload(key, &name).await?;
        Ok(PhotoAnswer::Refused)
    }

    /// Reads an upload, and decodes it on the blocking thread, since that occupies the processor for some time.
    async fn draw(&self, key: &ImageKey) -> Result<Result<Pictures, Undrawn>, Error> {
        // The upload's bytes take memory too, so they are read only when it is this upload's turn.
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let upload = match self.removals.uploads.read(key, UPLOAD_MAX_BYTES).await {
            Ok(upload) => upload,
            Err(ReadError::Missing) => return Ok(Err(Undrawn::Missing)),
            Err(ReadError::TooLarge) => return Ok(Err(Undrawn::Refused)),
            Err(ReadError::Unavailable(error)) => return Err(error.into()),
        };
        let drawn = tokio::task::spawn_blocking(move || {
            let drawn = picture::render(&upload);
            drop(turn);
            drawn
        });
        match drawn.await.map_err(Error::failed)? {
            Ok(pictures) => Ok(Ok(pictures)),
            Err(error @ ImageError::Failed(_)) => Err(Error::failed(error)),
            Err(_) => Ok(Err(Undrawn::Refused)),
        }
    }

    /// Writes the files of a picture, and completes its row.
    async fn keep(
        &self,
        key: &ImageKey,
        name: PictureName,
        pictures: Pictures,
    ) -> Result<PhotoAnswer, Error> {
        let Removals {
            store,
            uploads,
            pictures: bucket,
            ..
        } = &self.removals;
        let sizes = pictures.sizes.iter().map(|size| {
            Ok(PictureSize {
                width: size.width.try_into().map_err(Error::failed)?,
                height: size.height.try_into().map_err(Error::failed)?,
            })
        });
        let sizes = sizes.collect::<Result<_, Error>>()?;
        let picture = Picture {
            key: key.clone(),
            name,
            sizes: PictureSizes::new(sizes).map_err(Error::failed)?,
            thumbhash: Thumbhash::new(&pictures.thumbhash),
        };
        let files = pictures.sizes.into_iter().map(|size| size.jpeg).collect();
        let written = bucket.write(&picture.name, files);
        // Without the tag the upload stays: from now on its row says when it goes.
        let (written, untagged) = tokio::join!(written, uploads.untag(key));
        written?;
        untagged?;
        if store.finish_picture(&picture).await? {
            return Ok(PhotoAnswer::Ready(picture));
        }
        // It was removed meanwhile.
        bucket.delete(&picture.name).await?;
        Ok(PhotoAnswer::Missing)
    }
}
