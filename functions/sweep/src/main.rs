//! The schedule's function: carries out deferred invalidations of the cache, hands over again what a crash left undone,
//! takes deleted cats out of posts, has uploads removed that nothing shows, and erases the data of departed users.

mod erase;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use purrline::cache::{self, Cache};
use purrline::consumer::{self, Scheduled};
use purrline::domain::{
    CatId, FanOutMessage, ImageKey, IndexMessage, PhotoMessage, PhotoTask, PostId, Subject,
    Timestamp, UserId,
};
use purrline::media;
use purrline::queue::{self, Queue};
use purrline::removal::{self, Removals};
use purrline::store::{self, Edited, PendingInvalidation, PostError, PostList, Store};
use purrline::user_pool::{self, UserPool};
use purrline::{aws, env, log};

/// The number of posts of each shard that are looked up at a time.
const PAGE: i32 = 50;
/// The most doublings of the time between two attempts at a post: from a minute to about an hour.
const MAX_DOUBLINGS: u32 = 6;
/// The number of posts that are handed over at a time.
const AT_ONCE: usize = 16;

/// Seconds between two runs.
const RUN_INTERVAL_SECONDS: i64 = 60;
/// Seconds between two nudges of the index.
const NUDGE_INTERVAL_SECONDS: i64 = 15 * 60;
/// The id of the user whose change nudges the index. A user who has this id is indexed again.
const NOBODY: &str = "nobody";

/// The number of uploads of each shard that are reviewed in a run.
const UPLOADS_OF_SHARD: i32 = 250;

/// The number of uploads in a message.
const UPLOADS: usize = 10;

/// The number of a deleted cat's posts that are read at a time.
const POSTS_OF_CAT: usize = 100;

