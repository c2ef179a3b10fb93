//! Queue consumers and scheduled functions: one mechanism for all.
//!
//! A consumer names its message and handles groups of messages; this module parses each record, reports exactly the ids
//! that failed (SQS delivers those again, and after several tries moves them to the dead-letter queue), survives a
//! panic, logs the reason, and answers before the deadline.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt;
use futures::future::join_all;
use lambda_runtime::{Context, LambdaEvent, Runtime, service_fn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::deadline::time_left;
use crate::domain::Timestamp;
use crate::invocation::{Callee, Calls, Invocation, Trace};
use crate::lifecycle::take_events;
use crate::metrics;

/// The maximum size of a body that is parsed: this project's own messages are under a kilobyte.
const MAX_BODY: usize = 16 * 1024;
/// The time before the deadline at which a batch is given up, so that the answer can still be sent.
const MARGIN: Duration = Duration::from_millis(500);

/// A message as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<M> {
    /// The id by which SQS knows the message.
    pub id: String,
    /// The message itself.
    pub message: M,
    /// Whether the message was delivered before: then some of its work may be done already.
    pub redelivered: bool,
    /// The time at which the queue took the message, by the queue's clock.
    pub sent: Option<Timestamp>,
    /// The trace of the request that caused the message, if the message names it.
    pub trace: Option<Trace>,
}

/// A message that was not handled, and must be delivered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The id by which SQS knows the message.
    pub id: String,
    /// The reason, for the log.
    pub why: String,
}

/// A consumer of a queue. Handling must be idempotent: SQS may deliver a message twice, and this module handles
/// messages again, in ever smaller groups, if handling them together panicked.
pub trait Consumer: Send + Sync + 'static {
    /// The message that the queue carries.
    type Message: DeserializeOwned + Clone + Send + Sync;

    /// The maximum number of messages that are handled together. Groups are handled side by side, and a group that is
    /// slow or panics is reported alone.
    const MAX_GROUP_SIZE: usize;

    /// Handles a group. Returns the messages that were not handled.
    fn handle(
        &self,
        batch: Vec<Received<Self::Message>>,
    ) -> impl Future<Output = Vec<Failed>> + Send;
}

/// Returns all messages of a batch as failed, for one reason.
pub fn all_failed<M>(batch: &[Received<M>], why: &impl std::fmt::Display) -> Vec<Failed> {
    failed(batch, |_| Some(why.to_string()))
}

/// Returns the failures of a batch: the messages for which `why` gives a reason.
pub fn failed<M>(batch: &[Received<M>], why: impl Fn(&M) -> Option<String>) -> Vec<Failed> {
    let failure = |received: &Received<M>| {
        why(&received.message).map(|why| Failed {
            id: received.id.clone(),
            why,
        })
    };
    batch.iter().filter_map(failure).collect()
}

/// Runs a consumer until the platform ends the process: one batch at a time, or several if the platform says so
/// (`AWS_LAMBDA_MAX_CONCURRENCY`). Before the first batch, waits for the connections that the existing clients are
/// opening.
pub async fn run<C: Consumer>(consumer: C) -> Result<(), lambda_runtime::Error> {
    let consumer = Arc::new(consumer);
    let handler = service_fn(move |event: LambdaEvent<SqsEvent>| {
        let consumer = Arc::clone(&consumer);
        async move {
            let LambdaEvent { payload, context } = event;
            let within = time_left(&context, MARGIN);
            let failed = consume(&*consumer, payload, &context.request_id, within).await;
            Ok::<_, lambda_runtime::Error>(batch_response(failed))
        }
    });
    take_events(Runtime::new(handler)).await
}

/// A consumer that other functions also call directly.
pub trait Called: Consumer {
    /// The event of a call. It has no field in common with a queue's events.
    type Call: DeserializeOwned + Send;
    /// The answer to a call.
    type Answer: Serialize + Send + Sync + 'static;
    /// The reason why a call failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Answers a call.
    fn answer(
        &self,
        call: Self::Call,
    ) -> impl Future<Output = Result<Self::Answer, Self::Error>> + Send;
}

