//! The function of pictures: makes the pictures of uploads as they arrive, or when another function asks, and removes
//! uploads and pictures that nothing shows.

mod event;
mod make;

use purrline::consumer::{self, Called, Consumer, Failed, Received};
use purrline::domain::{ImageKey, PhotoAnswer, PhotoCall, PhotoMessage, PhotoTask, UserId};
use purrline::queue::{self, Queue};
use purrline::removal::{self, Removals};
use purrline::store::{self, Store};
use purrline::{aws, lifecycle, log};

use self::event::Event;
use self::make::Maker;

struct Photo {
    maker: Maker,
    removals: Removals,
    tasks: Queue,
}

/// A message was not handled.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{}", log::chain(.0))]
    Make(#[from] make::Error),
    #[error("{}", log::chain(.0))]
    Removal(#[from] removal::Error),
    #[error("{}", log::chain(.0))]
    Store(#[from] store::Error),
    #[error("{}", log::chain(.0))]
    Queue(#[from] queue::Error),
}

fn main() -> Result<(), lambda_runtime::Error> {
    log::init();
    lifecycle::decoding_runtime()?.block_on(serve())
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let config = aws::config().await;
    let removals = Removals::from_env(&config, Store::from_env(&config)?)?;
    let photo = Photo {
        maker: Maker::new(removals.clone()),
        removals,
        tasks: Queue::from_env(&config, "PHOTOS_QUEUE_URL")?,
    };
    Box::pin(consumer::run_called(photo)).await
}

impl Called for Photo {
    type Call = PhotoCall;
    type Answer = PhotoAnswer;
    type Error = make::Error;

    async fn answer(&self, call: PhotoCall) -> Result<PhotoAnswer, make::Error> {
        self.maker.make(&call.make).await
    }
}

impl Consumer for Photo {
    type Message = Event;
    // A message that panics or takes long must not hold up others.
    const MAX_GROUP_SIZE: usize = 1;

    async fn handle(&self, batch: Vec<Received<Event>>) -> Vec<Failed> {
        let mut failed = Vec::new();
        for Received { id, message, .. } in batch {
            if let Err(error) = self.handle_one(message).await {
                let why = error.to_string();
                failed.push(Failed { id, why });
            }
        }
        failed
    }
}

impl Photo {
    async fn handle_one(&self, event: Event) -> Result<(), Error> {
        match event {
            Event::Uploaded(keys) => {
                for key in keys {
                    // Whether it can be shown is in its row now; an upload that is gone needs no picture.
                    self.maker.make(&key).await?;
                }
            }
            Event::Task(PhotoTask::Review { keys }) => {
                let left = self.removals.review(&keys).await?;
                if !left.is_empty() {
                    self.repeat(PhotoTask::Review { keys: left }).await?;
                }
            }
            Event::Task(PhotoTask::Erase { user, after }) => {
                if self.removals.store.withdrawn_at(&user).await?.is_some() {
                    self.erase(user, after).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes some of a departed user's uploads, and queues the rest, or at the end the second part of all.
    async fn erase(&self, user: UserId, after: Option<ImageKey>) -> Result<(), Error> {
        let last = self.removals.erase_some(&user, after.as_ref()).await?;
        if last.is_some() {
            let rest = PhotoMessage::new(PhotoTask::Erase { user, after: last });
            self.tasks.send(&rest).await?;
        } else if after.is_some() {
            self.repeat(PhotoTask::Erase { user, after: None }).await?;
        }
        Ok(())
    }

    /// Sends a task again, for the second part of a removal.
    async fn repeat(&self, task: PhotoTask) -> Result<(), queue::Error> {
        let message = PhotoMessage::new(task);
        self.tasks
            .send_later(&message, self.removals.interval())
            .await
    }
}
