//! Everybody comes within a minute for the first time since yesterday, so every feed is rebuilt.

use std::collections::BTreeMap;

use purrline_charts::Chart;

use super::requests::{Requests, RequestsOutcome};
use super::{ScenarioResult, axis, line};
use crate::Error;
use crate::limits::NEW_TABLE_READS;
use crate::numbers::{duration, format_count, readable, real};
use crate::plan::Basis;
use crate::queues::{self, TICK};
use crate::sim::{Arrivals, Outcome, Sample, Work, simulate, spread};
use crate::traffic::Traffic;
use crate::usage::Usage;

/// The peak of a half sine relative to its mean.
const HEIGHT: f64 = std::f64::consts::FRAC_PI_2;

/// Returns the mean request: its duration, and its units of the table with the highest load.
fn mean_request(usage: &Usage, basis: &Basis, feeds: f64, day: &Traffic) -> Result<Work, Error> {
    let measured = &basis.measured;
    let read = measured.operation("read_feed")?;
    let rebuild = measured.operation("rebuild_feed")?;
    let memory = basis.template.memory("feed")?;
    let feed = measured.seconds(read, memory) + measured.waited_ms(rebuild.waits_added) / 1e3;
    let other_runs = day.requests - day.operations.get("read_feed").copied().unwrap_or(0.0);
    let behind = [
        "feed",
        "like-consumer",
        "follow-consumer",
        "fan-out",
        "index",
        "photo",
        "sweep",
    ];
    let others = day.functions.iter();
    let others = others.filter(|(name, _)| !behind.contains(&name.as_str()));
    let other_seconds: f64 = others.map(|(_, runs)| runs.seconds).sum();
    let other = other_seconds / other_runs.max(1.0);
    Ok(Work {
        seconds: feeds * feed + (1.0 - feeds) * other,
        // PostLists: one item for each followed author, and few queries.
        units: feeds * (usage.follows_held + 3.0),
        follow_ups: 0,
    })
}

/// The course of one queue.
struct QueueOutcome {
    name: &'static str,
    messages: f64,
    outcome: Outcome,
}

/// The course of the rush.
struct Lunch {
    requests: f64,
    within: f64,
    /// The most requests a second.
    most: f64,
    /// The number of requests for a feed.
    feeds: f64,
    /// Concurrent executions, if each had to start first.
    with_starts: f64,
    /// Read units a second of the table with the highest load.
    reads: f64,
    /// Processing units a second of the cache.
    ecpus: f64,
    simulated: RequestsOutcome,
    queues: Vec<QueueOutcome>,
}

impl Lunch {
    fn of(usage: &Usage, basis: &Basis, requests: f64, within: f64) -> Result<Self, Error> {
        let day = Traffic::of(usage, &basis.measured, &basis.template)?;
        let part = |operation: &str| {
            let daily = day.operations.get(operation).copied().unwrap_or(0.0);
            daily / day.requests.max(1.0)
        };
        let feeds = part("read_feed");
        let work = mean_request(usage, basis, feeds, &day)?;
        let most = requests / within * HEIGHT;
        let simulated = Requests {
            seconds: within,
            rate: &spread(requests, within),
            most,
            work: &|_| work,
            concurrency: usage.account_concurrency,
            limit: NEW_TABLE_READS,
        }
        .simulate();
        let mut queues = Vec::new();
        let sent = [
            ("Likes", "like"),
            ("Follows", "follow"),
            ("FanOut", "write_post"),
            ("Photos", "create_upload"),
        ];
        for (name, operation) in sent {
            let messages = requests * part(operation);
            let (consumer, work) =
                queues::consumer(name, usage.pushes(), &basis.measured, &basis.template)?;
            let wave = spread(messages, within);
            let arrivals = Arrivals::at_rate(TICK, within, wave, |_| work);
            queues.push(QueueOutcome {
                name,
                messages,
                outcome: simulate(&consumer, &arrivals, within + 36_000.0),
            });
        }
        // While they start, environments are taken for that much longer.
        let cold = basis.measured.latency.cold_start_ms / 1e3;
        Ok(Self {
            requests,
            within,
            most,
            feeds: requests * feeds,
            with_starts: most * (work.seconds + cold),
            reads: most * work.units,
            ecpus: most * (day.ecpus / day.requests.max(1.0)),
            simulated,
            queues,
        })
    }

