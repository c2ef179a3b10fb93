//! The time from a post until the last feed has it: queue, consumer, tables and cache together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use purrline::cache::Feed;
use purrline::domain::{PostId, UserId};
use redis::aio::MultiplexedConnection;

use super::computing::computed_by;
use super::push::fill;
use crate::commands::{slow_commands, watch};
use crate::dataset::user_id;
use crate::effort::Effort;
use crate::error::{Error, Result, wrong};
use crate::numbers::{count, float, millis, rate, ratio};
use crate::progress::{bar, spinner};
use crate::section::{Cell, Section};
use crate::stage::{Caller, Stage};
use crate::stats::Percentiles;

/// The longest time for one fan-out.
const PATIENCE: Duration = Duration::from_mins(30);
/// Feeds looked at in parallel.
const AT_ONCE: usize = 256;
/// Fan-outs to fewer followers are short, so more of them are watched.
const FEW: usize = 10_000;
/// The interval of pings to the cache.
const PING: Duration = Duration::from_millis(1);

/// The outcome of the posts.
#[derive(Default)]
struct FanOuts {
    /// Time until the author was answered.
    answered: Vec<Duration>,
    /// Time until the last feed had the post.
    done: Vec<Duration>,
    /// The longest time that the cache took to answer meanwhile.
    pings: Vec<Duration>,
    last: Option<PostId>,
}

/// Measures fan-outs. `raw` is the rate of pushes that the cache's server reaches on its own, where known.
pub(crate) async fn measure(stage: &Stage, effort: &Effort, raw: Option<f64>) -> Result<Section> {
    let author = stage.set.most_followed();
    let followers = stage.set.followers.get(author).iter();
    let users: Vec<UserId> = followers
        .map(|user| user_id(*user))
        .collect::<Result<_>>()?;
    fill(&stage.cache, &users, &[], "feeds of all followers").await?;
    let author = stage.caller(author)?;
    let mut server = stage.server().await?;
    watch(&mut server).await?;
    let many = if users.len() < FEW {
        effort.short_fan_outs
    } else {
        effort.fan_outs
    };
    // Once before, so that no process starts meanwhile.
    posts(stage, &author, 1).await?;
    let before = computed_by(stage, "fan-out").await?;
    let fan_outs = posts(stage, &author, many).await?;
    let computed = computed_by(stage, "fan-out").await? - before;
    let slow = slow_commands(&mut server).await?;

    let last = fan_outs.last.ok_or_else(|| wrong("there was no fan-out"))?;
    let missing = count_missing(stage, &users, last).await?;
    if missing > 0 {
        return Err(wrong(format!(
            "{missing} of {} feeds don't have the post",
            users.len()
        )));
    }
    let status = stage.stack.status().await?;
    let consumer = status.functions.get("fan-out");
    let consumer = consumer.ok_or_else(|| wrong("there is no fan-out"))?;
    let (answered, done) = (
        Percentiles::of(&fan_outs.answered),
        Percentiles::of(&fan_outs.done),
    );
    let middle = Duration::from_secs_f64(done.p50 / 1000.0);
    let ping = fan_outs.pings.iter().max().copied().unwrap_or_default();
    let note = format!(
        "{many} posts, one after the other, by an author all of whose followers have a feed in the cache. Done is when \
         the queue is empty, the last chunk's message deleted; that every feed then has the last post is looked up, \
         feed by feed, or this fails. The longest command is the longest in the cache's own log, by \
         the clock: see under pushing what such a log shows of the server's own tool on this machine.",
    );
    let columns = [("what", "what"), ("value", "value"), ("unit", "unit")];
    let mut section = Section::new("fan_out", "From a post to its last feed", &note, &columns);
    let values = [
        ("followers with a feed", float(count(&users)), ""),
        ("the author is answered after, p50", answered.p50, "ms"),
        ("the last feed has it after, p50", done.p50, "ms"),
        ("the same, p99", done.p99, "ms"),
        ("the same, longest", done.max, "ms"),
        ("feeds", rate(count(&users), middle), "a second"),
        ("longest command of the cache", slow.longest_ms, "ms"),
        ("its commands of more than 10 ms", float(slow.long), ""),
        ("longest answer to a PING meanwhile", millis(ping), "ms"),
        (
            "the consumer's memory at the most",
            consumer.peak_memory_mb,
            "MiB",
        ),
        ("the consumer's failures", float(consumer.errors), ""),
        (
            "what the consumer computes for a thousand feeds",
            ratio(computed * 1000.0, float(count(&users)) * f64::from(many)),
            "ms of a core",
        ),
    ];
    for (what, value, unit) in values {
        section.row([Cell::from(what), value.into(), unit.into()]);
    }
    if let Some(raw) = raw {
        let of_raw = ratio(rate(count(&users), middle), raw);
        section.row([
            Cell::from("feeds a second, of the raw rate"),
            of_raw.into(),
            "".into(),
        ]);
    }
    Ok(section)
}

/// Writes posts, and waits for each one's fan-out.
async fn posts(stage: &Stage, author: &Caller, posts: u32) -> Result<FanOuts> {
    let mut fan_outs = FanOuts::default();
    let spinner = spinner("posts until their last feed");
    for _ in 0..posts {
        let end = Arc::new(AtomicBool::new(false));
        let watcher = tokio::spawn(longest_ping(stage.server().await?, Arc::clone(&end)));
        let started = Instant::now();
        let (post, took) = stage.post(author).await?;
        stage.wait_until_empty("FanOutQueue", PATIENCE).await?;
        fan_outs.done.push(started.elapsed());
        fan_outs.answered.push(took);
        fan_outs.last = Some(post);
        end.store(true, Ordering::Relaxed);
        let ping = watcher.await.map_err(|error| wrong(error.to_string()))?;
        fan_outs.pings.push(ping?);
    }
    spinner.finish_and_clear();
    Ok(fan_outs)
}

/// Returns the number of these feeds that lack a post.
async fn count_missing(stage: &Stage, users: &[UserId], post: PostId) -> Result<u64> {
    let bar = bar("looking into the feeds", count(users));
    let missing = futures::stream::iter(users)
        .map(|user| async {
            let feed = stage.cache.feed(user).await?;
            bar.inc(1);
            let has = matches!(&feed, Feed::Cached(window) if window.posts.ids().contains(&post));
            Ok::<_, Error>(u64::from(!has))
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0_u64, async |sum, one| Ok(sum.saturating_add(one)))
        .await?;
    bar.finish_and_clear();
    Ok(missing)
}

/// Pings the server repeatedly, and returns the longest answer time.
async fn longest_ping(mut server: MultiplexedConnection, end: Arc<AtomicBool>) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    while !end.load(Ordering::Relaxed) {
        let started = Instant::now();
        redis::cmd("PING").query_async::<()>(&mut server).await?;
        longest = longest.max(started.elapsed());
        tokio::time::sleep(PING).await;
    }
    Ok(longest)
}
