//! The simulation itself.

use std::collections::{BTreeMap, VecDeque};

use super::{Arrivals, Consumer, Failing, Outcome, Sample, Work};
use crate::numbers::{real, whole};

/// Equal messages in the same state.
#[derive(Debug, Clone, Copy)]
struct Messages {
    count: u64,
    work: Work,
    /// The tick of their arrival.
    arrived: u64,
    /// The tick in which they last became visible.
    visible: u64,
    failed: u32,
}

/// The state of a simulation.
struct Queue<'a> {
    consumer: &'a Consumer,
    tick: f64,
    waiting: VecDeque<Messages>,
    count_waiting: u64,
    /// Running batches, by the tick in which they end.
    batches: BTreeMap<u64, Vec<Vec<Messages>>>,
    running: u64,
    /// Failed messages, by the tick in which they become visible again.
    hidden: BTreeMap<u64, Vec<Messages>>,
    in_flight: u64,
    first_arrival: Option<u64>,
    /// The second until which the limit is granted.
    granted_until: f64,
    /// The second until which some batch waits for nothing but its share.
    held_until: f64,
    /// The fraction of a message that is to fail and has not added up to a whole one yet.
    failing_carry: f64,
    outcome: Outcome,
}

/// Simulates until everything is handled, or for `horizon` seconds.
pub(crate) fn simulate(consumer: &Consumer, arrivals: &Arrivals, horizon: f64) -> Outcome {
    let mut queue = Queue {
        consumer,
        tick: arrivals.tick,
        waiting: VecDeque::new(),
        count_waiting: 0,
        batches: BTreeMap::new(),
        running: 0,
        hidden: BTreeMap::new(),
        in_flight: 0,
        first_arrival: None,
        granted_until: 0.0,
        held_until: 0.0,
        failing_carry: 0.0,
        outcome: Outcome::default(),
    };
    let mut arrivals_by_tick = arrivals.groups.iter();
    let most = whole((horizon / arrivals.tick).ceil());
    for now in 0..=most {
        let more = arrivals_by_tick.next();
        for group in more.into_iter().flatten() {
            queue.arrive(now, group.count, group.work);
        }
        queue.reappear(now);
        queue.end_batches(now);
        queue.begin_batches(now);
        queue.sample(now);
        if arrivals_by_tick.len() == 0 && queue.count_waiting == 0 && queue.in_flight == 0 {
            queue.outcome.drained_at = Some(real(now) * queue.tick);
            break;
        }
    }
    queue.outcome
}

