//! The queues in their busiest minute.

use serde::Serialize;

use crate::Error;
use crate::measured::{Measured, on_memory};
use crate::numbers::{real, whole};
use crate::sim::{Arrivals, Consumer, Outcome, Ramp, Work, simulate};
use crate::template::Template;
use crate::traffic::Traffic;
use crate::usage::Usage;

/// Lambda's pollers begin with five batches at a time, and add up to 300 a minute.
const RAMP: Ramp = Ramp {
    start: 5,
    per_second: 5.0,
};

/// Seconds: well below what a batch takes, since a batch ends with a tick.
pub const TICK: f64 = 0.01;

/// What a queue does when the most comes.
#[derive(Debug, Clone, Serialize)]
pub struct Peak {
    /// The queue, without `Queue`.
    pub queue: &'static str,
    /// Messages a second in the busiest hour.
    pub hour_rate: f64,
    /// Messages a second in the busiest minute.
    pub minute_rate: f64,
    /// Messages a second that its consumer does, in full batches by as many as it may have.
    pub capacity: f64,
    /// The most messages that waited.
    pub backlog: u64,
    /// For how long some were left after the busiest minute, in seconds; nothing if for more than an hour.
    pub drained_after: Option<f64>,
    /// The longest from a message's arrival to its end, in seconds.
    pub worst_delay: f64,
    /// The most batches at work.
    pub running: u64,
}

/// A queue's consumer, and what a message adds to its batch.
pub fn consumer(
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

/// Messages a second in full batches.
pub fn capacity(consumer: &Consumer, work: Work) -> f64 {
    let batch = real(consumer.batch);
    let seconds = consumer.seconds_per_batch + batch * work.seconds;
    real(consumer.concurrency) * batch / seconds
}

/// All queues, in the busiest minute and an hour after it.
pub fn peaks(
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
        let minute_rate = hour_rate * usage.burst;
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

/// A minute of the most, with the busiest hour's usual rate spread over the same minute.
fn busiest_minute(consumer: &Consumer, work: Work, hour_rate: f64, minute_rate: f64) -> Outcome {
    let wave = crate::sim::spread((minute_rate - hour_rate).max(0.0) * 60.0, 60.0);
    let arrivals = Arrivals::at_rate(TICK, 60.0, |at| hour_rate + wave(at), |_| work);
    simulate(consumer, &arrivals, 3_660.0)
}
