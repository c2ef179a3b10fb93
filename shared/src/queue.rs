//! Queues (SQS, standard), which deliver at least once, in any order. Each message carries the trace of the invocation
//! that sends it.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    MessageSystemAttributeNameForSends as SystemAttribute, MessageSystemAttributeValue,
    SendMessageBatchRequestEntry,
};
use serde::Serialize;

use crate::aws::{CountCalls, OnlyConnect};
use crate::env::{self, BadSetting};
use crate::invocation::{self, Callee};
use crate::lifecycle;

/// The maximum number of messages of one call.
const BATCH: usize = 10;

/// The maximum delay of a message, in seconds.
const MAX_DELAY: i64 = 900;

/// A queue to send messages to, as JSON.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue did not answer, or not in time. It may have the message nevertheless.
    #[error("the queue did not take the message")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The message can't be written as JSON.
    #[error("the message can't be written")]
    Unwritable(#[from] serde_json::Error),
}

impl Error {
    fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl Queue {
    /// Creates the queue whose URL is in this environment variable. Begins to connect to it.
    pub fn from_env(aws: &SdkConfig, variable: &str) -> Result<Self, BadSetting> {
        let queue = Self::new(aws, env::required(variable)?);
        let call = queue.client.get_queue_attributes().queue_url(&queue.url);
        let connect = call.customize().interceptor(OnlyConnect);
        lifecycle::begin(async move {
            let _ = connect.send().await;
        });
        Ok(queue)
    }

    /// Creates the queue with this URL.
    pub fn new(aws: &SdkConfig, url: String) -> Self {
        Self {
            client: Client::from_conf(
                Builder::from(aws)
                    .interceptor(CountCalls(Callee::Queues))
                    .build(),
            ),
            url,
        }
    }

    /// Sends a message. When this returns, the queue has it.
    pub async fn send(&self, message: &impl Serialize) -> Result<(), Error> {
        self.send_later(message, 0).await
    }

    /// Sends a message that is delivered only after some seconds: 900 at most. When this returns, the queue has it.
    pub async fn send_later(&self, message: &impl Serialize, seconds: i64) -> Result<(), Error> {
        let body = serde_json::to_string(message)?;
        let call = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body);
        let call = match i32::try_from(seconds.min(MAX_DELAY)) {
            Ok(seconds) if seconds > 0 => call.delay_seconds(seconds),
            _ => call,
        };
        let call = match trace_attribute().map_err(Error::unavailable)? {
            Some(value) => call.message_system_attributes(SystemAttribute::AwsTraceHeader, value),
            None => call,
        };
        call.send().await.map(|_| ()).map_err(Error::unavailable)
    }

    /// Sends messages, ten a call. Returns the positions of those that the queue may not have, in order;
    /// logs the reason.
    #[must_use = "messages that were not sent are lost unless they are sent again"]
    pub async fn send_batch(&self, messages: &[impl Serialize]) -> Vec<usize> {
        let mut unsent = Vec::new();
        for (call, chunk) in messages.chunks(BATCH).enumerate() {
            let start = call * BATCH;
            match self.send_chunk(chunk).await {
                Ok(failed) => unsent.extend(failed.into_iter().map(|at| start + at)),
                Err(error) => {
                    tracing::warn!(error = crate::log::chain(&error), "a batch was not sent");
                    unsent.extend(start..start + chunk.len());
                }
            }
        }
        unsent
    }

    async fn send_chunk(&self, messages: &[impl Serialize]) -> Result<Vec<usize>, Error> {
        let mut call = self.client.send_message_batch().queue_url(&self.url);
        let trace = trace_attribute().map_err(Error::unavailable)?;
        for (at, message) in messages.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(serde_json::to_string(message)?)
                .set_message_system_attributes(
                    trace
                        .clone()
                        .map(|value| [(SystemAttribute::AwsTraceHeader, value)].into()),
                )
                .build()
                .map_err(Error::unavailable)?;
            call = call.entries(entry);
        }
        let answer = call.send().await.map_err(Error::unavailable)?;
        for failed in answer.failed() {
            tracing::warn!(
                code = failed.code(),
                message = failed.message(),
                "a message was not sent"
            );
        }
        // A message that is not named as sent was not sent.
        let sent = |at: &usize| {
            answer
                .successful()
                .iter()
                .any(|entry| entry.id() == at.to_string())
        };
        Ok((0..messages.len()).filter(|at| !sent(at)).collect())
    }
}

/// Returns the current invocation's trace, as SQS carries it along, with redeliveries and to the dead-letter queue.
fn trace_attribute() -> Result<Option<MessageSystemAttributeValue>, BuildError> {
    let value = |trace: invocation::Trace| {
        MessageSystemAttributeValue::builder()
            .data_type("String")
            .string_value(trace.header())
            .build()
    };
    invocation::trace().map(value).transpose()
}
