//! The queues in their busiest minute.

use serde::Serialize;

use crate::Error;
use crate::measured::{Measured, on_memory};
use crate::numbers::{real, whole};
use crate::sim::{Arrivals, Consumer, Outcome, Ramp, Work, simulate};
use crate::template::Template;
use crate::traffic::Traffic;
use crate::usage::Usage;

/// Lambda's pollers start with five concurrent batches, and add up to 300 a minute.
const RAMP: Ramp = Ramp {
    start: 5,
    per_second: 5.0,
};

/// Seconds. Batches end with a tick, so a tick is well below a batch's duration.
pub(crate) const TICK: f64 = 0.01;

/// A queue under the highest load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Peak {
    /// The queue's name without `Queue`.
    pub queue: &'static str,
    /// Messages a second in the busiest hour.
    pub hour_rate: f64,
    /// Messages a second in the busiest minute.
    pub minute_rate: f64,
    /// Messages a second that its consumer handles in full batches at its highest concurrency.
    pub capacity: f64,
    /// The most messages that waited at a time.
    pub backlog: u64,
    /// Seconds from the end of the busiest minute until the queue was empty; `None` if longer than an hour.
    pub drained_after: Option<f64>,
    /// The longest time from a message's arrival until it was handled, in seconds.
    pub worst_delay: f64,
    /// The most concurrent batches.
    pub running: u64,
}

/// Returns a queue's consumer, and the work of one message in a batch.
pub(crate) fn consumer(
    queue: &str,
    pushes: f64,
    measured: &Measured,
    template: &Template,
) -> Result<(Consumer, Work), Error> {
    let (mapping, of_it) = (template.queue(queue)?, measured.queue(queue)?);
    let memory = template.memory(&of_it.function)?;
    let cpu = of_it.cpu_per_message_ms + pushes * of_it.cpu_per_push_ms;
    let work = Work {
        seconds: (of_it.per_message_ms + on_memory(cpu, memory)) / 1e3,
        units: 0.0,
        follow_ups: 0,
    };
    let concurrency = whole(mapping.concurrency);
    let consumer = Consumer {
        batch: whole(mapping.batch),
        window: mapping.window,
        ramp: RAMP,
        seconds_per_batch: (of_it.per_batch_ms + measured.latency.runtime_ms) / 1e3,
        visibility: mapping.visibility,
        tries: u32::try_from(whole(mapping.tries)).unwrap_or(u32::MAX),
        ..Consumer::plain(concurrency)
    };
    Ok((consumer, work))
}

/// Returns the messages a second in full batches.
pub(crate) fn capacity(consumer: &Consumer, work: Work) -> f64 {
    let batch = real(consumer.batch);
    let seconds = consumer.seconds_per_batch + batch * work.seconds;
    real(consumer.concurrency) * batch / seconds
}

/// Simulates the busiest minute of all queues and the hour after it.
pub(crate) fn peaks(
    usage: &Usage,
    traffic: &Traffic,
    measured: &Measured,
    template: &Template,
) -> Result<Vec<Peak>, Error> {
    let mut peaks = Vec::new();
    for (&queue, &messages) in &traffic.messages {
        let pushes = if queue == "FanOut" {
            usage.pushes()
        } else {
            0.0
        };
        let (consumer, work) = consumer(queue, pushes, measured, template)?;
        let hour_rate = Traffic::at_peak(usage, messages);
        let minute_rate = hour_rate * usage.habits.burst;
        let outcome = busiest_minute(&consumer, work, hour_rate, minute_rate);
        peaks.push(Peak {
            queue,
            hour_rate,
            minute_rate,
            capacity: capacity(&consumer, work),
            backlog: outcome.peak_backlog(),
            drained_after: outcome.drained_at.map(|at| (at - 60.0).max(0.0)),
            worst_delay: outcome.worst_delay,
            running: outcome.peak_running(),
        });
    }
    Ok(peaks)
}

/// Simulates a minute of peak load, in which the rate rises from the busiest hour's and falls back to it.
fn busiest_minute(consumer: &Consumer, work: Work, hour_rate: f64, minute_rate: f64) -> Outcome {
    let wave = crate::sim::spread((minute_rate - hour_rate).max(0.0) * 60.0, 60.0);
    let arrivals = Arrivals::at_rate(TICK, 60.0, |at| hour_rate + wave(at), |_| work);
    simulate(consumer, &arrivals, 3_660.0)
}
