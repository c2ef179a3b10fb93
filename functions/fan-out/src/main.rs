//! The fan-out queue's consumer: counts a post's tags, and pushes its id into its followers' feeds; of a post that
//! was deleted it erases the comments and likes.
//!
//! Followers beyond one chunk are cut into ranges, each a message of its own, so that they are served
//! in parallel and a crash repeats one chunk. The post's outbox mark is cleared when the last is done. Each
//! change of a post comes by here, so search is told of it here too.

use purrline::cache::{self, Cache};
use purrline::consumer::{self, Consumer, Failed, Received};
use purrline::domain::{Chunk, FanOutMessage, Followers, IndexMessage, PostId, Subject, UserId};
use purrline::queue::{self, Queue};
use purrline::store::{self, OutboxMark, Store};
use purrline::{aws, log};

/// How many followers one message serves.
const CHUNK: i32 = 1000;
/// How many times 100 comments and 100 likes of a deleted post one message erases.
const ERASED_AT_ONCE: usize = 10;

struct FanOut {
    store: Store,
    cache: Cache,
    queue: Queue,
    index: Queue,
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
    })
    .await
}

/// Why a fan-out must be tried again.
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
}

impl Consumer for FanOut {
    type Message = FanOutMessage;
    // Each by itself, side by side: one with many followers holds up no other.
    const TOGETHER: usize = 1;

    async fn handle(&self, batch: Vec<Received<FanOutMessage>>) -> Vec<Failed> {
        let mut failed = Vec::new();
        for Received { id, message } in batch {
            if let Err(error) = self.serve(&message).await {
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
    async fn serve(&self, message: &FanOutMessage) -> Result<(), Error> {
        match &message.chunk {
            None => self.whole(message.post, message.rev).await,
            Some(chunk) => {
                self.push_to(message.post, &chunk.followers).await?;
                Ok(self
                    .store
                    .chunk_done(message.post, message.rev, &chunk.name)
                    .await?)
            }
        }
    }

    /// The post's mark, once the post is counted for the tags that it has. No mark: done before. Another
    /// revision: its own message takes care of it.
    async fn counted(&self, post: PostId, rev: u32) -> Result<Option<OutboxMark>, Error> {
        loop {
            let mark = self.store.outbox_mark(post).await?;
            let Some(mark) = mark.filter(|mark| mark.rev == rev) else {
                return Ok(None);
            };
            // Else the same message, delivered twice, was faster, or there is another revision by now.
            if self.store.count_trends(&mark).await? {
                return Ok(Some(mark));
            }
        }
    }

    async fn whole(&self, post: PostId, rev: u32) -> Result<(), Error> {
        let Some(mark) = self.counted(post, rev).await? else {
            return Ok(());
        };
        // Whoever changed the post may have died before the cache forgot it.
        self.cache.forget_post(post).await?;
        // Whatever became of the post, it comes by here.
        let changed = IndexMessage::new(Subject::Post(post));
        self.index.send(&changed).await?;
        if mark.deleted {
            return self.erase(&mark).await;
        }
        if mark.fanned_out {
            return Ok(self.store.clear(&mark).await?);
        }
        let everybody = Followers::all(mark.author.clone());
        let (mut feeds, next) = self.store.followers_in(&everybody, CHUNK).await?;
        match next {
            None => {
                feeds.push(mark.author.clone());
                self.cache.push(post, &feeds).await?;
                Ok(self.store.clear(&mark).await?)
            }
            Some(first) => self.cut(&mark, first).await,
        }
    }

    /// Erases the comments and likes of a deleted post, as many as one message may; the rest by another one. If
    /// that is lost, the mark is still there, and `sweep` sends it again.
    async fn erase(&self, mark: &OutboxMark) -> Result<(), Error> {
        for _ in 0..ERASED_AT_ONCE {
            if self.store.erase_replies(mark.post).await? {
                return Ok(self.store.clear(mark).await?);
            }
        }
        let rest = FanOutMessage::whole(mark.post, mark.rev);
        Ok(self.queue.send(&rest).await?)
    }

    /// Cuts the followers into ranges of about a chunk each and queues them.
    async fn cut(&self, mark: &OutboxMark, first: UserId) -> Result<(), Error> {
        self.cache
            .push(mark.post, std::slice::from_ref(&mark.author))
            .await?;
        // Chunks of an earlier cut are no longer waited for: their names differ.
        let cut = format!("{}.{:016x}", mark.rev, rand::random::<u64>());
        let mut chunks = Vec::new();
        let mut followers = Followers {
            upto: Some(first),
            ..Followers::all(mark.author.clone())
        };
        loop {
            let name = format!("{cut}.{}", chunks.len());
            let end = followers.upto.take();
            chunks.push(Chunk {
                name,
                followers: Followers {
                    upto: end.clone(),
                    ..followers.clone()
                },
            });
            if end.is_none() {
                break;
            }
            followers.after = end;
            (_, followers.upto) = self.store.followers_in(&followers, CHUNK).await?;
        }
        let names = chunks.iter().map(|chunk| chunk.name.clone()).collect();
        if !self.store.cut_into(mark, names).await? {
            return Ok(());
        }
        let messages: Vec<FanOutMessage> = chunks
            .into_iter()
            .map(|chunk| FanOutMessage::chunk(mark.post, mark.rev, chunk))
            .collect();
        match self.queue.send_batch(&messages).await.len() {
            0 => Ok(()),
            unsent => Err(Error::NotQueued(unsent)),
        }
    }

    async fn push_to(&self, post: PostId, followers: &Followers) -> Result<(), Error> {
        let mut rest = followers.clone();
        loop {
            let (feeds, next) = self.store.followers_in(&rest, CHUNK).await?;
            self.cache.push(post, &feeds).await?;
            match next {
                Some(next) => rest.after = Some(next),
                None => return Ok(()),
            }
        }
    }
}