/// An event of a function that is called and consumes a queue.
#[derive(Deserialize)]
#[serde(untagged)]
enum CallOrBatch<C> {
    Call(C),
    Batch(SqsEvent),
}

/// The answer to such an event.
#[derive(Serialize)]
#[serde(untagged)]
enum Answered<A> {
    Call(A),
    Batch(SqsBatchResponse),
}

/// A call took too long.
#[derive(Debug, thiserror::Error)]
#[error("out of time")]
struct OutOfTime;

/// Runs a consumer that is also called: see [`run`].
pub async fn run_called<C: Called>(consumer: C) -> Result<(), lambda_runtime::Error> {
    let consumer = Arc::new(consumer);
    let handler = service_fn(move |event: LambdaEvent<CallOrBatch<C::Call>>| {
        let consumer = Arc::clone(&consumer);
        async move {
            let LambdaEvent { payload, context } = event;
            let within = time_left(&context, MARGIN);
            Ok::<_, lambda_runtime::Error>(match payload {
                CallOrBatch::Batch(batch) => {
                    let failed = consume(&*consumer, batch, &context.request_id, within).await;
                    Answered::Batch(batch_response(failed))
                }
                CallOrBatch::Call(call) => {
                    let answered = timed("call", &context, within, async {
                        let answering = tokio::time::timeout(within, consumer.answer(call));
                        match answering.await {
                            Ok(answered) => answered.map_err(lambda_runtime::Error::from),
                            Err(_elapsed) => Err(OutOfTime.into()),
                        }
                    });
                    Answered::Call(answered.await?)
                }
            })
        }
    });
    take_events(Runtime::new(handler)).await
}

/// A task that a function does on a schedule.
pub trait Scheduled: Send + Sync + 'static {
    /// The reason why the task was not completed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Does the task within this time.
    fn run(&self, within: Duration) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Runs a function on a schedule; an error is logged and counted by the platform.
pub async fn run_scheduled<S: Scheduled>(task: S) -> Result<(), lambda_runtime::Error> {
    let task = Arc::new(task);
    let handler = service_fn(move |event: LambdaEvent<serde_json::Value>| {
        let task = Arc::clone(&task);
        async move {
            let within = time_left(&event.context, MARGIN);
            let work = async { task.run(within).await.map_err(lambda_runtime::Error::from) };
            timed("run", &event.context, within, work).await
        }
    });
    take_events(Runtime::new(handler)).await
}

/// Does the work of one invocation, and logs it under its kind, with its calls and, if it fails, the error.
async fn timed<T>(
    kind: &'static str,
    context: &Context,
    within: Duration,
    work: impl Future<Output = Result<T, lambda_runtime::Error>>,
) -> Result<T, lambda_runtime::Error> {
    let started = Instant::now();
    let trace = context.xray_trace_id.as_deref().and_then(Trace::parse);
    let calls = Arc::<Calls>::default();
    let invocation = Invocation::new(trace, Arc::clone(&calls), Some(started + within));
    let done = invocation.run(work).await;
    tracing::info!(
        request_id = context.request_id,
        kind,
        duration_ms = whole_millis(started.elapsed()),
        failed = done.is_err(),
        dynamodb = calls.of(Callee::Tables),
        sqs = calls.of(Callee::Queues),
        s3 = calls.of(Callee::Bucket),
        cache = calls.of(Callee::Cache),
        "run"
    );
    metrics::flush();
    if let Err(error) = &done {
        let error = crate::log::chain(&**error);
        tracing::error!(error, kind, "it failed");
    }
    done
}

/// Returns the answer that names the messages that failed.
fn batch_response(failed: Vec<Failed>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    let failures = failed.into_iter().map(|failed| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = failed.id;
        failure
    });
    response.batch_item_failures = failures.collect();
    response
}

