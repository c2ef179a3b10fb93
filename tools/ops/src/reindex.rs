//! A rebuild of the search index.

use purrline::aws;
use purrline::domain::IndexMessage;
use purrline::queue::Queue;
use purrline::store::Store;

use crate::error::Error;
use crate::progress::Progress;
use crate::queues::Name;

/// Messages that are queued between two updates of the progress.
const PART: usize = 100;

/// Queues every post, user and cat for indexing.
pub(crate) async fn run(dry_run: bool) -> Result<(), Error> {
    let aws = aws::config().await;
    let (store, queue) = (
        Store::from_env(&aws)?,
        Queue::from_env(&aws, Name::Index.variable())?,
    );
    let progress = Progress::new("reading");
    let subjects = store
        .subjects(|table, read| progress.update(&format!("rows of {table}"), read))
        .await?;
    let all = subjects.len();
    if dry_run {
        drop(progress);
        println!("{all} messages would be sent to the queue of index");
        return Ok(());
    }
    let messages: Vec<_> = subjects.into_iter().map(IndexMessage::new).collect();
    let (mut sent, mut unsent) = (0, 0);
    for part in messages.chunks(PART) {
        unsent += queue.send_batch(part).await.len();
        sent += part.len();
        progress.update("messages sent", sent);
    }
    drop(progress);
    println!("{} messages were sent to the queue of index", all - unsent);
    if unsent > 0 {
        return Err(Error::Unsent(unsent));
    }
    Ok(())
}