struct Sweep {
    store: Store,
    cache: Cache,
    fan_out: Queue,
    index: Queue,
    photo_tasks: Queue,
    removals: Removals,
    /// The user pool, if it is the stack's own.
    user_pool: Option<UserPool>,
    overdue_after: i64,
    /// The seconds after a withdrawal from which the last pass over what is left may begin.
    settled_after: i64,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Post(#[from] PostError),
    #[error(transparent)]
    Removal(#[from] removal::Error),
    #[error(transparent)]
    Cache(#[from] cache::Error),
    #[error(transparent)]
    Media(#[from] media::Error),
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error(transparent)]
    UserPool(#[from] user_pool::Error),
    #[error("{0} posts, cats, accounts or notes for the cache are left to the next run")]
    Incomplete(usize),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::init();
    let config = aws::config().await;
    let store = Store::from_env(&config)?;
    let sweep = Sweep {
        removals: Removals::from_env(&config, store.clone())?,
        store,
        fan_out: Queue::from_env(&config, "FAN_OUT_QUEUE_URL")?,
        photo_tasks: Queue::from_env(&config, "PHOTOS_QUEUE_URL")?,
        cache: Cache::from_env()?,
        index: Queue::from_env(&config, "INDEX_QUEUE_URL")?,
        user_pool: UserPool::from_env(&config)?,
        overdue_after: env::seconds("OUTBOX_SECONDS", 60)?,
        settled_after: env::seconds("ERASURE_SECONDS", 1800)?,
    };
    Box::pin(consumer::run_scheduled(sweep)).await
}

impl Scheduled for Sweep {
    type Error = Error;

    /// Does all work that is due, until none is left or the time is over. A post that fails doesn't keep the others
    /// waiting.
    async fn run(&self, within: Duration) -> Result<(), Error> {
        let start = Instant::now();
        let mut failed = 0;
        if let Err(error) = Box::pin(self.invalidate_pending(start + within / 4)).await {
            failed += 1;
            let error = purrline::log::chain(&error);
            tracing::warn!(error, "deferred invalidations wait for the next run");
        }
        if let Err(error) = self.review_uploads().await {
            failed += 1;
            let error = purrline::log::chain(&error);
            tracing::warn!(error, "uploads that nothing shows wait for the next run");
        }
        // Each kind of work has a part of the time, so that none keeps the others waiting for ever.
        let (posts_until, cats_until) = (start + within / 2, start + within * 3 / 4);
        let mut seen: HashSet<PostId> = HashSet::new();
        while Instant::now() < posts_until {
            // The index lags: posts just handed over may still be in it.
            let overdue = self.store.overdue(Timestamp::now(), PAGE).await?;
            let fresh: Vec<PostId> = overdue
                .into_iter()
                .filter(|post| seen.insert(*post))
                .collect();
            if fresh.is_empty() {
                break;
            }
            let outcomes: Vec<_> = futures::stream::iter(fresh)
                .map(|post| async move { (post, self.serve(post).await) })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            for (post, outcome) in outcomes {
                if let Err(error) = outcome {
                    failed += 1;
                    let error = purrline::log::chain(&error);
                    tracing::warn!(%post, error, "a post was not handed over");
                }
            }
        }
        let (mut cats, mut last) = (0, None);
        while Instant::now() < cats_until {
            let deleted = self.store.deleted_cats(last).await?;
            last = deleted.last().copied();
            if last.is_none() {
                break;
            }
            for cat in deleted
                .into_iter()
                .take_while(|_| Instant::now() < cats_until)
            {
                cats += 1;
                if let Err(error) = self.forget_cat(cat, cats_until).await {
                    failed += 1;
                    let error = purrline::log::chain(&error);
                    tracing::warn!(%cat, error, "a deleted cat is still in posts");
                }
            }
        }
        failed += self.erase_leavers(start, within).await?;
        if let Err(error) = self.nudge_index().await {
            failed += 1;
            let error = purrline::log::chain(&error);
            tracing::warn!(
                error,
                "what was deleted stays in the index until the next run"
            );
        }
        tracing::info!(found = seen.len(), cats, failed, "sweep");
        if failed == 0 {
            Ok(())
        } else {
            Err(Error::Incomplete(failed))
        }
    }
}

impl Sweep {
    /// Has uploads removed that have been due for some time: those that were never used, and those whose review was lost.
    async fn review_uploads(&self) -> Result<(), Error> {
        let by = Timestamp::now().plus_seconds(-2 * self.removals.interval());
        let due = self.store.due_uploads(by, UPLOADS_OF_SHARD).await?;
        let review = |keys: &[ImageKey]| {
            let keys = keys.to_vec();
            PhotoMessage::new(PhotoTask::Review { keys })
        };
        let reviews: Vec<PhotoMessage> = due.chunks(UPLOADS).map(review).collect();
        let unsent = self.photo_tasks.send_batch(&reviews).await;
        if !due.is_empty() {
            tracing::info!(
                uploads = due.len(),
                unsent = unsent.len(),
                "uploads are due"
            );
        }
        Ok(())
    }

    /// Sends the index an empty change now and then. The index removes deleted entries from its bucket with a batch, and
    /// would otherwise wait for the next change.
    async fn nudge_index(&self) -> Result<(), Error> {
        let every = self
            .settled_after
            .clamp(RUN_INTERVAL_SECONDS, NUDGE_INTERVAL_SECONDS);
        if Timestamp::now().seconds().rem_euclid(every) < RUN_INTERVAL_SECONDS
            && let Ok(nobody) = UserId::parse(NOBODY)
        {
            let nothing = IndexMessage::new(Subject::User(nobody));
            self.index.send(&nothing).await?;
        }
        Ok(())
    }

    /// Carries out the invalidations that consumers deferred because the cache was out of reach.
    async fn invalidate_pending(&self, deadline: Instant) -> Result<(), Error> {
        let mut invalidated = 0;
        while Instant::now() < deadline {
            let pending = Box::pin(self.store.pending_invalidations()).await?;
            if pending.is_empty() {
                break;
            }
            invalidated += pending.len();
            futures::stream::iter(pending)
                .map(|pending| async move { self.invalidate(&pending).await })
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
        if invalidated > 0 {
            tracing::info!(invalidated, "deferred invalidations are carried out");
        }
        Ok(())
    }

    async fn invalidate(&self, pending: &PendingInvalidation) -> Result<(), Error> {
        self.cache.invalidate(&pending.invalidation).await?;
        Ok(self.store.delete_invalidation(pending).await?)
    }

    /// Removes a deleted cat from the posts that show it, and from search in case the deleting request died before doing so.
    /// Work that doesn't fit into the time is left to the next run.
    async fn forget_cat(&self, cat: CatId, deadline: Instant) -> Result<(), Error> {
        let (list, mut before) = (PostList::Of(cat), None);
        while Instant::now() < deadline {
            let posts = self.store.newest_posts(&list, before, POSTS_OF_CAT).await?;
            before = posts.last().copied();
            let read = posts.len();
            futures::stream::iter(posts)
                .map(|post| self.drop_cat(post, cat))
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
            if read < POSTS_OF_CAT {
                let gone = IndexMessage::new(Subject::Cat(cat));
                self.index.send(&gone).await?;
                return Ok(self.store.forget_cat(cat).await?);
            }
        }
        Ok(())
    }

    async fn drop_cat(&self, post: PostId, cat: CatId) -> Result<(), Error> {
        let due = Timestamp::now().plus_seconds(self.overdue_after);
        let Edited { rev, .. } = match self.store.drop_cat(post, cat, due).await {
            Ok(edited) => edited,
            // The post itself was deleted.
            Err(PostError::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // A post whose hand-over fails here has its mark, and is handed over when it is overdue.
        let Some(rev) = rev else { return Ok(()) };
        let handed_over = self.fan_out.send(&FanOutMessage::whole(post, rev)).await;
        if let Err(error) = handed_over {
            let error = purrline::log::chain(&error);
            tracing::warn!(%post, error, "a post was not handed over");
        }
        Ok(())
    }

    async fn serve(&self, post: PostId) -> Result<(), Error> {
        let now = Timestamp::now();
        let Some(mark) = self
            .store
            .outbox_mark(post)
            .await?
            .filter(|mark| mark.due <= now)
        else {
            return Ok(());
        };
        let whole = FanOutMessage::whole(post, mark.rev);
        let handed_over = self.fan_out.send(&whole).await;
        // The post is postponed even if its hand-over failed, so that it doesn't keep the others waiting. Each wait is
        // twice as long as the last, so that a lagging queue is not filled further.
        let patience = self
            .overdue_after
            .saturating_mul(1 << mark.sent_again.min(MAX_DOUBLINGS));
        self.store
            .postpone(&mark, now.plus_seconds(patience))
            .await?;
        Ok(handed_over?)
    }
}
