//! The likes queue's consumer: applies likes and keeps counts exact. See [`purrline::edge_consumer`].

use std::collections::HashSet;

use purrline::cache::{self, Cache};
use purrline::domain::{Change, Invalidation, Like, LikeMessage, PostId};
use purrline::edge_consumer::{self, EdgeKind};
use purrline::store::{Applied, Store};
use purrline::{log, metrics};

struct Likes;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    edge_consumer::run::<Likes>().await
}

impl EdgeKind for Likes {
    type Message = LikeMessage;
    const NAME: &'static str = "likes";

    async fn apply(store: &Store, changes: Vec<(Like, Change)>) -> Applied<Like> {
        store.apply_likes(changes).await
    }

    async fn refresh(
        store: &Store,
        cache: &Cache,
        likes: &HashSet<Like>,
    ) -> Result<(), cache::Error> {
        let posts: HashSet<PostId> = likes.iter().map(|like| like.post).collect();
        let posts: Vec<PostId> = posts.into_iter().collect();
        match store.post_counts(&posts).await {
            Ok(counts) => cache.put_likes(likes, &counts).await,
            Err(error) => {
                let error = log::chain(&error);
                tracing::warn!(error, "counts are left to their next reader");
                cache.forget_likes(likes).await
            }
        }
    }

    fn invalidation(likes: HashSet<Like>) -> Invalidation {
        Invalidation::Likes(likes)
    }

    fn count(handled: usize) {
        metrics::likes_applied(handled);
    }
}
