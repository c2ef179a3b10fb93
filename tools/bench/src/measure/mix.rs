//! People who read and post on a schedule, their feeds read by fan-out and by pulling, in turns.

use std::sync::Arc;
use std::time::Duration;

use super::FeedStrategy;
use crate::clients::{Round, median, simulate_people};
use crate::effort::Effort;
use crate::error::Result;
use crate::numbers::ratio;
use crate::progress::bar;
use crate::section::{Cell, Section, bars};
use crate::stage::{Call, Caller, Stage};

const COLUMNS: [(&str, &str); 12] = [
    ("what", "what"),
    ("way", "feeds read by"),
    ("where", "where"),
    ("calls", "calls"),
    ("per_second", "answers/s"),
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("max_ms", "max ms"),
    ("unmade", "not made in time"),
    ("errors", "errors"),
    ("ratio_p50", "p50 against fan-out"),
];

/// The longest time for a round's remaining work.
const PATIENCE: Duration = Duration::from_mins(2);

/// Rounds of reads, and of posts.
type Rounds = (Vec<Round>, Vec<Round>);

pub(crate) async fn measure(
    stage: &Arc<Stage>,
    callers: &[Caller],
    effort: &Effort,
) -> Result<Section> {
    let bar = bar("people who read and post", u64::from(effort.rounds) * 2);
    let (mut by_fan_out, mut by_pull) = (Rounds::default(), Rounds::default());
    warm_up(stage, callers, effort).await?;
    for round in 0..effort.rounds {
        for strategy in FeedStrategy::alternating(round) {
            let seed = stage.set.size.seed ^ u64::from(round);
            let rounds =
                simulate_people(stage, strategy.call(), callers, effort.people_for, seed).await?;
            stage.wait_until_idle(PATIENCE).await?;
            let (reads, posts) = match strategy {
                FeedStrategy::FanOut => &mut by_fan_out,
                FeedStrategy::Pull => &mut by_pull,
            };
            reads.push(rounds.0);
            posts.push(rounds.1);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let note = format!(
        "{} people each read every 1 to 2 s and post every 8 to 10 s, for {:?}, {} times each way in turns; medians. \
         A client's latency counts from when the call was due, if it had to wait for the one before; one that still \
         waited at the end counts with its waiting. Posts are fanned out \
         either way. What is told of the tables under reads holds here too.",
        callers.len(),
        effort.people_for,
        effort.rounds
    );
    let mut section = Section::new("mix", "People who read and post", &note, &COLUMNS);
    rows(
        &mut section,
        "read",
        median(&by_fan_out.0),
        median(&by_pull.0),
    );
    rows(
        &mut section,
        "post",
        median(&by_fan_out.1),
        median(&by_pull.1),
    );
    let latencies = |rounds: &[Round]| {
        let client = median(rounds).client;
        vec![client.p50, client.p95, client.p99]
    };
    let drawn = vec![
        ("fan-out".to_owned(), latencies(&by_fan_out.0)),
        ("pull".to_owned(), latencies(&by_pull.0)),
    ];
    let percentiles = ["p50", "p95", "p99"];
    section.pictures = vec![bars(
        "Reads among people who read and post",
        "ms",
        &percentiles,
        drawn,
    )];
    Ok(section)
}

/// Starts processes for all of it, at rising concurrency.
async fn warm_up(stage: &Stage, callers: &[Caller], effort: &Effort) -> Result<()> {
    for clients in [1, 8, effort.people.min(32)] {
        for call in [
            FeedStrategy::FanOut.call(),
            FeedStrategy::Pull.call(),
            Call::Post,
        ] {
            let callers = callers.iter().take(crate::numbers::index(clients.into()));
            // Ignore the outcome: starting processes is not measured.
            let calls = callers.map(|caller| stage.try_call(caller, call));
            drop(futures::future::join_all(calls).await);
        }
    }
    stage.wait_until_idle(PATIENCE).await
}

fn rows(section: &mut Section, what: &str, fan_out: Round, pull: Round) {
    for (place, ways) in [
        ("client", [fan_out.client, pull.client]),
        ("handler", [fan_out.handler, pull.handler]),
    ] {
        let [base, _] = ways;
        let rounds = [(FeedStrategy::FanOut, fan_out), (FeedStrategy::Pull, pull)];
        for (own, (strategy, round)) in ways.into_iter().zip(rounds) {
            let against = (strategy == FeedStrategy::Pull).then(|| ratio(own.p50, base.p50));
            section.row([
                Cell::from(what),
                strategy.name().into(),
                place.into(),
                own.count.into(),
                round.per_second.into(),
                own.p50.into(),
                own.p95.into(),
                own.p99.into(),
                own.max.into(),
                round.unmade.into(),
                round.errors.into(),
                against.into(),
            ]);
        }
    }
}
