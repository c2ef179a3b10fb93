//! The removal of uploads that nothing shows, and of everything made of them.
//!
//! It has two parts: see `store::pictures`. Each can be repeated: what is gone is gone.

use aws_config::SdkConfig;
use futures::StreamExt;

use crate::domain::{ImageKey, REVIEW_SECONDS, Timestamp, UserId};
use crate::env::{self, BadSetting};
use crate::media::{self, Media, PictureBucket};
use crate::store::{self, Removal, Store};

/// The number of uploads that are removed at a time.
const AT_ONCE: usize = 50;

/// The removal of uploads and pictures.
#[derive(Debug, Clone)]
pub struct Removals {
    /// The store.
    pub store: Store,
    /// The bucket of uploads.
    pub uploads: Media,
    /// The bucket of pictures.
    pub pictures: PictureBucket,
    interval: i64,
}

/// A removal is not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A bucket did not answer.
    #[error(transparent)]
    Media(#[from] media::Error),
}

/// Waits for all of these, some at a time, even if one fails: then returns the first error.
async fn all<T>(parts: Vec<impl Future<Output = Result<T, Error>>>) -> Result<Vec<T>, Error> {
    let parts = futures::stream::iter(parts).buffer_unordered(AT_ONCE);
    let done: Vec<_> = parts.collect().await;
    done.into_iter().collect()
}

impl Removals {
    /// Creates removals from the store and the buckets that the environment names. `PICTURE_REVIEW_SECONDS` is the time between
    /// the two parts.
    pub fn from_env(aws: &SdkConfig, store: Store) -> Result<Self, BadSetting> {
        Ok(Self {
            store,
            uploads: Media::from_env(aws)?,
            pictures: PictureBucket::from_env(aws)?,
            interval: env::seconds("PICTURE_REVIEW_SECONDS", REVIEW_SECONDS)?,
        })
    }

    /// Returns the seconds between the two parts.
    pub const fn interval(&self) -> i64 {
        self.interval
    }

    /// Removes the uploads among these that nothing shows. Returns those whose removal isn't complete yet.
    pub async fn review(&self, keys: &[ImageKey]) -> Result<Vec<ImageKey>, Error> {
        let parts: Vec<_> = keys.iter().map(|key| self.review_one(key)).collect();
        let left = all(parts).await?;
        Ok(left.into_iter().flatten().collect())
    }

    async fn review_one(&self, key: &ImageKey) -> Result<Option<ImageKey>, Error> {
        let now = Timestamp::now();
        let next = now.plus_seconds(self.interval);
        let removal = self.store.begin_removal(key, now, next).await?;
        self.carry_out(removal).await
    }

    /// Removes some of a departed user's uploads that have a row, after a position, even those that something shows.
    /// Returns the last; nothing if there were no more.
    pub async fn erase_some(
        &self,
        owner: &UserId,
        after: Option<&ImageKey>,
    ) -> Result<Option<ImageKey>, Error> {
        let keys = self.store.uploads_of(owner, after).await?;
        let parts: Vec<_> = keys.iter().map(|key| self.erase_one(key)).collect();
        all(parts).await?;
        Ok(keys.last().cloned())
    }

    /// Removes all of a departed user's uploads that have a row. Returns whether any had one: if so, a part of their removal
    /// may be left.
    pub async fn erase(&self, owner: &UserId) -> Result<bool, Error> {
        let mut after = None;
        while let Some(last) = self.erase_some(owner, after.as_ref()).await? {
            after = Some(last);
        }
        Ok(after.is_some())
    }

    async fn erase_one(&self, key: &ImageKey) -> Result<(), Error> {
        let now = Timestamp::now();
        let next = now.plus_seconds(self.interval);
        let removal = self.store.begin_erasure_of_upload(key, now, next).await?;
        self.carry_out(removal).await.map(drop)
    }

    /// Carries out a part of a removal. Returns the upload if the second part is left.
    async fn carry_out(&self, removal: Option<Removal>) -> Result<Option<ImageKey>, Error> {
        let Some(removal) = removal else {
            return Ok(None);
        };
        let pictures = async {
            match &removal.name {
                Some(name) => self.pictures.delete(name).await,
                None => Ok(()),
            }
        };
        futures::try_join!(pictures, self.uploads.delete(&removal.key))?;
        if removal.second {
            self.store.end_removal(&removal).await?;
            return Ok(None);
        }
        Ok(Some(removal.key))
    }
}
