//! The memory of a feed in the cache, and the requests of a warm read to cache and store.

use std::collections::BTreeMap;

use purrline_local::Service;
use redis::aio::MultiplexedConnection;

use super::FeedStrategy;
use crate::effort::Effort;
use crate::error::Result;
use crate::numbers::{count, float, index, ratio};
use crate::section::{Cell, Section};
use crate::stage::{Caller, Stage};
use crate::stats::Percentiles;

/// The most keys that are listed, and the most of a kind whose memory is measured.
const MAX_KEYS: usize = 500_000;
const MAX_MEASURED: usize = 2_000;

/// Measures the memory of keys, by prefix.
pub(crate) async fn memory(stage: &Stage) -> Result<Section> {
    let mut server = stage.server().await?;
    let kinds = keys(&mut server).await?;
    let mut section = Section::new(
        "memory",
        "Memory in the cache",
        "`MEMORY USAGE` of keys by what their names begin with, of up to 2,000 of a kind.",
        &[
            ("keys", "keys named"),
            ("count", "how many"),
            ("mean_bytes", "mean bytes"),
            ("most_bytes", "most bytes"),
        ],
    );
    for (kind, keys) in kinds {
        let mut pipe = redis::pipe();
        for key in keys.iter().take(MAX_MEASURED) {
            let usage = pipe.cmd("MEMORY").arg("USAGE").arg(key);
            // All of a key's elements.
            usage.arg("SAMPLES").arg(0);
        }
        let sizes: Vec<Option<u64>> = pipe.query_async(&mut server).await?;
        // A key may have expired since.
        let sizes: Vec<u64> = sizes.into_iter().flatten().collect();
        let sum: u64 = sizes.iter().sum();
        section.row([
            Cell::from(kind),
            count(&keys).into(),
            ratio(float(sum), float(count(&sizes))).into(),
            sizes.iter().copied().max().unwrap_or(0).into(),
        ]);
    }
    Ok(section)
}

/// Returns the cache's keys, by the part before the first colon.
async fn keys(server: &mut MultiplexedConnection) -> Result<BTreeMap<String, Vec<Vec<u8>>>> {
    let mut kinds = BTreeMap::<String, Vec<Vec<u8>>>::new();
    let (mut cursor, mut seen) = (0_u64, 0_usize);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(1000);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(server).await?;
        seen = seen.saturating_add(keys.len());
        for key in keys {
            let kind = key.split(|byte| *byte == b':').next().unwrap_or_default();
            let kind = String::from_utf8_lossy(kind).into_owned();
            kinds.entry(kind).or_default().push(key);
        }
        cursor = next;
        if cursor == 0 || seen >= MAX_KEYS {
            return Ok(kinds);
        }
    }
}

/// Returns the number of reads from client connections by the cache's server since it started, and the bytes in and out.
/// Clients that wait for each answer are read from once a round trip.
async fn traffic(server: &mut MultiplexedConnection) -> Result<[u64; 3]> {
    let info = redis::cmd("INFO").arg("stats").to_owned();
    let stats: String = info.query_async(server).await?;
    let value = |name: &str| {
        let lines = stats.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value);
        let value = values.next().and_then(|value| value.trim().parse().ok());
        value.unwrap_or(0)
    };
    Ok([
        value("total_reads_processed"),
        value("total_net_input_bytes"),
        value("total_net_output_bytes"),
    ])
}

/// The mean cost of one read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Round trips to the cache.
    pub(crate) trips: f64,
    /// Calls of the store.
    pub(crate) calls: f64,
    /// Rows that these calls read.
    pub(crate) rows: f64,
    /// Bytes to the cache and from it.
    cache_bytes: [f64; 2],
    /// Bytes of the answer's body.
    answer: f64,
    /// Time in the function.
    pub(crate) handler: Percentiles,
}

/// Measures the mean cost of a number of reads, one after the other.
pub(crate) async fn cost(
    stage: &Stage,
    readers: &[Caller],
    strategy: FeedStrategy,
    calls: u32,
) -> Result<Cost> {
    let mut server = stage.server().await?;
    let readers = || readers.iter().cycle().take(index(calls.into()));
    // Each once before, so that nothing is read for the first time.
    for reader in readers() {
        stage.call(reader, strategy.call()).await;
    }
    stage.stack.take_durations(strategy.call().function())?;
    stage.stack.reset_calls();
    // Twice, to subtract the cost of asking.
    let before = traffic(&mut server).await?;
    let idle = traffic(&mut server).await?;
    let mut answer = 0_u64;
    for reader in readers() {
        let body = stage.call(reader, strategy.call()).await;
        answer = answer.saturating_add(body.map_or(0, |answer| count(&answer.body)));
    }
    let after = traffic(&mut server).await?;
    let handler = Percentiles::of(&stage.stack.take_durations(strategy.call().function())?);
    let made = stage.stack.calls();
    let of_store = made.iter().filter(|(call, _)| {
        call.service == Service::Tables && call.function == strategy.call().function()
    });
    let calls_of_store: u64 = of_store.map(|(_, count)| count).sum();
    let each = |total: u64| float(total) / f64::from(calls.max(1));
    let net = |number: usize| {
        let [before, idle, after] =
            [before, idle, after].map(|of| of.get(number).copied().unwrap_or(0));
        let own_cost = idle.saturating_sub(before);
        each(after.saturating_sub(idle).saturating_sub(own_cost))
    };
    Ok(Cost {
        trips: net(0),
        calls: each(calls_of_store),
        rows: each(stage.stack.rows_read().values().sum()),
        cache_bytes: [net(1), net(2)],
        answer: each(answer),
        handler,
    })
}

/// Measures the cost of a warm read, both ways.
pub(crate) async fn reads(stage: &Stage, readers: &[Caller], effort: &Effort) -> Result<Section> {
    let note = format!(
        "Means over {} reads of 20 posts, one after the other, all in the cache. The check of the caller's limit, \
         which is made meanwhile, is one of the round trips. Bytes are what the cache's server counts.",
        effort.calls
    );
    let columns = [
        ("way", "read by"),
        ("cache_trips", "round trips to the cache"),
        ("cache_bytes_sent", "bytes to the cache"),
        ("cache_bytes_received", "bytes from the cache"),
        ("store_calls", "calls of the store"),
        ("store_rows", "rows read there"),
        ("answer_bytes", "bytes of the answer"),
    ];
    let mut section = Section::new("read_cost", "What a read asks for", &note, &columns);
    for strategy in FeedStrategy::BOTH {
        let cost = cost(stage, readers, strategy, effort.calls).await?;
        let [sent, received] = cost.cache_bytes;
        section.row([
            Cell::from(strategy.name()),
            cost.trips.into(),
            sent.into(),
            received.into(),
            cost.calls.into(),
            cost.rows.into(),
            cost.answer.into(),
        ]);
    }
    Ok(section)
}
