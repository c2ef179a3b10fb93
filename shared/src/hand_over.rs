//! Handing a post over to fan-out: by the function that changed it, and again by `sweep` if that failed.

use aws_config::SdkConfig;

use crate::domain::{FanOutMessage, ImageKey, PostId};
use crate::env::BadSetting;
use crate::media::{self, Media};
use crate::queue::{self, Queue};

/// The hand-over of posts to fan-out.
#[derive(Debug, Clone)]
pub struct HandOver {
    /// The bucket of images.
    pub media: Media,
    /// The queue of fan-outs.
    pub fan_out: Queue,
}

/// A post was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The post's images were not kept.
    #[error("the images were not kept")]
    Media(#[from] media::Error),
    /// The post's fan-out was not queued.
    #[error("the fan-out was not queued")]
    Queue(#[from] queue::Error),
}

impl HandOver {
    /// Creates a hand-over to the bucket and the queue that the environment names: see [`Media::from_env`], and
    /// `FAN_OUT_QUEUE_URL`.
    pub fn from_env(config: &SdkConfig) -> Result<Self, BadSetting> {
        Ok(Self {
            media: Media::from_env(config)?,
            fan_out: Queue::from_env(config, "FAN_OUT_QUEUE_URL")?,
        })
    }

    /// Keeps the images of a post, then queues its fan-out. In that order: a queued fan-out means that the images are
    /// kept. Handing a post over twice is harmless.
    pub async fn post(&self, post: PostId, rev: u32, images: &[ImageKey]) -> Result<(), Error> {
        let kept = images.iter().map(|key| self.media.keep(key));
        futures::future::try_join_all(kept).await?;
        Ok(self.fan_out.send(&FanOutMessage::whole(post, rev)).await?)
    }
}
