//! The cache fails at peak, and returns empty.
//!
//! Meanwhile reads are answered from the store alone, and the queues' consumers fail. Once the cache is back, each reader's
//! next read rebuilds their feed once, and posts are cached again as pages show them.

use std::collections::BTreeMap;

use purrline_charts::Chart;

use super::requests::{Requests, RequestsOutcome};
use super::{ScenarioResult, axis, line};
use crate::Error;
use crate::limits::{NEW_TABLE_READS, TABLE};
use crate::measured::{Measured, Units};
use crate::numbers::{duration, readable, real};
use crate::plan::Basis;
use crate::sim::Work;
use crate::traffic::Traffic;
use crate::usage::Usage;

/// Seconds of normal operation before the failure.
const BEFORE: f64 = 30.0;
/// Seconds simulated after the cache's return.
const AFTER: f64 = 900.0;
/// Ids that a page requests.
const IDS_READ: f64 = 23.0;
/// Seconds until an unreachable cache is noticed (shared/src/cache/mod.rs, `CONNECT`), once a second by each execution
/// (shared/src/feed.rs, `CACHE_PAUSE_MILLIS`).
const DETECTION_SECONDS: f64 = 0.5;

/// Read units that reads take of a table.
struct Reads<'a> {
    usage: &'a Usage,
    measured: &'a Measured,
    /// Reads a second.
    rate: f64,
    /// Seconds without a cache.
    outage: f64,
}

impl Reads<'_> {
    fn units(&self, operation: &str, table: &str) -> Result<f64, Error> {
        let units = &self.measured.operation(operation)?.units;
        Ok(units.get(table).copied().unwrap_or(Units::default()).read)
    }

    /// Returns, for a number of seconds since the cache is back, the share of reads that are the first of their reader, and
    /// the share of requested posts that no reader has requested since.
    fn first(&self, since: f64) -> (f64, f64) {
        let users = self.usage.hourly_users().max(1.0);
        let posts = self.usage.daily(self.usage.per_user.posts) * self.usage.habits.days_read;
        let asked = self.rate * since;
        (
            (-asked / users).exp(),
            (-asked * IDS_READ / posts.max(1.0)).exp(),
        )
    }

    fn is_gone(&self, at: f64) -> bool {
        (BEFORE..BEFORE + self.outage).contains(&at)
    }

    /// Returns a read's units of the table without the cache.
    fn without(&self, table: &str) -> Result<f64, Error> {
        let authors = self.units("rebuild_author", table)? * self.usage.follows_held;
        Ok(self.units("read_without_cache", table)? + authors)
    }

    /// Returns a read's units of the table at a time.
    fn of(&self, table: &str, at: f64) -> Result<f64, Error> {
        if self.is_gone(at) {
            return self.without(table);
        }
        let liked = self.units("new_in_feed", table)? * IDS_READ;
        let usual = liked * self.usage.habits.fresh;
        if at < BEFORE {
            return Ok(usual);
        }
        let (readers, posts) = self.first(at - BEFORE - self.outage);
        let authors = self.units("rebuild_author", table)? * self.usage.follows_held;
        let rebuild = self.units("rebuild_feed", table)? + authors;
        let filled = self.units("fill_post", table)? * IDS_READ;
        Ok(usual.max(liked * readers) + rebuild * readers + filled * posts)
    }
}

/// The course of the failure.
struct Failover<'a> {
    reads: Reads<'a>,
    /// The table with the highest load while the cache is gone.
    table: &'static str,
    /// A read's units of that table during the failure.
    units_without: f64,
    /// Read units a second of that table right after the failure.
    units_after: f64,
    /// Read units a second that the table takes.
    limit: f64,
    /// Seconds of a read, with the cache and without.
    warm: f64,
    without: f64,
    simulated: RequestsOutcome,
}

/// The tables that reading a feed uses.
const TABLES: [&str; 6] = ["PostLists", "Likes", "Posts", "Users", "Blocks", "Follows"];

impl<'a> Failover<'a> {
    fn of(usage: &'a Usage, basis: &'a Basis, outage: f64) -> Result<Self, Error> {
        let measured = &basis.measured;
        let day = Traffic::of(usage, measured, &basis.template)?;
        let rate = Traffic::at_peak(usage, usage.daily(usage.per_user.reads)) * usage.habits.burst;
        let reads = Reads {
            usage,
            measured,
            rate,
            outage,
        };
        let (mut table, mut units_without) = ("PostLists", 0.0);
        for name in TABLES {
            let units = reads.without(name)?;
            if units > units_without {
                (table, units_without) = (name, units);
            }
        }
        let usual = day.tables.get(table).map_or(0.0, |units| units.read);
        let usual = Traffic::at_peak(usage, usual) * usage.habits.burst;
        // An on-demand table takes twice its highest load so far, at least that of a new table, at most its quota.
        let limit = (usual * 2.0).clamp(NEW_TABLE_READS, TABLE);
        let memory = basis.template.memory("feed")?;
        let warm = measured.seconds(measured.operation("read_feed")?, memory);
        let alone = measured.seconds(measured.operation("read_without_cache")?, memory);
        let rebuild = measured.waited_ms(measured.operation("rebuild_feed")?.waits_added) / 1e3;
        // Each execution spends this part of every second learning that the cache is gone.
        let without = alone / (1.0 - DETECTION_SECONDS);
        let work = |at: f64| {
            let seconds = match at {
                _ if at < BEFORE => warm,
                _ if reads.is_gone(at) => without,
                _ => warm + rebuild * reads.first(at - BEFORE - outage).0,
            };
            Work {
                seconds,
                units: reads.of(table, at).unwrap_or(0.0),
                follow_ups: 0,
            }
        };
        let simulated = Requests {
            seconds: BEFORE + outage + AFTER,
            rate: &|_| rate,
            most: rate,
            work: &work,
            concurrency: usage.account_concurrency,
            limit,
        }
        .simulate();
        Ok(Self {
            units_after: rate * reads.of(table, BEFORE + outage)?,
            reads,
            table,
            units_without,
            limit,
            warm,
            without,
            simulated,
        })
    }

