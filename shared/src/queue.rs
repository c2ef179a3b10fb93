//! Queues (SQS, standard): at least once, in any order.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde::Serialize;

use crate::env::{self, BadSetting};

/// How many messages one call takes.
const BATCH: usize = 10;

/// A queue that messages are sent to, as JSON.
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
    /// The queue whose URL the environment variable of that name holds.
    pub fn from_env(aws: &SdkConfig, variable: &str) -> Result<Self, BadSetting> {
        Ok(Self::new(aws, env::required(variable)?))
    }

    /// The queue of that URL.
    pub fn new(aws: &SdkConfig, url: String) -> Self {
        Self {
            client: Client::new(aws),
            url,
        }
    }

    /// Sends a message. When this returns, the queue has it.
    pub async fn send(&self, message: &impl Serialize) -> Result<(), Error> {
        let body = serde_json::to_string(message)?;
        let call = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body);
        call.send().await.map(|_| ()).map_err(Error::unavailable)
    }

    /// Sends messages, ten a call. Gives the positions of those the queue may not have, in order;
    /// why is logged.
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
        for (at, message) in messages.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(serde_json::to_string(message)?)
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
        // Whatever is not named as sent was not.
        let sent = |at: &usize| {
            answer
                .successful()
                .iter()
                .any(|entry| entry.id() == at.to_string())
        };
        Ok((0..messages.len()).filter(|at| !sent(at)).collect())
    }
}

#[cfg(feature = "http")]
impl From<Error> for crate::http::Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::Unavailable(_) => Self::unavailable(&error),
            Error::Unwritable(_) => Self::internal(&error),
        }
    }
}
