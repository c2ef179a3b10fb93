//! The fan-out queue's consumer: counts a post's tags and pushes its id into the feeds of its author's followers; erases the
//! comments and likes of a deleted post. Every change of a post passes through here, so this consumer also tells search.

mod deliver;

use purrline::cache::{self, Cache};
use purrline::consumer::{self, Consumer, Failed, Received};
use purrline::domain::{FanOutMessage, IndexMessage, PostId, Subject};
use purrline::queue::{self, Queue};
use purrline::store::{self, OutboxMark, Store};
use purrline::{aws, env, log};

/// The number of times that one message erases 100 comments and 100 likes of a deleted post.
const ERASURES_PER_MESSAGE: usize = 10;
/// The default number of followers above which readers merge in an author's posts.
const INFLUENCER_FOLLOWERS: u64 = 10_000;

struct FanOut {
    store: Store,
    cache: Cache,
    queue: Queue,
    index: Queue,
    /// The number of followers above which readers merge in an author's posts.
    influencer_followers: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::init();
    let config = aws::config().await;
    let store = Store::from_env(&config)?;
    let queue = Queue::from_env(&config, "FAN_OUT_QUEUE_URL")?;
    let index = Queue::from_env(&config, "INDEX_QUEUE_URL")?;
    consumer::run(FanOut {
        store,
        cache: Cache::from_env()?,
        queue,
        index,
        influencer_followers: env::whole_number("INFLUENCER_FOLLOWERS", INFLUENCER_FOLLOWERS)?,
    })
    .await
}

/// The reason for which a fan-out must be tried again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Cache(#[from] cache::Error),
    #[error(transparent)]
    Index(#[from] queue::Error),
    #[error("{0} chunks were not queued")]
    NotQueued(usize),
    #[error("others kept changing how the author's posts are delivered")]
    Contended,
}

impl Consumer for FanOut {
    type Message = FanOutMessage;
    // Messages are handled one by one and concurrently, so that a message for many followers holds up no other.
    const MAX_GROUP_SIZE: usize = 1;

    async fn handle(&self, batch: Vec<Received<FanOutMessage>>) -> Vec<Failed> {
        let mut failed = Vec::new();
        for Received {
            id,
            message,
            redelivered,
            ..
        } in batch
        {
            if let Err(error) = self.serve(&message, redelivered).await {
                failed.push(Failed {
                    id,
                    why: error.to_string(),
                });
            }
        }
        failed
    }
}

impl FanOut {
    async fn serve(&self, message: &FanOutMessage, redelivered: bool) -> Result<(), Error> {
        let (post, rev) = (message.post, message.rev);
        let served = match &message.chunk {
            None => self.serve_whole(post, rev, redelivered).await,
            Some(chunk) => self.serve_chunk(post, rev, chunk, redelivered).await,
        };
        match served {
            // The mark stays, and `sweep` sends the post again each minute until the cache is back, however long that
            // takes. If the queue retried the message instead, it would end in the dead-letter queue before then.
            Err(Error::Cache(error)) => {
                let error = purrline::log::chain(&error);
                tracing::warn!(%post, error, "without the cache a post is left to sweep");
                Ok(self.store.make_overdue(post, rev).await?)
            }
            served => served,
        }
    }

    /// Counts the post for its tags, and returns its mark. Returns `None` if the mark is gone, because the work is
    /// already done, or belongs to another revision, whose own message handles it.
    async fn counted_mark(&self, post: PostId, rev: u32) -> Result<Option<OutboxMark>, Error> {
        loop {
            let mark = self.store.outbox_mark(post).await?;
            let Some(mark) = mark.filter(|mark| mark.rev == rev) else {
                return Ok(None);
            };
            // If this fails, a duplicate of this message was faster, or there is another revision by now.
            if self.store.count_trends(&mark).await? {
                return Ok(Some(mark));
            }
        }
    }

    async fn serve_whole(&self, post: PostId, rev: u32, redelivered: bool) -> Result<(), Error> {
        let Some(mark) = self.counted_mark(post, rev).await? else {
            return Ok(());
        };
        // The recent posts in the store come before the cache, since feeds are read from them if the cache is
        // unavailable.
        let delivery = match (mark.deleted, mark.fanned_out) {
            (true, _) => {
                self.store.remove_recent(&mark.author, post).await?;
                None
            }
            (false, true) => None,
            (false, false) => Some(self.add_recent(&mark.author, post).await?),
        };
        // The function that changed the post may have died before the cache forgot it.
        self.cache.forget_post(post).await?;
        // Every change of a post passes through here, including its deletion.
        let changed = IndexMessage::new(Subject::Post(post));
        self.index.send(&changed).await?;
        if mark.deleted {
            return self.erase(&mark).await;
        }
        match delivery {
            Some(delivery) => {
                self.deliver(&mark, delivery, redelivered || mark.sent_again > 0)
                    .await
            }
            None => Ok(self.store.clear(&mark).await?),
        }
    }

    /// Erases comments and likes of a deleted post, up to the maximum per message, and queues a message for the rest.
    /// If that message is lost, the mark is still there, and `sweep` sends the message again.
    async fn erase(&self, mark: &OutboxMark) -> Result<(), Error> {
        for _ in 0..ERASURES_PER_MESSAGE {
            if self.store.erase_replies(mark.post).await? {
                return Ok(self.store.clear(mark).await?);
            }
        }
        let rest = FanOutMessage::whole(mark.post, mark.rev);
        Ok(self.queue.send(&rest).await?)
    }
}
