//! Tests of invariants, and against the formulas of queueing theory.

use proptest::prelude::*;

use super::*;
use crate::numbers::{real, whole};

fn work(seconds: f64) -> Work {
    Work {
        seconds,
        units: 1.0,
        follow_ups: 0,
    }
}

fn consumers() -> impl Strategy<Value = Consumer> {
    let failing = prop::option::of((0.0..=1.0_f64, 0.0..20.0_f64, 0.0..40.0_f64));
    let limit = prop::option::of((1.0..500.0_f64, 0.0..5.0_f64));
    (
        (1_u64..50, 0.0..3.0_f64, 1_u64..8, 0.0..2.0_f64),
        (1_u32..5, failing, limit, 1_u64..3),
    )
        .prop_map(
            |((batch, window, concurrency, seconds), (tries, failing, limit, start))| Consumer {
                batch,
                window,
                ramp: Ramp {
                    start,
                    per_second: 1.0,
                },
                seconds_per_batch: seconds,
                visibility: 3.0,
                tries,
                limit: limit.map(|(per_second, per_batch)| Limit {
                    per_second,
                    per_batch,
                }),
                failing: failing.map(|(share, from, until)| Failing { share, from, until }),
                ..Consumer::plain(concurrency)
            },
        )
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    let group =
        (0_u64..60, 0.0..0.2_f64, 0_u32..3).prop_map(|(count, seconds, follow_ups)| Group {
            count,
            work: Work {
                seconds,
                units: seconds * 10.0,
                follow_ups,
            },
        });
    prop::collection::vec(prop::collection::vec(group, 0..3), 1..60)
        .prop_map(|groups| Arrivals { tick: 0.25, groups })
}

proptest! {
    #[test]
    fn no_message_is_lost_or_created(consumer in consumers(), arrivals in arrivals(), horizon in 1.0..200.0_f64) {
        let outcome = simulate(&consumer, &arrivals, horizon);
        let last = outcome.samples.last().unwrap();
        prop_assert_eq!(outcome.arrived, outcome.done + outcome.dead + last.waiting + last.in_flight);
        prop_assert_eq!(outcome.drained_at.is_some(), last.waiting + last.in_flight == 0 && outcome.samples.len() >= arrivals.groups.len());
        for sample in &outcome.samples {
            prop_assert!(sample.running <= consumer.concurrency);
            prop_assert!(sample.running <= sample.in_flight);
        }
    }

    #[test]
    fn more_workers_finish_no_later(count in 1_u64..5_000, batch in 1_u64..50, workers in 1_u64..20) {
        let drained = |workers| {
            let consumer = Consumer { batch, seconds_per_batch: 0.5, ..Consumer::plain(workers) };
            let all = vec![Group { count, work: work(0.01) }];
            simulate(&consumer, &Arrivals::at_once(0.1, all), 1e5).drained_at.unwrap()
        };
        prop_assert!(drained(workers + 1) <= drained(workers));
        let batches = count.div_ceil(batch);
        if batches.is_multiple_of(2 * workers) {
            prop_assert!(drained(2 * workers) < drained(workers));
        }
    }

    #[test]
    fn littles_law_holds(rate in 1.0..80.0_f64, seconds in 0.05..0.5_f64, workers in 1_u64..30) {
        // Little's law: the mean number in the system is the rate times the mean time in it.
        let tick = 0.05;
        let arrivals = Arrivals::at_rate(tick, 100.0, |_| rate, |_| work(seconds));
        let outcome = simulate(&Consumer::plain(workers), &arrivals, 1e5);
        let there: u64 = outcome.samples.iter().map(|sample| sample.waiting + sample.in_flight).sum();
        let drained = outcome.drained_at.unwrap();
        let mean_there = real(there) * tick / drained;
        let expected = real(outcome.arrived) / drained * outcome.mean_delay();
        prop_assert!((mean_there - expected).abs() <= 0.01 * expected + 0.01, "{mean_there} {expected}");
    }

    #[test]
    fn shared_limit_is_never_exceeded(count in 1_u64..2_000, per_second in 1.0..100.0_f64) {
        let consumer = Consumer {
            limit: Some(Limit { per_second, per_batch: 0.0 }),
            ..Consumer::plain(50)
        };
        let all = vec![Group { count, work: work(0.0) }];
        let outcome = simulate(&consumer, &Arrivals::at_once(0.1, all), 1e5);
        let drained = outcome.drained_at.unwrap();
        let least = real(count) / per_second;
        // Nothing else takes time here.
        prop_assert!((outcome.limit_short - least).abs() < 1e-6 * least + 0.1, "{} {least}", outcome.limit_short);
        prop_assert!(drained >= least - 0.1 && drained <= least + 0.3, "{drained} {least}");
    }
}

