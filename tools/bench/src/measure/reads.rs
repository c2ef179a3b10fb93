//! Feed reads at rising concurrency, by fan-out and by pulling, in turns.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::FeedStrategy;
use crate::clients::{Round, closed_loop, median};
use crate::effort::Effort;
use crate::error::Result;
use crate::numbers::ratio;
use crate::progress::bar;
use crate::section::{Cell, Section, lines};
use crate::stage::{Caller, Stage};
use crate::stats::Percentiles;

/// The columns of a table of rounds at several concurrencies.
const COLUMNS: [(&str, &str); 10] = [
    ("clients", "clients"),
    ("way", "read by"),
    ("per_second", "reads/s"),
    ("cpu_ms", "ms of a core a read"),
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("ratio_p50", "p50 against fan-out"),
    ("ratio_p99", "p99 against fan-out"),
    ("errors", "errors"),
];

/// Rounds, by the number of clients and by whether feeds are pulled.
type Rounds = BTreeMap<(u32, bool), Vec<Round>>;

pub(crate) async fn measure(
    stage: &Arc<Stage>,
    readers: &Arc<[Caller]>,
    effort: &Effort,
) -> Result<Vec<Section>> {
    let mut rounds = Rounds::new();
    let steps = u64::from(effort.rounds).saturating_mul(crate::numbers::count(&effort.clients));
    let bar = bar("reads", steps.saturating_mul(2));
    // Processes start when they are first needed, which must not be measured.
    let most = effort.clients.iter().copied().max().unwrap_or(1);
    for strategy in FeedStrategy::BOTH {
        closed_loop(stage, strategy.call(), readers, most, effort.round).await?;
    }
    for round in 0..effort.rounds {
        for clients in &effort.clients {
            for strategy in FeedStrategy::alternating(round) {
                let outcome =
                    closed_loop(stage, strategy.call(), readers, *clients, effort.round).await?;
                let at = (*clients, strategy == FeedStrategy::Pull);
                rounds.entry(at).or_default().push(outcome);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(sections(&rounds, effort, readers.len()))
}

fn sections(rounds: &Rounds, effort: &Effort, readers: usize) -> Vec<Section> {
    let note = format!(
        "Each client calls `GET /v1/feed` (fan-out) or `GET /v1/feed-by-pull` (pull) for 20 posts as soon as it was \
         answered, as one of {readers} users at random, all of whose feeds are in the cache. Medians over {} rounds of \
         {:?} each way, in turns. Through the load balancer and the real binaries. The local tables are one SQLite behind a lock, which \
         is what pulling waits for here and DynamoDB has not: what a read asks for, below, is true of both. The time of a \
         core is that of the function's processes.",
        effort.rounds, effort.round
    );
    let mut seen = Section::new("reads", "Reads, as clients see them", &note, &COLUMNS);
    let note = "The same reads, without the load balancer and without waiting for a process: from handing the event \
                to the function until its answer (its last 4,096 calls of each round).";
    let mut inside = Section::new("reads_handler", "Reads, in the function", note, &COLUMNS);
    let mut drawn = BTreeMap::<String, Vec<(f64, f64)>>::new();
    let mut speed = BTreeMap::<String, Vec<(f64, f64)>>::new();
    for ((clients, pulled), of_both) in rounds {
        let strategy = if *pulled {
            FeedStrategy::Pull
        } else {
            FeedStrategy::FanOut
        };
        let middle = median(of_both);
        let other = rounds.get(&(*clients, false)).filter(|_| *pulled);
        let other = other.map(|rounds| median(rounds));
        let (own, against) = (middle.client, other.map(|round| round.client));
        row(&mut seen, *clients, strategy, &middle, own, against);
        let (own, against) = (middle.handler, other.map(|round| round.handler));
        row(&mut inside, *clients, strategy, &middle, own, against);
        let x = f64::from(*clients);
        for (name, y) in [("p50", middle.client.p50), ("p99", middle.client.p99)] {
            let line = drawn.entry(format!("{}, {name}", strategy.name()));
            line.or_default().push((x, y));
        }
        let line = speed.entry(strategy.name().to_owned()).or_default();
        line.push((x, middle.per_second));
    }
    let (drawn, speed) = (drawn.into_iter().collect(), speed.into_iter().collect());
    seen.pictures = vec![
        lines("Feed reads", ("clients", "ms"), true, drawn),
        lines("Feed reads a second", ("clients", "reads/s"), false, speed),
    ];
    vec![seen, inside]
}

fn row(
    section: &mut Section,
    clients: u32,
    strategy: FeedStrategy,
    round: &Round,
    own: Percentiles,
    against: Option<Percentiles>,
) {
    section.row([
        Cell::from(u64::from(clients)),
        strategy.name().into(),
        round.per_second.into(),
        round.cpu_ms.into(),
        own.p50.into(),
        own.p95.into(),
        own.p99.into(),
        against.map(|other| ratio(own.p50, other.p50)).into(),
        against.map(|other| ratio(own.p99, other.p99)).into(),
        round.errors.into(),
    ]);
}
