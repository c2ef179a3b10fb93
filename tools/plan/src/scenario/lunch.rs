//! All come within a minute, and nobody has been there since yesterday: every feed is made anew.

use std::collections::BTreeMap;

use purrline_charts::Chart;

use super::requests::Requests;
use super::{Told, axis, line};
use crate::Error;
use crate::limits::NEW_TABLE_READS;
use crate::numbers::{counted, duration, readable, real};
use crate::plan::Basis;
use crate::queues;
use crate::sim::{Arrivals, Outcome, Work, simulate, spread};
use crate::traffic::Traffic;
use crate::usage::Usage;

/// The height of a half sine over its mean.
const HEIGHT: f64 = std::f64::consts::FRAC_PI_2;

/// The mean request: how long it runs, and what it reads of the table that is asked most.
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
        "sweep",
    ];
    let others = day.functions.iter();
    let others = others.filter(|(name, _)| !behind.contains(&name.as_str()));
    let other_seconds: f64 = others.map(|(_, runs)| runs.seconds).sum();
    let other = other_seconds / other_runs.max(1.0);
    Ok(Work {
        seconds: feeds * feed + (1.0 - feeds) * other,
        // PostLists: one item for each author who is followed, and few queries.
        units: feeds * (usage.follows_held + 3.0),
        follow_ups: 0,
    })
}

/// Plays it through.
pub fn play(usage: &Usage, basis: &Basis, requests: f64, within: f64) -> Result<Told, Error> {
    let day = Traffic::of(usage, &basis.measured, &basis.template)?;
    let part = |operation: &str| {
        let daily = day.operations.get(operation).copied().unwrap_or(0.0);
        daily / day.requests.max(1.0)
    };
    let feeds = part("read_feed");
    let work = mean_request(usage, basis, feeds, &day)?;
    let most = requests / within * HEIGHT;
    let limit = NEW_TABLE_READS;
    let played = Requests {
        seconds: within,
        rate: &spread(requests, within),
        most,
        work: &|_| work,
        concurrency: usage.account_concurrency,
        limit,
    }
    .play();
    let mut queues: Vec<(&'static str, f64, Outcome)> = Vec::new();
    for (queue, operation) in [
        ("Likes", "like"),
        ("Follows", "follow"),
        ("FanOut", "write_post"),
    ] {
        let count = requests * part(operation);
        let (consumer, work) =
            queues::consumer(queue, usage.pushes(), &basis.measured, &basis.template)?;
        let arrivals = Arrivals::at_rate(0.1, within, spread(count, within), |_| work);
        queues.push((
            queue,
            count,
            simulate(&consumer, &arrivals, within + 86_400.0),
        ));
    }
    let running = played.peak_running();
    let reads = most * work.units;
    let cold = basis.measured.latency.cold_start_ms / 1e3;
    // While they start, new environments are taken for that much longer.
    let with_starts = most * (work.seconds + cold);
    let ecpus = most * (day.ecpus / day.requests.max(1.0));
    let mut verdict = vec![
        format!(
            "{} a second at the most. {} executions at a time of {}; if all had to start first, up to {} of them for {}.",
            readable(most),
            readable(running),
            readable(usage.account_concurrency),
            readable(with_starts),
            duration(cold)
        ),
        format!(
            "{} of the requests read a feed that has to be made anew: {} read units a second of PostLists, of {} that even a new \
             table takes. {} ECPUs a second of {}.",
            readable(requests * feeds),
            readable(reads),
            readable(limit),
            readable(ecpus),
            readable(basis.template.cache_ecpus)
        ),
        if played.peak_backlog() > 0.0 || played.outcome.limit_short > 0.5 {
            format!(
                "Too much: at worst {} requests find nobody to serve them and {} goes by until the last is answered; the store is \
                 short for {}, Lambda for {}. In fact they are answered 503, and come again.",
                readable(played.peak_backlog()),
                duration(played.outcome.worst_delay),
                duration(played.outcome.limit_short),
                duration(played.outcome.workers_short)
            )
        } else {
            format!(
                "Nothing saturates: a request takes {} on average, {} at the worst, besides starts.",
                duration(played.outcome.mean_delay()),
                duration(played.outcome.worst_delay)
            )
        },
    ];
    for (queue, count, outcome) in &queues {
        verdict.push(format!(
            "Queue {queue}: {} messages, {} wait at most, none longer than {}, empty {} after the last request.",
            readable(*count),
            counted(outcome.peak_backlog()),
            duration(outcome.worst_delay),
            outcome.drained_at.map_or("more than a day".to_owned(), |at| duration((at - within).max(0.0)))
        ));
    }
    let factor = (limit / reads.max(1e-9))
        .min(usage.account_concurrency / with_starts.max(1e-9))
        .min(basis.template.cache_ecpus / ecpus.max(1e-9));
    verdict.push(format!(
        "The first limit is met at {} times this: {} requests within {}.",
        readable(factor),
        readable(requests * factor),
        duration(within)
    ));
    let mut series = vec![
        line(
            "requests coming, a second",
            (0..=60_u32)
                .map(|step| {
                    let at = within * f64::from(step) / 60.0;
                    (at, spread(requests, within)(at))
                })
                .collect(),
        ),
        line(
            "requests at work",
            played
                .outcome
                .line(|sample| real(sample.running) * played.each),
        ),
    ];
    for (queue, _, outcome) in &queues {
        series.push(line(
            &format!("{queue}: in the queue"),
            outcome.line(|sample| real(sample.waiting + sample.in_flight)),
        ));
    }
    Ok(Told {
        title: format!(
            "{} requests within {}",
            readable(requests),
            duration(within)
        ),
        verdict,
        figures: BTreeMap::from([
            ("requests_a_second", most),
            ("executions", running),
            ("executions_with_starts", with_starts),
            ("read_units_a_second", reads),
            ("ecpus_a_second", ecpus),
            ("backlog", played.peak_backlog()),
            ("worst_delay_seconds", played.outcome.worst_delay),
            ("first_limit_at_times", factor),
        ]),
        pictures: vec![(
            "lunch.svg",
            Chart {
                title: format!(
                    "{} requests within {}",
                    readable(requests),
                    duration(within)
                ),
                x: axis("seconds", false),
                y: axis("requests, messages", false),
                series,
            },
        )],
    })
}
