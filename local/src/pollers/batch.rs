//! Builds the records of a batch of messages, and interprets a function's answer to the batch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustack_sqs_model::types::Message;
use serde_json::{Map, Value, json};

/// Builds the record of a message in a function's event.
pub(super) fn record(message: &Message, queue_arn: &str, region: &str) -> Value {
    let mut attributes = Map::new();
    for (name, attribute) in &message.message_attributes {
        let mut value = Map::from_iter([
            ("dataType".to_owned(), json!(attribute.data_type)),
            ("stringListValues".to_owned(), json!([])),
            ("binaryListValues".to_owned(), json!([])),
        ]);
        if let Some(text) = &attribute.string_value {
            value.insert("stringValue".to_owned(), json!(text));
        }
        if let Some(bytes) = &attribute.binary_value {
            value.insert("binaryValue".to_owned(), json!(STANDARD.encode(bytes)));
        }
        attributes.insert(name.clone(), Value::Object(value));
    }
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    })
}

/// Returns the ids of the messages that a function handled, according to its answer.
///
/// A list names the messages that failed. An empty answer, null, `{}` and an empty or null list mean that none failed.
/// An answer that Lambda can't read, or that names a message outside the batch, means that all failed.
pub(super) fn handled<'a>(answer: &[u8], ids: &[&'a str]) -> Vec<&'a str> {
    failures(answer)
        .filter(|failed| failed.iter().all(|id| ids.contains(&id.as_str())))
        .map(|failed| {
            ids.iter()
                .copied()
                .filter(|id| !failed.iter().any(|other| other == id))
                .collect()
        })
        .unwrap_or_default()
}

/// Returns the ids of the failed messages, or `None` if the answer can't be read.
fn failures(answer: &[u8]) -> Option<Vec<String>> {
    if answer.is_empty() {
        return Some(Vec::new());
    }
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let list = match &answer {
        Value::Null => return Some(Vec::new()),
        // Lambda treats an empty string like an empty answer.
        Value::String(text) if text.is_empty() => return Some(Vec::new()),
        Value::Object(fields) => fields.get("batchItemFailures").unwrap_or(&Value::Null),
        _ => return None,
    };
    match list {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                item.get("itemIdentifier")?
                    .as_str()
                    .filter(|id| !id.is_empty())
                    .map(str::to_owned)
            })
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::handled;

    #[test]
    fn batch_answers_are_read_as_on_aws() {
        let ids = ["a", "b", "c"];
        for all in [
            "",
            "null",
            "\"\"",
            "{}",
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
            r#"{"x":1}"#,
        ] {
            assert_eq!(handled(all.as_bytes(), &ids), ids, "{all}");
        }
        let some = r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
        assert_eq!(handled(some.as_bytes(), &ids), ["a", "c"]);
        for none in [
            "not json",
            "[]",
            "\"text\"",
            r#"{"batchItemFailures":{}}"#,
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"unknown"}]}"#,
        ] {
            assert!(handled(none.as_bytes(), &ids).is_empty(), "{none}");
        }
    }
}