    /// Returns the limit that is met first, and the factor of traffic at which it is met.
    fn first_limit(&self, usage: &Usage, basis: &Basis) -> (&'static str, f64) {
        let store = (
            "the read units of a new table",
            NEW_TABLE_READS / self.reads,
        );
        let others = [
            (
                "Lambda's concurrency",
                usage.account_concurrency / self.with_starts,
            ),
            (
                "the cache's operations",
                basis.template.cache_ecpus / self.ecpus,
            ),
        ];
        let lower = |one: (&'static str, f64), other: (&'static str, f64)| {
            if other.1 < one.1 { other } else { one }
        };
        others.into_iter().fold(store, lower)
    }

    fn verdict(&self, usage: &Usage, basis: &Basis) -> Vec<String> {
        let outcome = &self.simulated.outcome;
        let is_short = self.simulated.peak_backlog() > 0.0 || outcome.limit_short > 0.5;
        let mut verdict = vec![
            format!(
                "{} a second at the most: {} executions at a time of {}, up to {} if all had to start first ({}).",
                readable(self.most),
                readable(self.simulated.peak_running()),
                readable(usage.account_concurrency),
                readable(self.with_starts),
                duration(basis.measured.latency.cold_start_ms / 1e3)
            ),
            format!(
                "{} of the requests read a feed that has to be made anew: {} read units a second of PostLists, of {} that even \
                 a new table takes. {} ECPUs a second of {}.",
                readable(self.feeds),
                readable(self.reads),
                readable(NEW_TABLE_READS),
                readable(self.ecpus),
                readable(basis.template.cache_ecpus)
            ),
            if is_short {
                format!(
                    "Too much: at worst {} requests find nobody to serve them, and the slowest takes {}; the store is short for \
                     {}, Lambda for {}. In fact they are answered 503, and come again.",
                    readable(self.simulated.peak_backlog()),
                    duration(outcome.worst_delay),
                    duration(outcome.limit_short),
                    duration(outcome.workers_short)
                )
            } else {
                format!(
                    "Nothing saturates: a request takes {} on average, besides starts.",
                    duration(outcome.mean_delay())
                )
            },
        ];
        verdict.extend(self.queues.iter().map(|queue| queue.verdict(self.within)));
        let (what, factor) = self.first_limit(usage, basis);
        verdict.push(format!(
            "The first limit, {what}, is met at {} times this: {} requests within {}.",
            readable(factor),
            readable(self.requests * factor),
            duration(self.within)
        ));
        verdict
    }

    fn picture(&self) -> Chart {
        let wave = spread(self.requests, self.within);
        let steps = (0..=60_u32).map(|step| self.within * f64::from(step) / 60.0);
        let outcome = &self.simulated.outcome;
        let each = self.simulated.each;
        let mut series = vec![
            line(
                "requests coming, a second",
                steps.map(|at| (at, wave(at))).collect(),
            ),
            line(
                "requests at work or waiting",
                outcome.line(|sample| real(sample.running + sample.waiting) * each),
            ),
        ];
        for queue in &self.queues {
            let there = |sample: &Sample| real(sample.waiting + sample.in_flight);
            let name = format!("messages in {}", queue.name);
            series.push(line(&name, queue.outcome.line(there)));
        }
        Chart {
            title: self.title(),
            x: axis("seconds", false),
            y: axis("requests, messages", false),
            series,
        }
    }

    fn title(&self) -> String {
        let within = duration(self.within);
        format!("{} requests within {within}", readable(self.requests))
    }
}

impl QueueOutcome {
    fn verdict(&self, within: f64) -> String {
        let drained = self.outcome.drained_at;
        let drained = drained.map_or("more than ten hours".to_owned(), |at| {
            duration((at - within).max(0.0))
        });
        format!(
            "Queue {}: {} messages, {} wait at most, none longer than {}, empty {drained} after the last request.",
            self.name,
            readable(self.messages),
            format_count(self.outcome.peak_backlog()),
            duration(self.outcome.worst_delay),
        )
    }
}

/// Simulates the rush.
pub(crate) fn run(
    usage: &Usage,
    basis: &Basis,
    requests: f64,
    within: f64,
) -> Result<ScenarioResult, Error> {
    let lunch = Lunch::of(usage, basis, requests, within)?;
    let outcome = &lunch.simulated.outcome;
    Ok(ScenarioResult {
        title: lunch.title(),
        verdict: lunch.verdict(usage, basis),
        figures: BTreeMap::from([
            ("requests_a_second", lunch.most),
            ("executions", lunch.simulated.peak_running()),
            ("executions_with_starts", lunch.with_starts),
            ("read_units_a_second", lunch.reads),
            ("ecpus_a_second", lunch.ecpus),
            ("backlog", lunch.simulated.peak_backlog()),
            ("worst_delay_seconds", outcome.worst_delay),
            ("first_limit_at_times", lunch.first_limit(usage, basis).1),
        ]),
        pictures: vec![("lunch.svg", lunch.picture())],
    })
}
