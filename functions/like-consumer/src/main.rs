//! The likes queue's consumer: applies likes, keeps counts exact.

use std::collections::HashSet;

use purrline::cache::Cache;
use purrline::consumer::{self, Consumer, Failed, Received};
use purrline::domain::{Like, LikeMessage, PostId};
use purrline::store::{self, Store};
use purrline::{aws, log, metrics};

struct Likes {
    store: Store,
    cache: Cache,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::init();
    let store = Store::from_env(&aws::config().await)?;
    consumer::run(Likes {
        store,
        cache: Cache::from_env()?,
    })
    .await
}

impl Likes {
    /// Tells the cache of likes that were applied, or notes them for when it can be told.
    async fn tell(&self, likes: &HashSet<Like>) -> Result<(), store::Error> {
        let posts: HashSet<PostId> = likes.iter().map(|like| like.post).collect();
        let posts: Vec<PostId> = posts.into_iter().collect();
        let told = match self.store.post_counts(&posts).await {
            Ok(counts) => self.cache.put_likes(likes, &counts).await,
            Err(error) => {
                let error = purrline::log::chain(&error);
                tracing::warn!(error, "counts are left to their next reader");
                self.cache.forget_likes(likes).await
            }
        };
        let Err(error) = told else {
            return Ok(());
        };
        let error = purrline::log::chain(&error);
        tracing::warn!(
            error,
            likes = likes.len(),
            "the cache is told of likes later"
        );
        self.store.note_likes(likes).await
    }
}

impl Consumer for Likes {
    type Message = LikeMessage;
    // All of a batch: a hot post's counter is written once.
    const TOGETHER: usize = usize::MAX;

    async fn handle(&self, batch: Vec<Received<LikeMessage>>) -> Vec<Failed> {
        let words = batch
            .iter()
            .map(|Received { message, sent, .. }| (message.edge(), message.change(*sent)));
        let failed = self.store.apply_likes(words).await;
        // Also for likes that were applied before: whoever applied them may have died right after.
        let touched: HashSet<Like> = batch
            .iter()
            .map(|received| received.message.edge())
            .collect();
        if let Err(error) = self.tell(&touched).await {
            return consumer::all_failed(&batch, &error);
        }
        let failed = consumer::failed(&batch, |message| {
            failed.get(&message.edge()).map(ToString::to_string)
        });
        metrics::likes_applied(batch.len() - failed.len());
        failed
    }
}
