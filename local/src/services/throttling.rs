//! Answers throttled batch reads as `DynamoDB` does: throttled keys come back unprocessed, and a batch of which every
//! key is throttled is refused.

use http::{Response, StatusCode};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::http_server::{Body, answer, full};

const THROUGHPUT_EXCEEDED: &str = concat!(
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","#,
    r#""message":"injected fault"}"#
);

/// A batch of reads of which some keys are throttled.
pub(super) struct PartialBatch {
    /// The batch without the throttled keys; `None` if no keys remain.
    pub(super) allowed: Option<Bytes>,
    unprocessed: Value,
}

impl PartialBatch {
    /// Splits the body of a `BatchGetItem` by `is_throttled`, which takes a table and a key. Returns `None` if no key is
    /// throttled.
    pub(super) fn split(body: &[u8], is_throttled: impl Fn(&str, &str) -> bool) -> Option<Self> {
        let mut allowed: Value = serde_json::from_slice(body).ok()?;
        let mut unprocessed = json!({});
        let mut remaining = 0_usize;
        for (table, request) in allowed.get_mut("RequestItems")?.as_object_mut()? {
            let throttled = |key: &Value| is_throttled(table, &key.to_string());
            let keys = request.get_mut("Keys")?.as_array_mut()?;
            let (refused, kept): (Vec<Value>, Vec<Value>) = keys.drain(..).partition(throttled);
            remaining = remaining.saturating_add(kept.len());
            *keys = kept;
            if !refused.is_empty() {
                let mut refused_request = request.clone();
                *refused_request.get_mut("Keys")? = refused.into();
                let unprocessed = unprocessed.as_object_mut()?;
                unprocessed.insert(table.clone(), refused_request);
            }
        }
        let any = unprocessed.as_object().is_some_and(|all| !all.is_empty());
        any.then(|| Self {
            allowed: (remaining > 0).then(|| allowed.to_string().into()),
            unprocessed,
        })
    }

    /// Returns the answer to a batch of which every key is throttled.
    pub(super) fn refusal() -> Response<Body> {
        let status = StatusCode::BAD_REQUEST;
        answer(status, "application/x-amz-json-1.0", THROUGHPUT_EXCEEDED)
    }

    /// Adds the throttled keys to the answer for the other keys.
    pub(super) fn complete(self, answer: &Bytes) -> Bytes {
        match serde_json::from_slice::<Value>(answer) {
            Ok(Value::Object(mut fields)) => {
                fields.insert("UnprocessedKeys".to_owned(), self.unprocessed);
                Value::Object(fields).to_string().into()
            }
            _ => answer.clone(),
        }
    }
}

/// Replaces the body of an answer.
pub(super) fn with_body(response: Response<Body>, body: Bytes) -> Response<Body> {
    let (mut head, _) = response.into_parts();
    head.headers.remove(http::header::CONTENT_LENGTH);
    // The SDK would verify this checksum, which is that of the old body.
    head.headers.remove("x-amz-crc32");
    Response::from_parts(head, full(body))
}
