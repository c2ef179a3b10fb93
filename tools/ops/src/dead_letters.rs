//! Messages whose every attempt failed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::Message;
use clap::Subcommand;
use purrline::domain::Timestamp;

use crate::error::Error;
use crate::progress::Progress;
use crate::queues::{Name, Queue, sent, trace};

/// The longest time for showing dead letters, which is shorter than they are hidden from others.
const SHOWN_WITHIN: Duration = Duration::from_mins(1);

/// The actions on dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Count the dead letters of each queue.
    List,
    /// Show dead letters. They stay, hidden from others for a moment.
    Show {
        /// The queue
        queue: Name,
        /// Show at most this many
        #[arg(long, default_value_t = 10, value_name = "NUMBER")]
        most: usize,
    },
    /// Send dead letters to their queue again, after their cause is mended. Consumers can take any of them twice.
    Replay {
        /// The queue
        queue: Name,
        /// Send at most this many [default: all]
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
                let (queue, most) = (Queue::open(queue).await?, most.unwrap_or(usize::MAX));
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

/// Shows some dead letters, each once, and returns their number: as many as there is time for while they are hidden.
async fn show(queue: &Queue, most: usize) -> Result<usize, Error> {
    let (began, mut seen) = (Instant::now(), HashMap::new());
    let shown: Result<(), Error> = async {
        while seen.len() < most && began.elapsed() < SHOWN_WITHIN {
            let received = queue.receive(most - seen.len()).await?;
            if received.is_empty() {
                break;
            }
            for message in received {
                print(&message);
                seen.insert(message.message_id.clone(), message);
            }
        }
        Ok(())
    }
    .await;
    for message in seen.values() {
        queue.release(message).await;
    }
    shown?;
    if seen.is_empty() && most > 0 {
        let hidden = queue.dead_letters().await?.hidden;
        println!("{}", describe_none_shown(queue.name, hidden));
    }
    Ok(seen.len())
}

/// Returns the message for a queue whose dead letters can't be shown.
fn describe_none_shown(queue: Name, hidden: usize) -> String {
    match hidden {
        0 => format!("there are no dead letters of {queue}"),
        _ => format!(
            "no dead letter of {queue} can be shown now: {hidden} are hidden for at most two minutes, since somebody else \
             looks at them"
        ),
    }
}

fn print(message: &Message) {
    let sent = sent(message).map_or_else(|| "?".to_owned(), |sent| sent.to_string());
    println!("{} sent {sent}", message.message_id().unwrap_or("?"));
    if let Some(trace) = trace(message) {
        println!("  {trace}");
    }
    println!("  {}", message.body().unwrap_or_default());
}

/// Sends some dead letters again, except those sent since this call began: they failed again.
async fn replay(queue: &Queue, most: usize) -> Result<(), Error> {
    let progress = Progress::new("sending again");
    let (began, mut replayed) = (Timestamp::now(), 0);
    'letters: while replayed < most {
        let received = queue.receive(most - replayed).await?;
        if received.is_empty() {
            break;
        }
        for message in &received {
            if sent(message).is_some_and(|sent| sent >= began) {
                queue.release(message).await;
                break 'letters;
            }
            queue.replay(message).await?;
            replayed += 1;
            progress.update("sent again", replayed);
        }
    }
    drop(progress);
    let left = queue.dead_letters().await?;
    println!("{replayed} sent again, {} left", left.waiting + left.hidden);
    Ok(())
}
