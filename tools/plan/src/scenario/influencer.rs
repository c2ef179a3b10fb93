//! Somebody with very many followers posts: pushed to every feed, or merged when feeds are read.

use std::collections::BTreeMap;

use purrline_charts::Chart;

use super::{Told, axis, line};
use crate::Error;
use crate::limits::COLLECTION;
use crate::numbers::{bytes, counted, dollars, duration, readable, real, whole};
use crate::partitions::{LIKE_SHARDS, LIKES_TOGETHER, WRITES, counter_writes, follower_shards};
use crate::plan::Basis;
use crate::queues;
use crate::sim::{Arrivals, Consumer, Group, Limit, Outcome, Work, simulate};
use crate::usage::Usage;

/// Followers that one message of a fan-out serves.
const PER_MESSAGE: f64 = 10_000.0;
/// Units a second of one slot of `ElastiCache` serverless, to which all keys of an author belong.
const SLOT_ECPUS: f64 = 30_000.0;
/// How soon those who come come: in the mean after so many seconds, ever fewer.
const MEAN_SECONDS: f64 = 900.0;
const HOUR: f64 = 3_600.0;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Followers.
    pub followers: f64,
    /// Which part of them opens their feed within the hour.
    pub active: f64,
    /// Which part of those likes the post.
    pub likes: f64,
}

/// What a fan-out to everybody would be.
struct Pushed {
    messages: f64,
    batch_seconds: f64,
    outcome: Outcome,
    dollars: f64,
}

fn pushed(usage: &Usage, basis: &Basis, followers: f64) -> Result<Pushed, Error> {
    let push = basis.measured.operation("push")?;
    let (consumer, work) =
        queues::consumer("FanOut", PER_MESSAGE, &basis.measured, &basis.template)?;
    let shards = follower_shards(followers);
    let each = (followers / shards / PER_MESSAGE).ceil().max(1.0);
    let work = Work {
        units: PER_MESSAGE.min(followers / shards) * push.ecpu,
        follow_ups: u32::try_from(whole(each - 1.0)).unwrap_or(u32::MAX),
        ..work
    };
    let consumer = Consumer {
        limit: Some(Limit {
            per_second: basis.template.cache_ecpus,
            per_batch: 0.0,
        }),
        ..consumer
    };
    let all = vec![Group {
        count: whole(shards),
        work,
    }];
    let outcome = simulate(&consumer, &Arrivals::at_once(1.0, all), 30.0 * 86_400.0);
    let reads: f64 = push.units.values().map(|units| units.read).sum();
    let (prices, region) = (&basis.prices, usage.region);
    let dollars = followers / 1e6
        * (push.ecpu * prices.cache_ecpus.of(region)?
            + reads * prices.dynamodb_reads.of(region)?);
    Ok(Pushed {
        messages: shards * each,
        batch_seconds: consumer.seconds_per_batch + real(consumer.batch) * work.seconds,
        outcome,
        dollars,
    })
}

/// The post's likes: how many a second come after so many seconds.
fn coming(count: f64) -> impl Fn(f64) -> f64 {
    let within = 1.0 - (-HOUR / MEAN_SECONDS).exp();
    move |at| count / within / MEAN_SECONDS * (-at / MEAN_SECONDS).exp()
}

fn likes(basis: &Basis, count: f64) -> Result<Outcome, Error> {
    let (consumer, work) = queues::consumer("Likes", 0.0, &basis.measured, &basis.template)?;
    let consumer = Consumer {
        // The edges, spread over the post's partitions.
        limit: Some(Limit {
            per_second: LIKE_SHARDS * WRITES,
            per_batch: 0.0,
        }),
        ..consumer
    };
    let work = Work { units: 4.0, ..work };
    let arrivals = Arrivals::at_rate(1.0, HOUR, coming(count), |_| work);
    Ok(simulate(&consumer, &arrivals, 30.0 * 86_400.0))
}