/// Handles one event. Returns the messages that must be delivered again.
async fn consume<C: Consumer>(
    consumer: &C,
    event: SqsEvent,
    request_id: &str,
    within: Duration,
) -> Vec<Failed> {
    let started = Instant::now();
    let deadline = started + within;
    let received = event.records.len();
    let queued = event.records.iter().filter_map(queued).max();
    let trace_by_id: HashMap<String, Trace> = event.records.iter().filter_map(trace).collect();
    let (batch, mut failed) = parse_all::<C::Message>(event.records, &trace_by_id);
    let calls = Arc::<Calls>::default();
    let groups = batch.chunks(C::MAX_GROUP_SIZE.max(1)).map(|group| {
        let trace = common_trace(group);
        let span = tracing::error_span!(
            "messages",
            request_id,
            trace = trace.as_ref().map(Trace::as_str)
        );
        let invocation = Invocation::new(trace, Arc::clone(&calls), Some(deadline));
        let handled = handle(consumer, group.to_vec(), deadline).instrument(span);
        invocation.run(handled).boxed()
    });
    failed.extend(join_all(groups).await.into_iter().flatten());
    for Failed { id, why } in &failed {
        let trace = trace_by_id.get(id).map(Trace::as_str);
        tracing::warn!(message_id = id, trace, why, "a message was not handled");
    }
    let traces: BTreeSet<&str> = trace_by_id.values().map(Trace::as_str).collect();
    tracing::info!(
        request_id,
        traces = traces.into_iter().collect::<Vec<_>>().join(" "),
        received,
        failed = failed.len(),
        queued_ms = queued.map(whole_millis),
        duration_ms = whole_millis(started.elapsed()),
        dynamodb = calls.of(Callee::Tables),
        sqs = calls.of(Callee::Queues),
        s3 = calls.of(Callee::Bucket),
        cache = calls.of(Callee::Cache),
        "batch"
    );
    if let Some(queued) = queued {
        metrics::queued(queued);
    }
    metrics::flush();
    failed
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the time at which the queue took a message, by the queue's clock.
fn sent(record: &SqsMessage) -> Option<Timestamp> {
    let millis = record.attributes.get("SentTimestamp")?.parse().ok()?;
    Some(Timestamp::from_millis(millis))
}

/// Returns the time for which a message was queued, by the clocks of the queue and of this machine.
fn queued(record: &SqsMessage) -> Option<Duration> {
    let sent = u64::try_from(sent(record)?.millis()).ok()?;
    let sent = UNIX_EPOCH.checked_add(Duration::from_millis(sent))?;
    Some(SystemTime::now().duration_since(sent).unwrap_or_default())
}

/// Returns the trace that all of these messages belong to, if it is a single one.
fn common_trace<M>(group: &[Received<M>]) -> Option<Trace> {
    let mut traces = group.iter().map(|received| &received.trace);
    let first = traces.next()?.clone();
    first.filter(|first| traces.all(|trace| trace.as_ref() == Some(first)))
}

/// Returns a message's id, and the trace that the message belongs to.
fn trace(record: &SqsMessage) -> Option<(String, Trace)> {
    let header = record.attributes.get("AWSTraceHeader")?;
    Some((record.message_id.clone()?, Trace::parse(header)?))
}

fn parse_all<M: DeserializeOwned>(
    records: Vec<SqsMessage>,
    trace_by_id: &HashMap<String, Trace>,
) -> (Vec<Received<M>>, Vec<Failed>) {
    let mut batch = Vec::with_capacity(records.len());
    let mut failed = Vec::new();
    for record in records {
        let sent = sent(&record);
        let id = record.message_id.unwrap_or_default();
        let body = record.body.unwrap_or_default();
        let times = record.attributes.get("ApproximateReceiveCount");
        let redelivered = times.is_some_and(|times| times != "1");
        let trace = trace_by_id.get(&id).cloned();
        if body.len() > MAX_BODY {
            failed.push(Failed {
                id,
                why: format!("{} bytes are too many", body.len()),
            });
            continue;
        }
        match serde_json::from_str(&body) {
            Ok(message) => batch.push(Received {
                id,
                message,
                redelivered,
                sent,
                trace,
            }),
            Err(error) => failed.push(Failed {
                id,
                why: unreadable(&error),
            }),
        }
    }
    (batch, failed)
}

/// Returns the reason why a body is not a message. Unlike serde's own text, does not quote the body.
fn unreadable(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => "not JSON",
        Category::Data => "JSON, but no message",
    };
    format!("{what}, at column {}", error.column())
}

