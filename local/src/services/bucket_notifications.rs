//! The messages that S3 sends to queues about created objects:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::queues::QueueService;
use crate::credentials::ACCESS_KEY;
use crate::ids;
use crate::template::{Bucket, Notification};
use crate::wildcard::matches;

/// The account that owns all buckets, as S3 names it in messages.
const OWNER: &str = "local";

/// Sends the buckets' notifications. Ignores failures, since S3 too answers the client before it sends any.
#[derive(Debug)]
pub(super) struct Notifier {
    queues: QueueService,
    region: String,
    buckets: Vec<Bucket>,
}

/// An object that was created.
#[derive(Debug, Clone, Copy)]
pub(super) struct Created<'a> {
    /// The event, such as `ObjectCreated:Put`.
    pub(super) event: &'a str,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) size: u64,
    pub(super) e_tag: &'a str,
}

impl Notifier {
    pub(super) fn new(queues: QueueService, region: &str, buckets: &[Bucket]) -> Self {
        Self {
            queues,
            region: region.to_owned(),
            buckets: buckets.to_vec(),
        }
    }

    fn notifications(&self, bucket: &str) -> impl Iterator<Item = &Notification> {
        let buckets = self.buckets.iter().filter(move |one| one.name == bucket);
        buckets.flat_map(|bucket| &bucket.notifications)
    }

    /// Sends the message that tests each notification of a new bucket.
    pub(super) async fn test(&self, bucket: &str) {
        for notification in self.notifications(bucket) {
            let message = json!({
                "Service": "Amazon S3",
                "Event": "s3:TestEvent",
                "Time": now(),
                "Bucket": bucket,
                "RequestId": ids::uuid(),
                "HostId": ids::uuid(),
            });
            self.send(notification, &message).await;
        }
    }

    /// Notifies of an object, where a notification asks for it.
    pub(super) async fn notify(&self, created: &Created<'_>) {
        for notification in self.notifications(created.bucket) {
            if is_meant(notification, created) {
                let message = self.message(notification, created);
                self.send(notification, &message).await;
            }
        }
    }

    async fn send(&self, notification: &Notification, message: &Value) {
        let _ = self
            .queues
            .send(&notification.queue, message.to_string())
            .await;
    }

    fn message(&self, notification: &Notification, created: &Created<'_>) -> Value {
        json!({ "Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": self.region,
            "eventTime": now(),
            "eventName": created.event,
            "userIdentity": { "principalId": format!("AWS:{ACCESS_KEY}") },
            "requestParameters": { "sourceIPAddress": "127.0.0.1" },
            "responseElements": { "x-amz-request-id": ids::uuid(), "x-amz-id-2": ids::uuid() },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": notification.id,
                "bucket": {
                    "name": created.bucket,
                    "ownerIdentity": { "principalId": OWNER },
                    "arn": format!("arn:aws:s3:::{}", created.bucket),
                },
                "object": {
                    "key": encoded(created.key),
                    "size": created.size,
                    "eTag": created.e_tag,
                    "sequencer": sequencer(),
                },
            },
        }] })
    }
}

/// Returns whether a notification is for such objects.
fn is_meant(notification: &Notification, created: &Created<'_>) -> bool {
    matches(&notification.event, &format!("s3:{}", created.event))
        && created.key.starts_with(&notification.prefix)
        && created.key.ends_with(&notification.suffix)
}

/// Encodes a key as messages have it: as a form does, but for slashes.
fn encoded(key: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
    encoded.replace("%2F", "/")
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Returns a hexadecimal number that is greater for later changes of an object.
fn sequencer() -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{:016X}", time.unwrap_or_default().as_nanos())
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn keys_are_encoded_as_in_a_form_except_for_slashes() {
        for (key, expected) in [
            ("uploads/nabi/1-a_b.jpg", "uploads/nabi/1-a_b.jpg"),
            ("red flower+1.jpg", "red+flower%2B1.jpg"),
            ("고양이", "%EA%B3%A0%EC%96%91%EC%9D%B4"),
        ] {
            assert_eq!(encoded(key), expected);
        }
    }
}
