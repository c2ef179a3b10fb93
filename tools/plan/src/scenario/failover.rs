//! The cache is gone for a while at peak, and comes back empty.
//!
//! Without it reads are answered from the store alone. Once it is back each feed is made anew by its reader's
//! next read, once each, and what a page shows is filled in again.

use std::collections::BTreeMap;

use purrline_charts::Chart;

use super::requests::Requests;
use super::{Told, axis, line};
use crate::Error;
use crate::limits::{NEW_TABLE_READS, TABLE};
use crate::measured::{Measured, Units};
use crate::numbers::{duration, readable, real};
use crate::plan::Basis;
use crate::sim::Work;
use crate::traffic::Traffic;
use crate::usage::Usage;

/// All is well for so long before.
const BEFORE: f64 = 30.0;
/// And this is looked at afterwards.
const AFTER: f64 = 900.0;
/// Ids that a page asks for.
const IDS_READ: f64 = 23.0;
/// A cache that is out of reach is noticed after so many seconds (shared/src/cache/mod.rs, `CONNECT`), once each
/// second by each execution (shared/src/feed.rs, `CACHE_PAUSE_MILLIS`).
const NOTICED: f64 = 0.5;

/// What a read takes of a table, in read units.
struct Reads<'a> {
    usage: &'a Usage,
    measured: &'a Measured,
    /// Reads a second.
    rate: f64,
    /// How long the cache is gone.
    outage: f64,
}

impl Reads<'_> {
    fn units(&self, operation: &str, table: &str) -> Result<f64, Error> {
        let units = &self.measured.operation(operation)?.units;
        Ok(units.get(table).copied().unwrap_or(Units::default()).read)
    }

    /// What part of the reads is the first of its reader since the cache is back, so many seconds ago; and what
    /// part of the posts asked for has nobody asked for since.
    fn first(&self, since: f64) -> (f64, f64) {
        let users = self.usage.hourly_users().max(1.0);
        let posts = self.usage.daily(self.usage.per_user.posts) * self.usage.days_read;
        let asked = self.rate * since;
        (
            (-asked / users).exp(),
            (-asked * IDS_READ / posts.max(1.0)).exp(),
        )
    }

    fn is_gone(&self, at: f64) -> bool {
        (BEFORE..BEFORE + self.outage).contains(&at)
    }

    /// Read units of the table that a read takes at that time.
    fn of(&self, table: &str, at: f64) -> Result<f64, Error> {
        let held = self.usage.follows_held;
        let author = self.units("rebuild_author", table)? * held;
        if self.is_gone(at) {
            return Ok(self.units("read_without_cache", table)? + author);
        }
        let liked = self.units("new_in_feed", table)? * IDS_READ;
        let usual = liked * self.usage.fresh;
        if at < BEFORE {
            return Ok(usual);
        }
        let (readers, posts) = self.first(at - BEFORE - self.outage);
        let rebuild = self.units("rebuild_feed", table)? + author;
        let filled = self.units("fill_post", table)? * IDS_READ;
        Ok(usual.max(liked * readers) + rebuild * readers + filled * posts)
    }
}

