//! Rebuilds of lost feeds.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use purrline_local::Service;

use crate::dataset::user_id;
use crate::effort::Effort;
use crate::error::Result;
use crate::numbers::{count, float, ratio};
use crate::progress::bar;
use crate::section::{Cell, Section};
use crate::stage::{Call, Caller, Stage};
use crate::stats::Percentiles;

const COLUMNS: [(&str, &str); 8] = [
    ("readers", "readers at once"),
    ("authors", "authors followed"),
    ("p50_ms", "handler p50 ms"),
    ("p99_ms", "handler p99 ms"),
    ("client_p50_ms", "client p50 ms"),
    ("store_calls", "calls of the store"),
    ("store_rows", "rows read there"),
    ("rebuilds", "rebuilds"),
];

/// The consequences of losing a feed once.
struct Rebuilds {
    handler: Vec<Duration>,
    client: Vec<Duration>,
    calls: u64,
    rows: u64,
}

pub(crate) async fn measure(stage: &Stage, effort: &Effort) -> Result<Section> {
    let user = stage.set.probe_reader(0);
    let reader = stage.caller(user)?;
    let authors = count(stage.set.following.get(user));
    let feed = HashSet::from([user_id(user)?]);
    // All that a page shows is in the cache then, and as many processes run as may.
    for _ in 0..2 {
        let readers = (0..effort.waiting).map(|_| stage.call(&reader, Call::Feed));
        drop(join_all(readers).await);
    }
    let bar = bar("rebuilds", u64::from(effort.rebuilds) * 2);
    let note = format!(
        "A user who follows {authors} authors reads after the feed was lost from the cache, {} times; then {} readers \
         at once, as often. One rebuild is all the calls of the store that a single reader causes: many readers \
         together cause as many, if only one of them rebuilds. Being counted on their way costs calls time.",
        effort.rebuilds, effort.waiting
    );
    let mut section = Section::new("rebuild", "Rebuilding a feed", &note, &COLUMNS);
    let mut alone = 0.0;
    for readers in [1, effort.waiting] {
        let mut losses = Vec::new();
        for _ in 0..effort.rebuilds {
            stage.cache.forget_feeds(&feed).await?;
            losses.push(lose_feed(stage, &reader, readers).await?);
            bar.inc(1);
        }
        let all = |of: fn(&Rebuilds) -> &Vec<Duration>| -> Percentiles {
            let all: Vec<Duration> = losses.iter().flat_map(of).copied().collect();
            Percentiles::of(&all)
        };
        let mean = |of: fn(&Rebuilds) -> u64| {
            let sum: u64 = losses.iter().map(of).sum();
            ratio(float(sum), float(count(&losses)))
        };
        let (handler, client) = (all(|loss| &loss.handler), all(|loss| &loss.client));
        let calls = mean(|loss| loss.calls);
        if readers == 1 {
            alone = calls;
        }
        section.row([
            Cell::from(u64::from(readers)),
            authors.into(),
            handler.p50.into(),
            handler.p99.into(),
            client.p50.into(),
            calls.into(),
            mean(|loss| loss.rows).into(),
            ratio(calls, alone).into(),
        ]);
    }
    bar.finish_and_clear();
    Ok(section)
}

async fn lose_feed(stage: &Stage, reader: &Caller, readers: u32) -> Result<Rebuilds> {
    stage.stack.take_durations("feed")?;
    stage.stack.reset_calls();
    let answers = join_all((0..readers).map(|_| stage.call(reader, Call::Feed))).await;
    let calls = stage.stack.calls();
    let calls = calls
        .iter()
        .filter(|(call, _)| call.service == Service::Tables && call.function == "feed");
    Ok(Rebuilds {
        handler: stage.stack.take_durations("feed")?,
        client: answers.iter().flatten().map(|answer| answer.took).collect(),
        calls: calls.map(|(_, count)| count).sum(),
        rows: stage.stack.rows_read().values().sum(),
    })
}