/// Returns a pseudo-random number from 0 to 1 (Steele et al.'s `SplitMix64`).
fn dice(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    real((mixed ^ (mixed >> 31)) >> 11) / real(1 << 53)
}

#[test]
fn waits_of_one_server_match_the_pollaczek_khinchine_formula() {
    // M/D/1: on average a message waits rho * D / (2 * (1 - rho)), and is handled for D.
    let (tick, service) = (0.1, 1.0);
    for load in [0.3, 0.5, 0.8] {
        let (mut sum, mut state) = (0.0, 1);
        for _ in 0..4 {
            let mut next = 0.0;
            let mut groups = vec![Vec::new(); 500_000];
            loop {
                next -= (1.0 - dice(&mut state)).ln() * service / load;
                let at = usize::try_from(whole(next / tick)).unwrap();
                let Some(groups) = groups.get_mut(at) else {
                    break;
                };
                groups.push(Group {
                    count: 1,
                    work: work(service),
                });
            }
            sum += simulate(&Consumer::plain(1), &Arrivals { tick, groups }, 1e5).mean_delay();
        }
        let expected = service + load * service / (2.0 * (1.0 - load));
        let found = sum / 4.0;
        assert!(
            (found / expected - 1.0).abs() < 0.04,
            "{load}: {found} {expected}"
        );
    }
}

#[test]
fn batch_waits_for_its_window_unless_it_is_full() {
    let consumer = Consumer {
        batch: 10,
        window: 2.0,
        seconds_per_batch: 0.5,
        ..Consumer::plain(1)
    };
    let some = |count| {
        Arrivals::at_once(
            0.5,
            vec![Group {
                count,
                work: work(0.0),
            }],
        )
    };
    assert_eq!(simulate(&consumer, &some(9), 99.0).drained_at, Some(2.5));
    assert_eq!(simulate(&consumer, &some(10), 99.0).drained_at, Some(0.5));
}

#[test]
fn failed_messages_are_retried_and_end_as_dead_letters() {
    let failing = |share, until| Consumer {
        visibility: 10.0,
        tries: 3,
        failing: Some(Failing {
            share,
            from: 0.0,
            until,
        }),
        ..Consumer::plain(4)
    };
    let four = Arrivals::at_once(
        1.0,
        vec![Group {
            count: 4,
            work: work(1.0),
        }],
    );
    let healed = simulate(&failing(0.5, 5.0), &four, 99.0);
    assert_eq!((healed.done, healed.dead), (4, 0));
    assert_eq!(healed.drained_at, Some(12.0));
    let hopeless = simulate(&failing(1.0, 1e9), &four, 99.0);
    assert_eq!((hopeless.done, hopeless.dead), (0, 4));
    assert_eq!(hopeless.drained_at, Some(23.0));
}

#[test]
fn follow_ups_run_one_after_the_other() {
    let chain = Work {
        follow_ups: 4,
        ..work(1.0)
    };
    let two = Arrivals::at_once(
        1.0,
        vec![Group {
            count: 2,
            work: chain,
        }],
    );
    let outcome = simulate(&Consumer::plain(100), &two, 99.0);
    assert_eq!((outcome.arrived, outcome.done), (10, 10));
    assert_eq!(outcome.drained_at, Some(5.0));
}