impl Queue<'_> {
    fn seconds(&self, ticks: u64) -> f64 {
        real(ticks) * self.tick
    }

    fn ticks(&self, seconds: f64) -> u64 {
        whole((seconds / self.tick - 1e-9).ceil())
    }

    fn arrive(&mut self, now: u64, count: u64, work: Work) {
        if count == 0 {
            return;
        }
        self.first_arrival.get_or_insert(now);
        self.outcome.arrived += count;
        self.enqueue(Messages {
            count,
            work,
            arrived: now,
            visible: now,
            failed: 0,
        });
    }

    fn enqueue(&mut self, messages: Messages) {
        self.count_waiting += messages.count;
        self.waiting.push_back(messages);
    }

    fn reappear(&mut self, now: u64) {
        for mut messages in self.hidden.remove(&now).into_iter().flatten() {
            self.in_flight -= messages.count;
            messages.visible = now;
            self.enqueue(messages);
        }
    }

    fn end_batches(&mut self, now: u64) {
        for batch in self.batches.remove(&now).into_iter().flatten() {
            self.running -= 1;
            for messages in batch {
                let failed = self.failing(now, messages.count);
                self.retry(
                    now,
                    Messages {
                        count: failed,
                        ..messages
                    },
                );
                self.finish(
                    now,
                    Messages {
                        count: messages.count - failed,
                        ..messages
                    },
                );
            }
        }
    }

    /// Returns the number of these messages that fail now.
    fn failing(&mut self, now: u64, count: u64) -> u64 {
        let at = self.seconds(now);
        let Some(Failing { share, .. }) = self
            .consumer
            .failing
            .filter(|failing| (failing.from..failing.until).contains(&at))
        else {
            return 0;
        };
        self.failing_carry += real(count) * share;
        let failed = whole(self.failing_carry + 1e-9).min(count);
        self.failing_carry -= real(failed);
        failed
    }

    fn retry(&mut self, now: u64, mut messages: Messages) {
        if messages.count == 0 {
            return;
        }
        messages.failed += 1;
        if messages.failed >= self.consumer.tries {
            self.in_flight -= messages.count;
            self.outcome.dead += messages.count;
            return;
        }
        let again = now + self.ticks(self.consumer.visibility).max(1);
        self.hidden.entry(again).or_default().push(messages);
    }

    fn finish(&mut self, now: u64, messages: Messages) {
        if messages.count == 0 {
            return;
        }
        self.in_flight -= messages.count;
        self.outcome.done += messages.count;
        let delay = self.seconds(now - messages.arrived);
        self.outcome.worst_delay = self.outcome.worst_delay.max(delay);
        self.outcome.delay_sum += delay * real(messages.count);
        if let Some(left) = messages.work.follow_ups.checked_sub(1) {
            let work = Work {
                follow_ups: left,
                ..messages.work
            };
            self.arrive(now, messages.count, work);
        }
    }

    /// Returns the number of workers by now.
    fn workers(&self, now: u64) -> u64 {
        let since = self.first_arrival.map_or(0, |first| now - first);
        let ramp = self.consumer.ramp;
        let grown = ramp.start + whole(self.seconds(since) * ramp.per_second);
        grown.min(self.consumer.concurrency)
    }

    fn begin_batches(&mut self, now: u64) {
        let window = self.ticks(self.consumer.window);
        let workers = self.workers(now);
        let mut asked = 0.0;
        while let Some(oldest) = self.waiting.front() {
            let is_due =
                self.count_waiting >= self.consumer.batch || now - oldest.visible >= window;
            if !is_due {
                break;
            }
            if self.running >= workers {
                self.outcome.workers_short += self.tick;
                break;
            }
            let batch = self.take_batch();
            asked += self.begin(now, batch);
        }
        let asked = asked / self.tick;
        self.outcome.most_units_asked = self.outcome.most_units_asked.max(asked);
    }

    fn take_batch(&mut self) -> Vec<Messages> {
        let mut room = self.consumer.batch;
        let mut batch = Vec::new();
        while room > 0
            && let Some(mut first) = self.waiting.pop_front()
        {
            let taken = first.count.min(room);
            batch.push(Messages {
                count: taken,
                ..first
            });
            first.count -= taken;
            if first.count > 0 {
                self.waiting.push_front(first);
            }
            room -= taken;
            self.count_waiting -= taken;
            self.in_flight += taken;
        }
        batch
    }

    /// Starts a batch, and returns the units that it asks for.
    fn begin(&mut self, now: u64, batch: Vec<Messages>) -> f64 {
        let sum = |of: fn(&Work) -> f64| -> f64 {
            batch
                .iter()
                .map(|some| real(some.count) * of(&some.work))
                .sum()
        };
        let takes = self.consumer.seconds_per_batch + sum(|work| work.seconds);
        let mut ready = self.seconds(now) + takes;
        let mut asked = 0.0;
        if let Some(limit) = self.consumer.limit {
            asked = limit.per_batch + sum(|work| work.units);
            self.granted_until =
                self.granted_until.max(self.seconds(now)) + asked / limit.per_second;
            if self.granted_until > ready {
                let held_since = ready.max(self.held_until);
                self.outcome.limit_short += (self.granted_until - held_since).max(0.0);
                self.held_until = self.granted_until;
                ready = self.granted_until;
            }
        }
        let end = self.ticks(ready).max(now + 1);
        self.batches.entry(end).or_default().push(batch);
        self.running += 1;
        asked
    }

    fn sample(&mut self, now: u64) {
        self.outcome.samples.push(Sample {
            at: self.seconds(now),
            waiting: self.count_waiting,
            in_flight: self.in_flight,
            running: self.running,
            done: self.outcome.done,
        });
    }
}
