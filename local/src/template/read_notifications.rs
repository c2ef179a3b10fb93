//! The notifications of buckets.

use super::error::TemplateError;
use super::evaluate::Evaluator;
use super::plan::{Notification, Queue};
use super::read_policies::{self, Access};
use super::reader::Reader;

type Result<T> = std::result::Result<T, TemplateError>;

/// Notifications that the local stack doesn't send.
const UNSUPPORTED: [&str; 3] = [
    "EventBridgeConfiguration",
    "LambdaConfigurations",
    "TopicConfigurations",
];

/// Reads a bucket's notifications.
pub(super) fn read(
    evaluator: &Evaluator<'_>,
    id: &str,
    properties: &Reader,
    queues: &[Queue],
) -> Result<Vec<Notification>> {
    let Some(configuration) = properties.optional("NotificationConfiguration") else {
        return Ok(Vec::new());
    };
    for target in UNSUPPORTED {
        if let Some(unsupported) = configuration.optional(target) {
            return Err(unsupported.wrong("the local stack notifies only queues"));
        }
    }
    let bucket = evaluator.physical_name(id, "BucketName")?.to_lowercase();
    let mut notifications = Vec::new();
    for (at, notification) in configuration.list("QueueConfigurations").iter().enumerate() {
        let queue = queue(evaluator, &bucket, &notification.field("Queue")?, queues)?;
        notifications.push(read_one(notification, format!("{id}-{at}"), queue)?);
    }
    Ok(notifications)
}

/// Finds the queue, and checks that its policy lets S3 send to it, without which AWS would not create the bucket.
fn queue(
    evaluator: &Evaluator<'_>,
    bucket: &str,
    target: &Reader,
    queues: &[Queue],
) -> Result<Queue> {
    let arn = target.text()?;
    let Some(queue) = queues.iter().find(|queue| queue.arn == arn) else {
        return Err(target.wrong(format!("{arn} must be a queue of this template")));
    };
    let access = Access {
        policy: "AWS::SQS::QueuePolicy",
        owner: &queue.url,
        service: "s3.amazonaws.com",
        action: "sqs:SendMessage",
        resource: &arn,
        source: &format!("arn:aws:s3:::{bucket}"),
    };
    if !read_policies::allow(evaluator, &access)? {
        return Err(target.wrong(format!(
            "an AWS::SQS::QueuePolicy must allow s3.amazonaws.com to call sqs:SendMessage on {}",
            queue.logical_id
        )));
    }
    Ok(queue.clone())
}

fn read_one(notification: &Reader, id: String, queue: Queue) -> Result<Notification> {
    let event = notification.field("Event")?;
    let name = event.text()?;
    if !name.starts_with("s3:ObjectCreated:") {
        return Err(event.wrong("the local stack sends only s3:ObjectCreated events"));
    }
    let (mut prefix, mut suffix) = (String::new(), String::new());
    if let Some(filter) = notification.optional("Filter") {
        for rule in filter.field("S3Key")?.list("Rules") {
            let value = rule.field("Value")?.text()?;
            match rule.field("Name")?.text()?.as_str() {
                "prefix" => prefix = value,
                "suffix" => suffix = value,
                _ => return Err(rule.wrong("Name must be prefix or suffix")),
            }
        }
    }
    Ok(Notification {
        id,
        event: name,
        prefix,
        suffix,
        queue,
    })
}
