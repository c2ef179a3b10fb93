//! The speed of pushing posts to feeds, compared with that of the cache's server alone.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use purrline::cache::{Cache, Feed, PostsAndMerged, Push, Rebuild};
use purrline::domain::{FEED_LENGTH, Id, IdSource, PostId, PostWindow, UserId};

use crate::commands::{SlowCommands, slow_commands, watch};
use crate::dataset::user_id;
use crate::effort::Effort;
use crate::error::{Error, Result, wrong};
use crate::numbers::{count, median, rate, ratio};
use crate::progress::bar;
use crate::section::{Cell, Section, bars};
use crate::server::Server;

/// Feeds that one message of the fan-out queue serves.
const CHUNK: usize = 1000;
/// Posts that a round pushes to each feed: enough that each is trimmed once, as a full feed is.
const POSTS: u32 = 40;
/// Feeds that are filled or looked at in parallel.
const AT_ONCE: usize = 64;
/// Attempts to fill a feed; checks whether it may be filled, and the time between them.
const TRIES: u32 = 5;
const MAX_POLLS: u32 = 200;
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Raw pushes of a round for each feed.
const RAW: u64 = 20;

/// Fills feeds that the cache lacks.
pub(crate) async fn fill(
    cache: &Cache,
    users: &[UserId],
    posts: &[PostId],
    what: &str,
) -> Result<()> {
    let bar = bar(what, count(users));
    let feed = PostsAndMerged {
        posts: PostWindow::new(posts.to_vec(), None),
        merged: Vec::new(),
    };
    let feed = &feed;
    futures::stream::iter(users)
        .map(|user| async {
            // The cache may be late on a busy machine, and filling is not measured.
            for _ in 1..TRIES {
                if fill_one(cache, user, feed).await.is_ok() {
                    bar.inc(1);
                    return Ok(());
                }
            }
            fill_one(cache, user, feed).await?;
            bar.inc(1);
            Ok::<_, Error>(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    bar.finish_and_clear();
    Ok(())
}

/// Fills a feed that the cache lacks. The remains of a failed attempt disappear with its lease.
async fn fill_one(cache: &Cache, user: &UserId, feed: &PostsAndMerged) -> Result<()> {
    for _ in 0..MAX_POLLS {
        match cache.begin_rebuild(user).await? {
            Rebuild::Done => return Ok(()),
            Rebuild::Ours(lease) => {
                cache.finish_rebuild(user, &lease, feed, &[]).await?;
                return Ok(());
            }
            Rebuild::Others => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
    Err(wrong(format!("{user}'s feed can't be filled")))
}

/// Pushes posts to all feeds, with a number of chunks in parallel, and returns the pushes a second.
async fn push(cache: &Cache, users: &[UserId], ids: &IdSource, at_once: usize) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..POSTS {
        let post = Push::of(PostId(ids.mint()));
        let post = &post;
        futures::stream::iter(users.chunks(CHUNK))
            .map(|chunk| cache.push(post, chunk))
            .buffer_unordered(at_once)
            .try_collect::<Vec<_>>()
            .await?;
    }
    let pushes = count(users).saturating_mul(POSTS.into());
    Ok(rate(pushes, started.elapsed()))
}

/// Measures pushes, and returns the raw rate too.
pub(crate) async fn measure(effort: &Effort) -> Result<(Section, f64)> {
    let server = Server::start().await?;
    let cache = Cache::new(&server.url())?;
    let users: Vec<UserId> = (0..effort.feeds).map(user_id).collect::<Result<_>>()?;
    let old: Vec<PostId> = (1..)
        .take(FEED_LENGTH)
        .filter_map(|bits| Id::from_u64(bits).map(PostId))
        .collect();
    fill(&cache, &users, &old, "filling feeds").await?;
    let ids = IdSource::new();
    let raw = u64::from(effort.feeds).saturating_mul(RAW);
    // The first round of each is not measured.
    server.raw_pushes(raw, effort.feeds).await?;
    push(&cache, &users, &ids, 1).await?;
    let bar = bar("pushing", u64::from(effort.rounds) * 3);
    let mut connection = server.connection().await?;
    let mut rates: [(Vec<f64>, SlowCommands); 3] = Default::default();
    for _ in 0..effort.rounds {
        for (at_once, (rates, slowest)) in [None, Some(1), Some(4)].into_iter().zip(&mut rates) {
            watch(&mut connection).await?;
            rates.push(match at_once {
                None => server.raw_pushes(raw, effort.feeds).await?,
                Some(at_once) => push(&cache, &users, &ids, at_once).await?,
            });
            *slowest = slowest.merge(slow_commands(&mut connection).await?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    check_feeds_exist(&cache, &users).await?;
    let [raw, one, four] = rates.map(|(rates, slow)| (median(rates), slow));
    let note = format!(
        "{} full feeds on a cache server of their own, with no proxy before it. Raw: the server's own benchmark tool, \
         `LPUSH` of 8 bytes onto as many random lists, 64 commands in flight on each of 50 connections. Pushed: \
         `purrline::cache::Cache::push` from one process, {CHUNK} feeds a call, {POSTS} posts a round, so that every \
         list is cut back once a round. Medians over {} rounds in turns; the longest command of all of them, by \
         the clock, so with what the server waited for a processor meanwhile.",
        effort.feeds, effort.rounds
    );
    let columns = [
        ("what", "what"),
        ("per_second", "pushes/s"),
        ("of_raw", "of raw"),
        ("longest_ms", "longest command ms"),
        ("long", "commands of more than 10 ms"),
    ];
    let title = "Pushing onto feeds, against the raw rate";
    let mut section = Section::new("push", title, &note, &columns);
    let rates = [
        ("raw", raw),
        ("one call at a time", one),
        ("four at a time", four),
    ];
    let raw = raw.0;
    for (what, (rate, slow)) in rates {
        section.row([
            Cell::from(what),
            rate.into(),
            ratio(rate, raw).into(),
            slow.longest_ms.into(),
            slow.long.into(),
        ]);
    }
    let names = rates.map(|(what, _)| what);
    let values = vec![("pushes".to_owned(), rates.map(|(_, (rate, _))| rate).into())];
    section.pictures = vec![bars("Pushes onto feeds", "pushes/s", &names, values)];
    Ok((section, raw))
}

/// Fails if a feed is gone: pushing to a missing feed costs nothing.
async fn check_feeds_exist(cache: &Cache, users: &[UserId]) -> Result<()> {
    let feeds = futures::stream::iter(users)
        .map(|user| cache.feed(user))
        .buffer_unordered(AT_ONCE);
    let feeds: Vec<Feed> = feeds.try_collect().await?;
    match feeds.iter().filter(|feed| **feed == Feed::Missing).count() {
        0 => Ok(()),
        gone => Err(wrong(format!("{gone} of {} feeds are gone", feeds.len()))),
    }
}
