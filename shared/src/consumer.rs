//! Queue consumers and scheduled functions: one mechanism for all.
//!
//! A consumer says what its messages are and what handling a batch of them means; this module parses
//! each record, reports exactly the ids that failed (SQS brings those again, and after its tries rests
//! them in the dead-letter queue), survives a panic, logs why, and answers before the deadline.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::de::DeserializeOwned;

/// The largest body that is parsed: this project's own messages are under a kilobyte.
const MAX_BODY: usize = 16 * 1024;
/// How long before the deadline a batch is given up, so that the answer still gets out.
const MARGIN: Duration = Duration::from_millis(500);

/// A message as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<M> {
    /// The id that SQS knows it by.
    pub id: String,
    /// What it says.
    pub message: M,
}

/// A message that was not handled, and must come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The id that SQS knows it by.
    pub id: String,
    /// Why, for the log.
    pub why: String,
}

/// What a consumer does. Handling must be idempotent: SQS brings messages twice, and this module
/// handles a batch again, message by message, when handling it as a whole panicked.
pub trait Consumer: Sync {
    /// What its queue carries.
    type Message: DeserializeOwned + Clone + Send;

    /// Handles a batch; answers the messages that were not handled.
    fn handle(
        &self,
        batch: Vec<Received<Self::Message>>,
    ) -> impl Future<Output = Vec<Failed>> + Send;
}

/// All of a batch, for one reason.
pub fn all_failed<M>(batch: &[Received<M>], why: &impl std::fmt::Display) -> Vec<Failed> {
    failed(batch, |_| Some(why.to_string()))
}

/// Those messages of a batch for which there is a reason.
pub fn failed<M>(batch: &[Received<M>], why: impl Fn(&M) -> Option<String>) -> Vec<Failed> {
    let failure = |received: &Received<M>| {
        why(&received.message).map(|why| Failed {
            id: received.id.clone(),
            why,
        })
    };
    batch.iter().filter_map(failure).collect()
}

/// Runs a consumer until the platform ends the process.
pub async fn run<C: Consumer>(consumer: C) -> Result<(), lambda_runtime::Error> {
    let consumer = &consumer;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let failed = consume(consumer, event.payload, time_left(&event.context)).await;
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = failed.into_iter().map(item_failure).collect();
        Ok::<_, lambda_runtime::Error>(response)
    }))
    .await
}

/// Runs a function on a schedule; an error is logged and counted by the platform.
pub async fn run_scheduled<F, E>(task: impl Fn(Duration) -> F) -> Result<(), lambda_runtime::Error>
where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let task = &task;
    lambda_runtime::run(service_fn(
        move |event: LambdaEvent<serde_json::Value>| async move {
            task(time_left(&event.context)).await.map_err(|error| {
                tracing::error!(%error, "the scheduled task failed");
                lambda_runtime::Error::from(error)
            })
        },
    ))
    .await
}

fn item_failure(failed: Failed) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = failed.id;
    failure
}

fn time_left(context: &Context) -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_millis(context.deadline)
        .saturating_sub(now)
        .saturating_sub(MARGIN)
}

/// Handles one event; answers what must come again.
async fn consume<C: Consumer>(consumer: &C, event: SqsEvent, within: Duration) -> Vec<Failed> {
    let received = event.records.len();
    let (batch, mut failed) = parse_all::<C::Message>(event.records);
    let everything: Vec<String> = batch.iter().map(|message| message.id.clone()).collect();
    match tokio::time::timeout(within, handle(consumer, batch)).await {
        Ok(failures) => failed.extend(failures),
        Err(_) => failed.extend(everything.into_iter().map(|id| Failed {
            id,
            why: "out of time".to_owned(),
        })),
    }
    for Failed { id, why } in &failed {
        tracing::warn!(message_id = id, why, "a message was not handled");
    }
    tracing::info!(received, failed = failed.len(), "batch");
    failed
}

fn parse_all<M: DeserializeOwned>(records: Vec<SqsMessage>) -> (Vec<Received<M>>, Vec<Failed>) {
    let mut batch = Vec::with_capacity(records.len());
    let mut failed = Vec::new();
    for record in records {
        let id = record.message_id.unwrap_or_default();
        let body = record.body.unwrap_or_default();
        if body.len() > MAX_BODY {
            failed.push(Failed {
                id,
                why: format!("{} bytes are too many", body.len()),
            });
            continue;
        }
        match serde_json::from_str(&body) {
            Ok(message) => batch.push(Received { id, message }),
            Err(error) => failed.push(Failed {
                id,
                why: error.to_string(),
            }),
        }
    }
    (batch, failed)
}

/// The batch as a whole; after a panic each message by itself, so that only the bad one is reported.
async fn handle<C: Consumer>(consumer: &C, batch: Vec<Received<C::Message>>) -> Vec<Failed> {
    if batch.is_empty() {
        return Vec::new();
    }
    let whole = AssertUnwindSafe(consumer.handle(batch.clone()))
        .catch_unwind()
        .await;
    if let Ok(failed) = whole {
        return failed;
    }
    tracing::error!("handling a batch panicked: handling its messages one by one");
    let mut failed = Vec::new();
    for received in batch {
        let id = received.id.clone();
        match AssertUnwindSafe(consumer.handle(vec![received]))
            .catch_unwind()
            .await
        {
            Ok(failures) => failed.extend(failures),
            Err(_) => failed.push(Failed {
                id,
                why: "handling it panicked".to_owned(),
            }),
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
        let failed = consume(consumer, event(bodies), Duration::from_millis(200)).await;
        failed.into_iter().map(|failed| failed.id).collect()
    }

    #[tokio::test]
    async fn reports_exactly_what_failed() {
        let consumer = Summing::default();
        let huge = format!("{}1", " ".repeat(MAX_BODY));
        assert_eq!(
            failed(&consumer, &["1", "not json", "-2", "3", &huge]).await,
            ["1", "4", "2"]
        );
        assert_eq!(*consumer.0.lock().unwrap(), 4);
    }

    #[tokio::test]
    async fn a_panic_costs_only_its_own_message() {
        let consumer = Summing::default();
        assert_eq!(failed(&consumer, &["1", "13", "3"]).await, ["1"]);
        assert_eq!(*consumer.0.lock().unwrap(), 4);
    }

    #[tokio::test]
    async fn a_batch_out_of_time_comes_again() {
        let consumer = Summing::default();
        assert_eq!(failed(&consumer, &["1", "99", "x"]).await, ["2", "0", "1"]);
    }

    #[tokio::test]
    async fn an_empty_batch_is_no_failure() {
        assert!(failed(&Summing::default(), &[]).await.is_empty());
    }
}