/// Plays it through.
pub fn play(usage: &Usage, basis: &Basis, question: Question) -> Result<Told, Error> {
    let Question {
        followers, active, ..
    } = question;
    let pushed = pushed(usage, basis, followers)?;
    let readers = followers * active;
    let most_readers = coming(readers)(0.0);
    let read = basis.measured.operation("read_feed")?;
    let seconds = basis.measured.seconds(read, basis.template.memory("feed")?);
    let running = most_readers * seconds;
    let ecpus = most_readers * (read.ecpu + 1.0);
    let like_count = readers * question.likes;
    let most_likes = coming(like_count)(0.0);
    let liked = likes(basis, like_count)?;
    let mapping = basis.template.queue("Likes")?;
    let counter = counter_writes(most_likes, most_likes, mapping.window, mapping.batch);
    let drained = pushed.outcome.drained_at.unwrap_or(f64::INFINITY);
    let mut verdict = Vec::new();
    let is_merged = followers > usage.threshold;
    verdict.push(format!(
        "{}: above the threshold of {} followers posts are merged when they are read. The fan-out is one message, \
         and everybody's next read shows the post, about a second after it was written.",
        if is_merged { "Merged" } else { "Not merged" },
        readable(usage.threshold)
    ));
    verdict.push(format!(
        "Pushed instead: {} messages of up to 10,000 followers, {} until the last feed has it (at {} ECPUs a second, \
         as template.yaml limits the cache; {} batches at a time at most), and {} for this post alone.",
        readable(pushed.messages),
        duration(drained),
        readable(basis.template.cache_ecpus),
        pushed.outcome.peak_running(),
        dollars(pushed.dollars)
    ));
    let timeout = basis.template.queue("FanOut")?.timeout;
    if pushed.batch_seconds > timeout {
        verdict.push(format!(
            "A batch of such messages takes {} of processor alone, over the function's {}: most would be tried again.",
            duration(pushed.batch_seconds),
            duration(timeout)
        ));
    }
    verdict.push(format!(
        "What remains is the readers: {} within the hour, {} a second at first. That is {} executions at a time of {}, \
         {} ECPUs a second of {}, and {} a second on the one slot of the author's list, of {} (or thrice that with reads \
         from replicas).",
        readable(readers),
        readable(most_readers),
        readable(running),
        readable(usage.account_concurrency),
        readable(ecpus),
        readable(basis.template.cache_ecpus),
        readable(most_readers),
        readable(SLOT_ECPUS)
    ));
    let first = [
        (
            "the cache's operations (template.yaml)",
            basis.template.cache_ecpus / ecpus,
        ),
        ("Lambda's concurrency", usage.account_concurrency / running),
        ("the slot of the author's list", SLOT_ECPUS / most_readers),
    ];
    let first = first.iter().min_by(|one, other| one.1.total_cmp(&other.1));
    if let Some((what, factor)) = first {
        verdict.push(if *factor < 1.0 {
            format!(
                "Saturated first: {what}, {} times over; as set it carries {} followers.",
                readable(1.0 / factor),
                readable(followers * factor)
            )
        } else {
            format!(
                "Nothing saturates; nearest is {what}, at {} times this.",
                readable(*factor)
            )
        });
    }
    verdict.push(format!(
        "{} likes, {} a second at first: at most {} wait, the last is counted {} after it came at the worst, and all are \
         {}. Each of the post's 16 partitions takes {} write units a second of 1,000, its counter {}.",
        readable(like_count),
        readable(most_likes),
        counted(liked.peak_backlog()),
        duration(liked.worst_delay),
        liked.drained_at.map_or("not done in a month".to_owned(), |at| format!("done after {}", duration(at))),
        readable((most_likes * 4.0 / LIKE_SHARDS).min(WRITES)),
        readable(counter.min(liked_writes(&liked))),
    ));
    let size = 2.0 * basis.measured.sizes.follow_row * followers;
    verdict.push(format!(
        "The list of followers itself is {} in {} partitions: {} each, of the {} that DynamoDB takes of one key.",
        bytes(size),
        follower_shards(followers),
        bytes(size / follower_shards(followers)),
        bytes(COLLECTION)
    ));
    let figures = BTreeMap::from([
        ("followers", followers),
        ("fan_out_messages", pushed.messages),
        ("fan_out_seconds", drained),
        ("fan_out_dollars", pushed.dollars),
        ("readers_a_second", most_readers),
        ("executions", running),
        ("ecpus_a_second", ecpus),
        ("likes", like_count),
        ("likes_backlog", real(liked.peak_backlog())),
        ("likes_worst_delay_seconds", liked.worst_delay),
        (
            "likes_drained_seconds",
            liked.drained_at.unwrap_or(f64::INFINITY),
        ),
    ]);
    Ok(Told {
        title: format!("An author with {} followers posts", readable(followers)),
        verdict,
        figures,
        pictures: pictures(&pushed.outcome, &liked, followers),
    })
}

/// Write units a second of the counter, if batches are as full as they were on average.
fn liked_writes(outcome: &Outcome) -> f64 {
    let seconds = outcome.drained_at.unwrap_or(HOUR).max(1.0);
    2.0 * (real(outcome.done) / LIKES_TOGETHER / seconds).max(1.0) * 4.0
}

fn pictures(pushed: &Outcome, liked: &Outcome, followers: f64) -> Vec<(&'static str, Chart)> {
    let minutes = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        points
            .into_iter()
            .map(|(at, value)| (at / 60.0, value))
            .collect()
    };
    let all = real(pushed.arrived.max(1));
    let end = pushed.drained_at.unwrap_or(HOUR) / 60.0;
    let reached = Chart {
        title: "Feeds that show the post".to_owned(),
        x: axis("minutes after it was written", false),
        y: axis("followers", false),
        series: vec![
            line(
                "merged when read",
                vec![(0.0, 0.0), (1.0 / 60.0, followers), (end, followers)],
            ),
            line(
                "pushed to every feed",
                minutes(pushed.line(|sample| real(sample.done) / all * followers)),
            ),
        ],
    };
    let waiting = Chart {
        title: "Its likes".to_owned(),
        x: axis("minutes after it was written", false),
        y: axis("likes", false),
        series: vec![
            line("counted", minutes(liked.line(|sample| real(sample.done)))),
            line(
                "waiting",
                minutes(liked.line(|sample| real(sample.waiting))),
            ),
        ],
    };
    vec![
        ("influencer.svg", reached),
        ("influencer-likes.svg", waiting),
    ]
}
