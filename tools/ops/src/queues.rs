//! Queues and their dead-letter queues.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    Message, MessageSystemAttributeName as Received, MessageSystemAttributeNameForSends as Sent,
    MessageSystemAttributeValue, QueueAttributeName as Attribute,
};
use clap::ValueEnum;
use purrline::domain::Timestamp;
use purrline::{aws, env};
use serde_json::Value;

use crate::error::Error;

/// Messages that one call receives.
const BATCH: usize = 10;
/// Seconds for which a received message is hidden from others: longer than it is in use here.
const HIDDEN_SECONDS: i32 = 120;
/// Seconds to wait for messages; after them all servers were asked, and there are none.
const WAIT_SECONDS: i32 = 1;

/// A queue's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    Likes,
    Follows,
    FanOut,
    Index,
    Photos,
}

impl Name {
    pub(crate) const ALL: [Self; 5] = [
        Self::Likes,
        Self::Follows,
        Self::FanOut,
        Self::Index,
        Self::Photos,
    ];

    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Likes => "LIKES_QUEUE_URL",
            Self::Follows => "FOLLOWS_QUEUE_URL",
            Self::FanOut => "FAN_OUT_QUEUE_URL",
            Self::Index => "INDEX_QUEUE_URL",
            Self::Photos => "PHOTOS_QUEUE_URL",
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Likes => "likes",
            Self::Follows => "follows",
            Self::FanOut => "fan-out",
            Self::Index => "index",
            Self::Photos => "photos",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The approximate number of a queue's messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    pub(crate) waiting: usize,
    pub(crate) hidden: usize,
}

/// A queue and its dead-letter queue.
pub(crate) struct Queue {
    pub(crate) name: Name,
    client: Client,
    url: String,
    dead: String,
}

impl Queue {
    pub(crate) async fn open(name: Name) -> Result<Self, Error> {
        let client = Client::new(&aws::config().await);
        let url = env::required(name.variable())?;
        let asked = client.get_queue_attributes().queue_url(&url);
        let asked = asked.attribute_names(Attribute::RedrivePolicy).send().await;
        let policy = asked.map_err(Error::calling)?.attributes;
        let policy = policy.and_then(|mut all| all.remove(&Attribute::RedrivePolicy));
        let dead = policy.as_deref().and_then(dead_letter_queue_name);
        let dead = dead.ok_or(Error::NoDeadLetters(name.as_str()))?;
        let asked = client.get_queue_url().queue_name(dead).send().await;
        let dead = asked.map_err(Error::calling)?.queue_url;
        Ok(Self {
            name,
            dead: dead.ok_or(Error::NoDeadLetters(name.as_str()))?,
            client,
            url,
        })
    }

    pub(crate) async fn depth(&self) -> Result<Depth, Error> {
        self.depth_of(&self.url).await
    }

    pub(crate) async fn dead_letters(&self) -> Result<Depth, Error> {
        self.depth_of(&self.dead).await
    }

    async fn depth_of(&self, url: &str) -> Result<Depth, Error> {
        let asked = self.client.get_queue_attributes().queue_url(url);
        let asked = asked
            .attribute_names(Attribute::ApproximateNumberOfMessages)
            .attribute_names(Attribute::ApproximateNumberOfMessagesNotVisible);
        let all: HashMap<_, _> = asked
            .send()
            .await
            .map_err(Error::calling)?
            .attributes
            .unwrap_or_default();
        let number = |of| all.get(&of).and_then(|it| it.parse().ok()).unwrap_or(0);
        Ok(Depth {
            waiting: number(Attribute::ApproximateNumberOfMessages),
            hidden: number(Attribute::ApproximateNumberOfMessagesNotVisible),
        })
    }

    /// Receives at most ten dead letters, and hides them from others for two minutes; none if there are no others.
    pub(crate) async fn receive(&self, most: usize) -> Result<Vec<Message>, Error> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.dead)
            .max_number_of_messages(i32::try_from(most.min(BATCH)).unwrap_or(1))
            .visibility_timeout(HIDDEN_SECONDS)
            .wait_time_seconds(WAIT_SECONDS)
            .message_system_attribute_names(Received::All)
            .message_attribute_names("All");
        let received = received.send().await.map_err(Error::calling)?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Makes a dead letter visible again. If that fails, it becomes visible by itself.
    pub(crate) async fn release(&self, message: &Message) {
        let call = self.client.change_message_visibility();
        let call = call
            .queue_url(&self.dead)
            .set_receipt_handle(message.receipt_handle.clone());
        let _ = call.visibility_timeout(0).send().await;
    }

    /// Sends a dead letter to its queue again, with its trace and the time when it was first sent, before deleting it. If
    /// the process dies in between, it is in both queues, and consumers tolerate the duplicate.
    pub(crate) async fn replay(&self, message: &Message) -> Result<(), Error> {
        let call = self.client.send_message().queue_url(&self.url);
        let mut call = call
            .set_message_body(replayed_body(message))
            .set_message_attributes(message.message_attributes.clone());
        if let Some(trace) = trace(message) {
            let value = MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(trace)
                .build()
                .map_err(Error::calling)?;
            call = call.message_system_attributes(Sent::AwsTraceHeader, value);
        }
        call.send().await.map_err(Error::calling)?;
        let call = self.client.delete_message().queue_url(&self.dead);
        call.set_receipt_handle(message.receipt_handle.clone())
            .send()
            .await
            .map(|_| ())
            .map_err(Error::calling)
    }
}

/// Returns the body of a message to send again. A message stamped by an endpoint's own clock is ordered by the time when
/// the queue first took it, so the body carries that time along.
fn replayed_body(message: &Message) -> Option<String> {
    let body = message.body.clone()?;
    let Ok(mut word) = serde_json::from_str::<Value>(&body) else {
        return Some(body);
    };
    let first = sent(message).filter(|_| word.get("own_clock") == Some(&Value::Bool(true)));
    match (first, word.as_object_mut()) {
        (Some(first), Some(fields)) if !fields.contains_key("first_sent") => {
            fields.insert("first_sent".to_owned(), first.to_string().into());
            Some(word.to_string())
        }
        _ => Some(body),
    }
}

/// Returns the time at which a message was sent.
pub(crate) fn sent(message: &Message) -> Option<Timestamp> {
    let sent = message.attributes.as_ref()?.get(&Received::SentTimestamp)?;
    sent.parse().ok().map(Timestamp::from_millis)
}

/// Returns the trace that a message belongs to.
pub(crate) fn trace(message: &Message) -> Option<&str> {
    let system = message.attributes.as_ref();
    let found = system.and_then(|all| all.get(&Received::AwsTraceHeader));
    if let Some(trace) = found {
        return Some(trace);
    }
    // Where the local queues keep it.
    let own = message.message_attributes.as_ref()?;
    own.get(Received::AwsTraceHeader.as_str())?.string_value()
}

/// Returns the name of the queue in a redrive policy: the last part of `"deadLetterTargetArn": "arn:…:<name>"`.
fn dead_letter_queue_name(policy: &str) -> Option<String> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let arn = policy.get("deadLetterTargetArn")?.as_str()?;
    arn.rsplit(':').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letter_queue_is_the_one_of_the_redrive_policy() {
        let policy =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:Dead","maxReceiveCount":5}"#;
        assert_eq!(dead_letter_queue_name(policy).as_deref(), Some("Dead"));
        assert_eq!(dead_letter_queue_name("{}"), None);
        assert_eq!(dead_letter_queue_name("?"), None);
    }
}
