//! Messages that consumers gave up.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as Attribute};
use clap::Subcommand;
use purrline::domain::Timestamp;

use crate::error::Error;
use crate::progress::Progress;
use crate::queues::{Name, Queue, trace};

/// What is done with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How many there are of each queue.
    List,
    /// What they say. They stay, hidden from others for a moment.
    Show {
        /// Of which queue.
        queue: Name,
        /// How many at most.
        #[arg(long, default_value_t = 10, value_name = "NUMBER")]
        most: usize,
    },
    /// Send them to their queue again, once what they died of is mended. Consumers can take any of them twice.
    Replay {
        /// Of which queue.
        queue: Name,
        /// How many at most [default: as many as there are now].
        #[arg(long, value_name = "NUMBER")]
        most: Option<usize>,
    },
}

impl Command {
    pub(crate) async fn run(self, dry_run: bool) -> Result<(), Error> {
        match self {
            Self::List => list().await,
            Self::Show { queue, most } => show(&Queue::open(queue).await?, most).await.map(|_| ()),
            Self::Replay { queue, most } => {
                let queue = Queue::open(queue).await?;
                // Those that die again meanwhile are not among them.
                let there = queue.dead_letters().await?.waiting;
                let most = most.map_or(there, |most| most.min(there));
                if dry_run {
                    let shown = show(&queue, most).await?;
                    println!("{shown} would be sent again");
                    Ok(())
                } else {
                    replay(&queue, most).await
                }
            }
        }
    }
}

async fn list() -> Result<(), Error> {
    println!("queue       waiting   in flight   dead letters");
    for name in Name::ALL {
        let queue = Queue::open(name).await?;
        let (alive, dead) = (queue.depth().await?, queue.dead_letters().await?);
        let letters = dead.waiting + dead.hidden;
        println!(
            "{name:<10} {:>8} {:>11} {letters:>14}",
            alive.waiting, alive.hidden
        );
    }
    Ok(())
}

/// Shows some, and how many it showed.
async fn show(queue: &Queue, most: usize) -> Result<usize, Error> {
    let mut seen = Vec::new();
    let shown = async {
        while seen.len() < most {
            let received = queue.receive(most - seen.len()).await?;
            if received.is_empty() {
                break;
            }
            received.iter().for_each(print);
            seen.extend(received);
        }
        Ok(())
    }
    .await;
    for message in &seen {
        queue.let_go(message).await?;
    }
    shown.map(|()| seen.len())
}

fn print(message: &Message) {
    let attribute = |name| message.attributes.as_ref()?.get(&name).cloned();
    let sent = attribute(Attribute::SentTimestamp).and_then(|it| it.parse().ok());
    let sent = sent.map(Timestamp::from_millis);
    let sent = sent.map_or_else(|| "?".to_owned(), |sent| sent.to_string());
    println!("{} sent {sent}", message.message_id().unwrap_or("?"));
    if let Some(trace) = trace(message) {
        println!("  {trace}");
    }
    println!("  {}", message.body().unwrap_or_default());
}

async fn replay(queue: &Queue, most: usize) -> Result<(), Error> {
    let progress = Progress::new("sending again");
    let mut sent = 0;
    while sent < most {
        let received = queue.receive(most - sent).await?;
        if received.is_empty() {
            break;
        }
        for message in &received {
            queue.replay(message).await?;
            sent += 1;
            progress.reached("sent again", sent);
        }
    }
    drop(progress);
    let left = queue.dead_letters().await?;
    println!("{sent} sent again, {} left", left.waiting + left.hidden);
    Ok(())
}