    /// Returns the seconds until only one read in a hundred is the first of its reader.
    fn settled(&self) -> f64 {
        self.reads.usage.hourly_users() * 100_f64.ln() / self.reads.rate.max(1e-9)
    }

    fn verdict(&self) -> Vec<String> {
        let (usage, rate, table) = (self.reads.usage, self.reads.rate, self.table);
        let most = (rate * self.units_without).max(self.units_after);
        let followed = usage.most_followers() / usage.users.max(1.0);
        vec![
            format!(
                "{} reads of feeds a second. Without the cache each takes {} read units of {table} and {} instead of {}: {} units \
                 a second, of {} that the table takes at once (twice its usual most, at least 12,000, at most 40,000).",
                readable(rate),
                readable(self.units_without),
                duration(self.without),
                duration(self.warm),
                readable(rate * self.units_without),
                readable(self.limit)
            ),
            format!(
                "The most followed author's item alone is read {} times a second, of 3,000 that its partition takes.",
                readable(rate * followed.min(1.0))
            ),
            format!(
                "Executions at a time: {} at the most, usually {}, of {}.",
                readable(self.simulated.peak_running()),
                readable(rate * self.warm),
                readable(usage.account_concurrency)
            ),
            format!(
                "Once it is back, {} feeds are made anew, each by its reader's next read: {} a second at first ({} units of \
                 {table}); after {} one read in a hundred still does.",
                readable(usage.hourly_users()),
                readable(rate),
                readable(self.units_after),
                duration(self.settled())
            ),
            self.saturation(),
            format!(
                "The table is short from {} daily users on, with these habits.",
                readable(usage.daily_users * self.limit / most.max(1e-9))
            ),
        ]
    }

    fn saturation(&self) -> String {
        let outcome = &self.simulated.outcome;
        if outcome.limit_short <= 0.5 && self.simulated.peak_backlog() <= 0.0 {
            let slowest = duration(outcome.worst_delay);
            return format!("Nothing saturates: no read waits; the slowest takes {slowest}.");
        }
        format!(
            "Too much: the store is short for {}, Lambda for {}; at worst {} reads find nobody to serve them, and the slowest \
             takes {}. What would take longer than 2.5 s is in fact answered 503 with Retry-After, and comes again.",
            duration(outcome.limit_short),
            duration(outcome.workers_short),
            readable(self.simulated.peak_backlog()),
            duration(outcome.worst_delay)
        )
    }

    fn picture(&self) -> Result<Chart, Error> {
        let end = BEFORE + self.reads.outage + AFTER;
        let steps = (0..=240_u32).map(|step| end * f64::from(step) / 240.0);
        let asked = |at| Ok((at, self.reads.rate * self.reads.of(self.table, at)?));
        let asked = steps.map(asked).collect::<Result<Vec<_>, Error>>()?;
        let (outcome, each) = (&self.simulated.outcome, self.simulated.each);
        let running = outcome.line(|sample| real(sample.running) * each);
        let waiting = outcome.line(|sample| real(sample.waiting) * each);
        let gone = duration(self.reads.outage);
        Ok(Chart {
            title: format!("The cache is gone for {gone} and comes back empty"),
            x: axis("seconds", false),
            y: axis("a second, at a time", true),
            series: vec![
                line(&format!("read units of {}", self.table), asked),
                line("units it takes", vec![(0.0, self.limit), (end, self.limit)]),
                line("executions", running),
                line("reads that wait", waiting),
            ],
        })
    }
}

/// The outcome for the queues (`functions/like-consumer`, `follow-consumer` and `fan-out`).
const QUEUES: &str = "Queues Likes and Follows: applied meanwhile, and noted for the cache. Queue FanOut: what can't be \
    pushed is sent again by sweep, each minute. None rests in the dead-letter queue, and feeds are up to date within a \
    minute after the cache is back.";

/// Simulates the failure.
pub(crate) fn run(usage: &Usage, basis: &Basis, outage: f64) -> Result<ScenarioResult, Error> {
    let failover = Failover::of(usage, basis, outage)?;
    let rate = failover.reads.rate;
    let mut verdict = failover.verdict();
    verdict.push(QUEUES.to_owned());
    Ok(ScenarioResult {
        title: format!("At peak the cache is gone for {}", duration(outage)),
        verdict,
        figures: BTreeMap::from([
            ("reads_a_second", rate),
            ("read_units_a_second", rate * failover.units_without),
            ("read_units_a_second_after", failover.units_after),
            ("read_units_limit", failover.limit),
            ("executions", failover.simulated.peak_running()),
            ("feeds_made_anew", usage.hourly_users()),
            (
                "worst_delay_seconds",
                failover.simulated.outcome.worst_delay,
            ),
            ("backlog", failover.simulated.peak_backlog()),
            ("settled_after_seconds", failover.settled()),
        ]),
        pictures: vec![("failover.svg", failover.picture()?)],
    })
}