/// Handles a group as a whole. After a panic, handles each half by itself, and so on, so that only the bad message is
/// reported. Messages that were handled before the deadline count as handled.
async fn handle<C: Consumer>(
    consumer: &C,
    group: Vec<Received<C::Message>>,
    deadline: Instant,
) -> Vec<Failed> {
    let mut failed = Vec::new();
    let mut waiting = vec![group];
    while let Some(group) = waiting.pop() {
        let handled = AssertUnwindSafe(consumer.handle(group.clone())).catch_unwind();
        match tokio::time::timeout_at(deadline, handled).await {
            Ok(Ok(failures)) => failed.extend(failures),
            Ok(Err(_panic)) if group.len() > 1 => {
                let (first, second) = group.split_at(group.len() / 2);
                waiting.extend([second.to_vec(), first.to_vec()]);
            }
            Ok(Err(_panic)) => failed.extend(all_failed(&group, &"handling it panicked")),
            Err(_elapsed) => failed.extend(all_failed(&group, &"out of time")),
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Summing(Mutex<i64>);

    impl Consumer for Summing {
        type Message = i64;
        const MAX_GROUP_SIZE: usize = 8;

        async fn handle(&self, batch: Vec<Received<i64>>) -> Vec<Failed> {
            assert!(
                !batch.iter().any(|received| received.message == 13),
                "unlucky"
            );
            if batch.iter().any(|received| received.message == 99) {
                std::future::pending::<()>().await;
            }
            let refused = |received: &&Received<i64>| received.message < 0;
            *self.0.lock().unwrap() += batch
                .iter()
                .filter(|r| !refused(r))
                .map(|r| r.message)
                .sum::<i64>();
            batch
                .iter()
                .filter(refused)
                .map(|r| Failed {
                    id: r.id.clone(),
                    why: "below 0".to_owned(),
                })
                .collect()
        }
    }

    fn event(bodies: &[&str]) -> SqsEvent {
        let records: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(|(at, body)| serde_json::json!({"messageId": at.to_string(), "body": body}))
            .collect();
        serde_json::from_value(serde_json::json!({"Records": records})).unwrap()
    }

    async fn failed(consumer: &Summing, bodies: &[&str]) -> Vec<String> {
        let failed = consume(consumer, event(bodies), "", Duration::from_millis(200)).await;
        failed.into_iter().map(|failed| failed.id).collect()
    }

    #[tokio::test]
    async fn exactly_the_failed_messages_are_reported() {
        let consumer = Summing::default();
        let huge = format!("{}1", " ".repeat(MAX_BODY));
        assert_eq!(
            failed(&consumer, &["1", "not json", "-2", "3", &huge]).await,
            ["1", "4", "2"]
        );
        assert_eq!(*consumer.0.lock().unwrap(), 4);
    }

    #[tokio::test]
    async fn panic_fails_only_its_own_message() {
        let consumer = Summing::default();
        assert_eq!(failed(&consumer, &["1", "13", "3"]).await, ["1"]);
        assert_eq!(*consumer.0.lock().unwrap(), 4);
    }

    #[tokio::test]
    async fn batch_that_times_out_is_reported_as_failed() {
        let consumer = Summing::default();
        assert_eq!(failed(&consumer, &["1", "99", "x"]).await, ["2", "0", "1"]);
    }

    #[tokio::test]
    async fn slow_group_does_not_delay_the_others() {
        let consumer = Summing::default();
        let bodies = ["1", "1", "1", "1", "1", "1", "1", "1", "99"];
        assert_eq!(failed(&consumer, &bodies).await, ["8"]);
        assert_eq!(*consumer.0.lock().unwrap(), 8);
    }

    #[tokio::test]
    async fn empty_batch_reports_no_failures() {
        assert!(failed(&Summing::default(), &[]).await.is_empty());
    }
}
