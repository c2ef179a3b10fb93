//! The index queue's consumer: makes the next generation of the search index from the changes.

use std::collections::HashSet;

use purrline::consumer::{self, Consumer, Failed, Received};
use purrline::domain::{CatId, IndexMessage, PostId, Subject, UserId};
use purrline::search::{self, Change, Document, Indexer};
use purrline::store::{self, Store};
use purrline::{aws, log};
use tokio::sync::Mutex;

/// The number of attempts at a batch that another writer overtakes.
const TRIES: u32 = 5;

struct Index {
    store: Store,
    indexer: Mutex<Indexer>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::init();
    let config = aws::config().await;
    let index = Index {
        store: Store::from_env(&config)?,
        indexer: Mutex::new(Indexer::from_env(&config)?),
    };
    consumer::run(index).await
}

/// The reason why a batch must be tried again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("{}", log::chain(.0))]
    Search(#[from] search::Error),
}

impl Consumer for Index {
    type Message = IndexMessage;
    // The whole batch becomes one generation.
    const MAX_GROUP_SIZE: usize = usize::MAX;

    async fn handle(&self, batch: Vec<Received<IndexMessage>>) -> Vec<Failed> {
        let subjects: HashSet<Subject> = batch
            .iter()
            .map(|received| received.message.subject.clone())
            .collect();
        match self.index(&subjects).await {
            Ok(()) => Vec::new(),
            Err(error) => consumer::all_failed(&batch, &error),
        }
    }
}

impl Index {
    async fn index(&self, subjects: &HashSet<Subject>) -> Result<(), Error> {
        let mut indexer = self.indexer.lock().await;
        let mut tries = 1;
        loop {
            // Before the store is read, so that `apply` notices another writer that reads later and publishes first.
            indexer.begin().await?;
            let changes = self.read(subjects).await?;
            match indexer.apply(changes).await {
                Err(search::Error::Overtaken) if tries < TRIES => tries += 1,
                applied => return Ok(applied?),
            }
        }
    }

    /// Reads the present state of the subjects.
    async fn read(&self, subjects: &HashSet<Subject>) -> Result<Vec<Change>, store::Error> {
        let (mut posts, mut users, mut cats) = (
            Vec::<PostId>::new(),
            Vec::<UserId>::new(),
            Vec::<CatId>::new(),
        );
        for subject in subjects {
            match subject {
                Subject::Post(id) => posts.push(*id),
                Subject::User(id) => users.push(id.clone()),
                Subject::Cat(id) => cats.push(*id),
            }
        }
        let (posts, users, cats) = futures::try_join!(
            self.store.posts(&posts),
            self.store.profiles(&users),
            self.store.cats(&cats)
        )?;
        let document = |subject: &Subject| match subject {
            Subject::Post(id) => posts.get(id).map(|post| Document::post(post)),
            Subject::User(id) => {
                let stays = users.get(id).filter(|profile| !profile.withdrawn);
                stays.map(Document::user)
            }
            Subject::Cat(id) => cats.get(id).map(Document::cat),
        };
        let change = |subject: &Subject| (subject.clone(), document(subject));
        Ok(subjects.iter().map(change).collect())
    }
}