/// Plays it through.
pub fn play(usage: &Usage, basis: &Basis, outage: f64) -> Result<Told, Error> {
    let (measured, template) = (&basis.measured, &basis.template);
    let day = Traffic::of(usage, measured, template)?;
    let rate = Traffic::at_peak(usage, usage.daily(usage.per_user.reads)) * usage.burst;
    let reads = Reads {
        usage,
        measured,
        rate,
        outage,
    };
    // The table that is asked most while the cache is gone.
    let middle = BEFORE + outage / 2.0;
    let mut table = ("PostLists", 0.0);
    for name in day.tables.keys() {
        let units = reads.of(name, middle)?;
        if units > table.1 {
            table = (name, units);
        }
    }
    let (table, units_without) = table;
    let usual = day.tables.get(table).map_or(0.0, |units| units.read);
    let usual = Traffic::at_peak(usage, usual) * usage.burst;
    // On demand a table takes twice what it ever took, at least what a new one does, at most its quota.
    let limit = (usual * 2.0).clamp(NEW_TABLE_READS, TABLE);
    let memory = template.memory("feed")?;
    let warm = measured.seconds(measured.operation("read_feed")?, memory);
    let store = measured.seconds(measured.operation("read_without_cache")?, memory);
    let rebuild = measured.waited_ms(measured.operation("rebuild_feed")?.waits_added) / 1e3;
    // Each execution waits once a second to learn that the cache is gone: of all time that part.
    let without = store / (1.0 - NOTICED);
    let work = |at: f64| Work {
        seconds: if reads.is_gone(at) {
            without
        } else {
            warm + rebuild
                * reads.first((at - BEFORE - outage).max(0.0)).0
                * f64::from(u8::from(at > BEFORE))
        },
        units: reads.of(table, at).unwrap_or(0.0),
        follow_ups: 0,
    };
    let played = Requests {
        seconds: BEFORE + outage + AFTER,
        rate: &|_| rate,
        most: rate,
        work: &work,
        concurrency: usage.account_concurrency,
        limit,
    }
    .play();
    let storm = rate * reads.of(table, BEFORE + outage + 0.1)?;
    let most = (rate * units_without).max(storm);
    let users = usage.hourly_users();
    // Until one read in a hundred is the first of its reader.
    let settled = users * 100_f64.ln() / rate.max(1e-9);
    let is_short = played.outcome.limit_short > 0.5 || played.peak_backlog() > 0.0;
    let verdict = vec![
        format!(
            "{} reads of feeds a second. Without the cache each takes {} read units of {table} and {} instead of {}: {} units a \
             second, of {} that the table takes at once (twice its usual most, at least 12,000, at most 40,000).",
            readable(rate),
            readable(units_without),
            duration(without),
            duration(warm),
            readable(rate * units_without),
            readable(limit)
        ),
        format!(
            "Executions at a time: {} at the most, usually {}, of {}.",
            readable(played.peak_running()),
            readable(rate * warm),
            readable(usage.account_concurrency)
        ),
        format!(
            "Once it is back, {} feeds are made anew, one by each reader's next read, {} a second at first ({} units of {table}); after {} \
             one read in a hundred still does.",
            readable(users),
            readable(rate),
            readable(storm),
            duration(settled)
        ),
        if is_short {
            format!(
                "Too much: the store is short for {}, Lambda for {}; at worst {} reads find nobody to serve them, and the slowest takes {}. \
                 What takes longer than 2.5 s is in fact answered 503 with Retry-After, and comes again.",
                duration(played.outcome.limit_short),
                duration(played.outcome.workers_short),
                readable(played.peak_backlog()),
                duration(played.outcome.worst_delay)
            )
        } else {
            format!(
                "Nothing saturates: no read waits; the slowest takes {}.",
                duration(played.outcome.worst_delay)
            )
        },
        format!(
            "The table is short from {} daily users on, with these habits.",
            readable(usage.daily_users * limit / most.max(1e-9))
        ),
    ];
    let steps = (0..=240_u32).map(|step| (BEFORE + outage + AFTER) * f64::from(step) / 240.0);
    let asked = steps.map(|at| Ok((at, rate * reads.of(table, at)?)));
    let asked = asked.collect::<Result<Vec<_>, Error>>()?;
    let end = BEFORE + outage + AFTER;
    let each = played.each;
    let picture = Chart {
        title: format!(
            "The cache is gone for {} and comes back empty",
            duration(outage)
        ),
        x: axis("seconds", false),
        y: axis("a second, at a time", true),
        series: vec![
            line(&format!("read units of {table}"), asked),
            line("units it takes", vec![(0.0, limit), (end, limit)]),
            line(
                "executions",
                played.outcome.line(|sample| real(sample.running) * each),
            ),
            line(
                "reads that wait",
                played.outcome.line(|sample| real(sample.waiting) * each),
            ),
        ],
    };
    Ok(Told {
        title: format!("At peak the cache is gone for {}", duration(outage)),
        verdict,
        figures: BTreeMap::from([
            ("reads_a_second", rate),
            ("read_units_a_second", rate * units_without),
            ("read_units_a_second_after", storm),
            ("read_units_limit", limit),
            ("executions", played.peak_running()),
            ("feeds_made_anew", users),
            ("worst_delay_seconds", played.outcome.worst_delay),
            ("backlog", played.peak_backlog()),
            ("settled_after_seconds", settled),
        ]),
        pictures: vec![("failover.svg", picture)],
    })
}
