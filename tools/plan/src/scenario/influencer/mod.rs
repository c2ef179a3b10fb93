//! An author with very many followers posts: pushed to every feed, or merged when feeds are read.

mod pushed;

use std::collections::BTreeMap;

use purrline_charts::Chart;

use super::{ScenarioResult, axis, line};
use crate::Error;
use crate::limits::COLLECTION;
use crate::numbers::{bytes, duration, format_count, readable, real};
use crate::partitions::{LIKE_SHARDS, WRITES, counter_writes, follower_shards};
use crate::plan::Basis;
use crate::queues;
use crate::sim::{Arrivals, Consumer, Limit, Outcome, Work, simulate};
use crate::usage::Usage;

/// Processing units a second of one slot of a serverless cache; all keys of an author belong to one.
const SLOT_ECPUS: f64 = 30_000.0;
/// Mean seconds until a reader comes; arrivals decay exponentially.
const MEAN_SECONDS: f64 = 900.0;
const HOUR: f64 = 3_600.0;
/// Write units of a like in its partition: the edge and its local index, in a transaction.
const LIKE_UNITS: f64 = 4.0;

/// The scenario's parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters {
    pub followers: f64,
    /// Share of the followers who open their feed within the hour.
    pub active: f64,
    /// Share of those who like the post.
    pub likes: f64,
}

/// Returns the rate of arrivals at a number of seconds after the post.
fn arrival_rate(count: f64) -> impl Fn(f64) -> f64 {
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
    let work = Work {
        units: LIKE_UNITS,
        ..work
    };
    let arrivals = Arrivals::at_rate(0.05, HOUR, arrival_rate(count), |_| work);
    Ok(simulate(&consumer, &arrivals, 2.0 * 86_400.0))
}

/// The readers, and their load.
struct Readers {
    /// Readers within the hour.
    count: f64,
    /// Readers a second, at first.
    most: f64,
    /// Concurrent executions.
    executions: f64,
    /// Processing units a second of the cache.
    ecpus: f64,
}

impl Readers {
    fn of(basis: &Basis, count: f64) -> Result<Self, Error> {
        let read = basis.measured.operation("read_feed")?;
        let merge = basis.measured.operation("merge_influencer")?;
        let memory = basis.template.memory("feed")?;
        let most = arrival_rate(count)(0.0);
        Ok(Self {
            count,
            most,
            executions: most * basis.measured.seconds(read, memory),
            ecpus: most * (read.ecpu + merge.ecpu),
        })
    }

    /// Returns the limit that is met first, and the factor of readers at which it is met.
    fn first_limit(&self, usage: &Usage, basis: &Basis) -> (&'static str, f64) {
        let limits = [
            (
                "Lambda's concurrency",
                usage.account_concurrency / self.executions,
            ),
            ("the slot of the author's list", SLOT_ECPUS / self.most),
        ];
        let cache = basis.template.cache_ecpus / self.ecpus;
        let cache = ("the cache's operations (template.yaml)", cache);
        let lower = |one: (&'static str, f64), other: (&'static str, f64)| {
            if other.1 < one.1 { other } else { one }
        };
        limits.into_iter().fold(cache, lower)
    }
}

/// Simulates the scenario.
pub(crate) fn run(
    usage: &Usage,
    basis: &Basis,
    parameters: Parameters,
) -> Result<ScenarioResult, Error> {
    let followers = parameters.followers;
    let pushed = pushed::simulate_fan_out(usage, basis, followers)?;
    let readers = Readers::of(basis, followers * parameters.active)?;
    let like_count = readers.count * parameters.likes;
    let liked = likes(basis, like_count)?;
    let drained = pushed.outcome.drained_at.unwrap_or(f64::INFINITY);
    let mut verdict = pushed::describe(usage, basis, followers, &pushed)?;
    verdict.extend(describe_readers(usage, basis, followers, &readers));
    verdict.push(describe_likes(basis, like_count, &liked)?);
    let size = 2.0 * basis.measured.sizes.follow_row * followers;
    verdict.push(format!(
        "The list of followers itself is {} in {} partition(s): {} each, of the {} that DynamoDB takes of one key.",
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
        ("readers_a_second", readers.most),
        ("executions", readers.executions),
        ("ecpus_a_second", readers.ecpus),
        ("likes", like_count),
        ("likes_backlog", real(liked.peak_backlog())),
        ("likes_worst_delay_seconds", liked.worst_delay),
        (
            "likes_drained_seconds",
            liked.drained_at.unwrap_or(f64::INFINITY),
        ),
    ]);
    Ok(ScenarioResult {
        title: format!("An author with {} followers posts", readable(followers)),
        verdict,
        figures,
        pictures: pictures(&pushed.outcome, &liked, followers),
    })
}

fn describe_readers(
    usage: &Usage,
    basis: &Basis,
    followers: f64,
    readers: &Readers,
) -> Vec<String> {
    let (what, factor) = readers.first_limit(usage, basis);
    vec![
        format!(
            "What remains is the readers: {} within the hour, {} a second at first. That is {} executions at a time of {}, {} \
             ECPUs a second of {}, and {} a second on the one slot of the author's list, of {} (thrice that with reads from \
             replicas).",
            readable(readers.count),
            readable(readers.most),
            readable(readers.executions),
            readable(usage.account_concurrency),
            readable(readers.ecpus),
            readable(basis.template.cache_ecpus),
            readable(readers.most),
            readable(SLOT_ECPUS)
        ),
        if factor < 1.0 {
            format!(
                "Saturated first: {what}, {} times over; as set it carries an author with {} followers.",
                readable(1.0 / factor),
                readable(followers * factor)
            )
        } else {
            let factor = readable(factor);
            format!("Nothing saturates; nearest is {what}, at {factor} times this.")
        },
    ]
}

fn describe_likes(basis: &Basis, count: f64, liked: &Outcome) -> Result<String, Error> {
    let (consumer, work) = queues::consumer("Likes", 0.0, &basis.measured, &basis.template)?;
    let most = arrival_rate(count)(0.0);
    // Likes are counted no faster than they come, than the consumer handles them, and than the partitions take them.
    let done = most
        .min(queues::capacity(&consumer, work))
        .min(LIKE_SHARDS * WRITES / LIKE_UNITS);
    let counter = counter_writes(done, done, consumer.window, real(consumer.batch));
    let end = liked
        .drained_at
        .map_or("not within two days".to_owned(), |at| {
            format!("{} after the post", duration(at))
        });
    Ok(format!(
        "{} likes, {} a second at first, of {} that can be counted: at most {} wait, the last is counted {} after it came at \
         the worst, all are counted {end}. Each of the post's 16 partitions takes {} write units a second of 1,000, its \
         counter {}.",
        readable(count),
        readable(most),
        readable(queues::capacity(&consumer, work)),
        format_count(liked.peak_backlog()),
        duration(liked.worst_delay),
        readable(done * LIKE_UNITS / LIKE_SHARDS),
        readable(counter),
    ))
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
