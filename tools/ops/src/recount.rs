//! Counters, computed again from the rows they count.

use std::collections::HashSet;

use clap::Subcommand;
use purrline::aws;
use purrline::cache::Cache;
use purrline::domain::{PostId, UserId};
use purrline::store::{CounterOwner, Recount, Store};

use crate::error::Error;

/// The owner of the counters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A user: followers, following, posts.
    User {
        /// The user's id: a token's `sub`
        #[arg(value_parser = UserId::parse)]
        user: UserId,
    },
    /// A post: likes, comments.
    Post {
        /// The post's id
        #[arg(value_parser = PostId::parse)]
        post: PostId,
    },
}

impl Command {
    pub(crate) async fn run(self, dry_run: bool) -> Result<(), Error> {
        let store = Store::from_env(&aws::config().await)?;
        let of = match self {
            Self::User { user } => CounterOwner::User(user),
            Self::Post { post } => CounterOwner::Post(post),
        };
        let recounts = store.recount(&of).await?;
        if recounts.is_empty() {
            return Err(Error::Nothing(of.to_string()));
        }
        for recount in &recounts {
            println!("{recount}");
        }
        let wrong: Vec<&Recount> = recounts.iter().filter(|it| !it.is_exact()).collect();
        if wrong.is_empty() {
            println!("nothing to correct");
            return Ok(());
        }
        if dry_run {
            println!("{} would be corrected", wrong.len());
            return Ok(());
        }
        match of {
            CounterOwner::User(_) => correct(&store, &wrong).await,
            // A post's counts are cached too, and the cached ones must not be read any more.
            CounterOwner::Post(post) => {
                let cache = Cache::from_env()?;
                let hold = cache.hold_counts(&HashSet::from([post])).await?;
                let corrected = correct(&store, &wrong).await;
                cache.release(&hold).await?;
                corrected
            }
        }
    }
}

async fn correct(store: &Store, wrong: &[&Recount]) -> Result<(), Error> {
    for recount in wrong {
        let counter = recount.counter;
        if store.correct(recount).await? {
            println!("{counter}: corrected to {}", recount.actual);
        } else {
            println!("{counter}: it moved meanwhile and was left alone; try again");
        }
    }
    Ok(())
}
