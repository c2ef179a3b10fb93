//! Uploads in use: the pictures of those that a caller names, and the announcement that pictures may no longer be shown.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use futures::future::try_join_all;
use serde_json::json;

use crate::call::{self, Function};
use crate::domain::{
    ImageKey, Invalid, NOT_A_PICTURE, NOT_UPLOADED, PhotoAnswer, PhotoCall, PhotoMessage,
    PhotoTask, Picture, REVIEW_SECONDS, UserId, dropped_uploads,
};
use crate::env::{self, BadSetting};
use crate::queue::{self, Queue};
use crate::store::{self, Store, UploadState};

/// The time limit for making a picture; it leaves time to use the picture and to answer.
const TIMEOUT: Duration = Duration::from_secs(6);
/// The maximum number of keys in a message.
const KEYS: usize = 10;

/// The uploads that callers use.
#[derive(Debug, Clone)]
pub struct Uploads {
    store: Store,
    photo: Function,
    tasks: Queue,
    review_after: i64,
}

/// The pictures of some uploads are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A picture was not made, or not in time.
    #[error("a picture was not made")]
    NotMade(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<call::Error> for Error {
    fn from(error: call::Error) -> Self {
        Self::NotMade(error.into())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::NotMade(error.into())
    }
}

/// The reason why a caller can't use an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It was not uploaded, or not by the caller, or was removed.
    NotUploaded,
    /// It can't be shown.
    NotAPicture,
}

/// Uploads that a caller can't use, by their places in the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnusableUploads {
    /// The fields, with the reasons.
    pub fields: Invalid,
    /// Whether at least one was uploaded, but can't be shown.
    pub not_a_picture: bool,
}

impl UnusableUploads {
    /// Creates a refusal of one upload.
    pub fn one(pointer: &str, reason: Unusable) -> Self {
        let mut unusable = Self::default();
        unusable.push(pointer.to_owned(), reason);
        unusable
    }

    /// Adds an upload at a place.
    pub fn push(&mut self, pointer: String, reason: Unusable) {
        let reason = match reason {
            Unusable::NotUploaded => NOT_UPLOADED,
            Unusable::NotAPicture => {
                self.not_a_picture = true;
                NOT_A_PICTURE
            }
        };
        self.fields.push(pointer, reason);
    }
}

impl Uploads {
    /// Creates uploads from the function that `PHOTO_FUNCTION` names, and the queue at `PHOTOS_QUEUE_URL`.
    /// `PICTURE_REVIEW_SECONDS` is the time until dropped pictures are reviewed.
    pub fn from_env(aws: &SdkConfig, store: Store) -> Result<Self, BadSetting> {
        Ok(Self {
            store,
            photo: Function::from_env(aws, "PHOTO_FUNCTION", TIMEOUT)?,
            tasks: Queue::from_env(aws, "PHOTOS_QUEUE_URL")?,
            review_after: env::seconds("PICTURE_REVIEW_SECONDS", REVIEW_SECONDS)?,
        })
    }

    /// Returns the pictures of the uploads that a caller names. A picture that isn't made yet is made.
    pub async fn pictures(
        &self,
        caller: &UserId,
        named: &[&str],
    ) -> Result<Vec<Result<Picture, Unusable>>, Error> {
        let keys: Vec<Option<ImageKey>> = named
            .iter()
            .map(|text| ImageKey::sent_by(caller, text).ok())
            .collect();
        let known: Vec<ImageKey> = keys.iter().flatten().cloned().collect();
        let states = self.store.uploads(&known).await?;
        let pictures = keys.into_iter().map(|key| self.picture(key, &states));
        try_join_all(pictures).await
    }

    /// Returns the picture of the upload that a caller names: see [`Uploads::pictures`].
    pub async fn one(
        &self,
        caller: &UserId,
        named: &str,
    ) -> Result<Result<Picture, Unusable>, Error> {
        let pictures = self.pictures(caller, &[named]).await?;
        let picture = pictures.into_iter().next();
        Ok(picture.unwrap_or(Err(Unusable::NotUploaded)))
    }

    async fn picture(
        &self,
        key: Option<ImageKey>,
        states: &HashMap<ImageKey, UploadState>,
    ) -> Result<Result<Picture, Unusable>, Error> {
        let Some(key) = key else {
            return Ok(Err(Unusable::NotUploaded));
        };
        match states.get(&key) {
            Some(UploadState::Ready(picture)) => Ok(Ok(picture.clone())),
            Some(UploadState::Refused) => Ok(Err(Unusable::NotAPicture)),
            Some(UploadState::Removed) => Ok(Err(Unusable::NotUploaded)),
            Some(UploadState::Begun(_)) | None => {
                let answer = self.photo.call(&json!(PhotoCall { make: key })).await?;
                Ok(match serde_json::from_slice(&answer)? {
                    PhotoAnswer::Ready(picture) => Ok(picture),
                    PhotoAnswer::Refused => Err(Unusable::NotAPicture),
                    PhotoAnswer::Missing => Err(Unusable::NotUploaded),
                })
            }
        }
    }

    /// Announces that a change is about to replace the pictures `before` by `after`. Some seconds later, when the change
    /// is done or failed, those that nothing shows are removed, even if this function dies. Returns the announced uploads.
    pub async fn announce(
        &self,
        before: &[&Picture],
        after: &[&Picture],
    ) -> Result<Vec<ImageKey>, queue::Error> {
        let dropped = dropped_uploads(before, after);
        self.send_reviews(&dropped).await?;
        Ok(dropped)
    }

    /// Announces the uploads that a change dropped and that weren't announced, because another change came first. If that
    /// fails, `sweep` finds them.
    pub async fn announce_rest(&self, announced: &[ImageKey], dropped: Vec<ImageKey>) {
        let dropped = dropped.into_iter();
        let rest: Vec<_> = dropped.filter(|key| !announced.contains(key)).collect();
        if let Err(error) = self.send_reviews(&rest).await {
            let error = crate::log::chain(&error);
            tracing::warn!(error, "dropped pictures are left to sweep");
        }
    }

    async fn send_reviews(&self, keys: &[ImageKey]) -> Result<(), queue::Error> {
        for keys in keys.chunks(KEYS) {
            let keys = keys.to_vec();
            let review = PhotoMessage::new(PhotoTask::Review { keys });
            self.tasks.send_later(&review, self.review_after).await?;
        }
        Ok(())
    }
}
