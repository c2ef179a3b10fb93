//! Many likes of one post.

use std::time::{Duration, Instant};

use futures::StreamExt;
use purrline::domain::PostId;
use purrline_local::Service;
use serde_json::Value;

use super::computing::computed_by;
use crate::dataset::user_text;
use crate::effort::Effort;
use crate::error::{Result, wrong};
use crate::numbers::{float, rate, ratio};
use crate::progress::{bar, spinner};
use crate::section::{Cell, Section};
use crate::stage::{Call, Stage};
use crate::stats::{Latencies, Percentiles};

/// Concurrent likes.
const AT_ONCE: usize = 32;
/// Attempts at one like.
const TRIES: u32 = 5;
/// The longest time for the queue to empty.
const PATIENCE: Duration = Duration::from_mins(20);

/// The outcome of the likes.
struct Likes {
    client: Percentiles,
    like: Percentiles,
    consumer: Percentiles,
    /// Time until the last like was accepted, and until it was counted.
    sent: Duration,
    counted: Duration,
    /// Transactions.
    writes: u64,
    /// Processor time of the consumer, in milliseconds.
    computed: f64,
}

pub(crate) async fn measure(stage: &Stage, effort: &Effort) -> Result<Section> {
    let author = stage.caller_with_id("nobody".to_owned())?;
    let (post, _) = stage.post(&author).await?;
    warm_up(stage).await?;
    stage.stack.reset_calls();
    for function in ["like", "like-consumer"] {
        stage.stack.take_durations(function)?;
    }
    let before = computed_by(stage, "like-consumer").await?;
    let started = Instant::now();
    let client = send(stage, post, effort.likes).await?;
    let sent = started.elapsed();
    let spinner = spinner("until the last like counts");
    stage.wait_until_empty("LikesQueue", PATIENCE).await?;
    spinner.finish_and_clear();
    let counted = started.elapsed();

    let shown = stage.get(&author, &format!("posts/{post}")).await?;
    let likes = shown.pointer("/likes").and_then(Value::as_u64);
    let likes = likes.ok_or_else(|| wrong(format!("a post without a count: {shown}")))?;
    if likes != u64::from(effort.likes) {
        return Err(wrong(format!(
            "{} likes are counted as {likes}",
            effort.likes
        )));
    }
    let calls = stage.stack.calls();
    let writes = calls.iter().filter(|(call, _)| {
        call.function == "like-consumer"
            && call.service == Service::Tables
            && call.operation == "TransactWriteItems"
    });
    Ok(section(&Likes {
        client,
        like: Percentiles::of(&stage.stack.take_durations("like")?),
        consumer: Percentiles::of(&stage.stack.take_durations("like-consumer")?),
        sent,
        counted,
        writes: writes.map(|(_, count)| count).sum(),
        computed: computed_by(stage, "like-consumer").await? - before,
    }))
}

/// Starts processes that handle likes, by likes of another post.
async fn warm_up(stage: &Stage) -> Result<()> {
    let author = stage.caller_with_id("nobody".to_owned())?;
    let (post, _) = stage.post(&author).await?;
    let users = (0_u32..).take(AT_ONCE.saturating_mul(2));
    let callers: Vec<_> = users
        .map(|user| stage.caller(user))
        .collect::<Result<_>>()?;
    futures::stream::iter(&callers)
        .for_each_concurrent(AT_ONCE, async |caller| {
            // The outcome doesn't matter.
            let _ = stage.try_call(caller, Call::Like(post)).await;
        })
        .await;
    stage.wait_until_empty("LikesQueue", PATIENCE).await
}

/// Lets a number of users like a post.
async fn send(stage: &Stage, post: PostId, likes: u32) -> Result<Percentiles> {
    let bar = bar("likes", likes.into());
    let mut latencies = Latencies::new()?;
    let mut answers = futures::stream::iter(0..likes)
        .map(|user| async move {
            let caller = stage.caller_with_id(user_text(user))?;
            // A failed like is retried, as clients do, but fails the run in the end.
            for _ in 0..TRIES {
                if let Some(answer) = stage.call(&caller, Call::Like(post)).await {
                    return Ok(answer);
                }
            }
            Err(wrong("a like is refused again and again"))
        })
        .buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        latencies.record(answer?.took);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(latencies.percentiles())
}

fn section(likes: &Likes) -> Section {
    let note = "Different users like one post through the load balancer, 32 at a time; the count is then what it \
                must be, or this fails. Each transaction of `like-consumer` writes up to about a hundred likes, and \
                moves the count once at the most. Calls are counted on their way, which costs them time.";
    let columns = [("what", "what"), ("value", "value"), ("unit", "unit")];
    let mut section = Section::new("likes", "Likes of one post", note, &columns);
    let number = likes.client.count;
    let values = [
        ("likes sent and counted", float(number), ""),
        ("accepted", rate(number, likes.sent), "a second"),
        ("all are counted after", likes.counted.as_secs_f64(), "s"),
        ("counted", rate(number, likes.counted), "a second"),
        ("writes of a count, at the most", float(likes.writes), ""),
        (
            "likes a write",
            ratio(float(number), float(likes.writes)),
            "",
        ),
        ("a like, as its client sees it, p50", likes.client.p50, "ms"),
        ("the same, p99", likes.client.p99, "ms"),
        ("a like, in the function, p50", likes.like.p50, "ms"),
        ("the same, p99", likes.like.p99, "ms"),
        ("a batch, in the consumer, p50", likes.consumer.p50, "ms"),
        ("the same, p99", likes.consumer.p99, "ms"),
        (
            "what the consumer computes for a like",
            ratio(likes.computed, float(number)),
            "ms of a core",
        ),
    ];
    for (what, value, unit) in values {
        section.row([Cell::from(what), value.into(), unit.into()]);
    }
    section
}
