//! Items that are too busy to be read, answered as `DynamoDB` does: a batch comes back without them, and is refused as a
//! whole if nothing of it can be read.

use http::{Response, StatusCode};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::http_server::{Body, answer, full};

const REFUSED: &str = concat!(
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","#,
    r#""message":"injected fault"}"#
);

/// A batch of which some keys are throttled.
pub(super) struct Partial {
    /// The batch without them; nothing where none are left.
    pub(super) rest: Option<Bytes>,
    unprocessed: Value,
}

impl Partial {
    /// The parts of a `BatchGetItem`; nothing where no key is throttled, by `is_throttled`, which is told the table and
    /// the key.
    pub(super) fn of(body: &[u8], is_throttled: impl Fn(&str, &str) -> bool) -> Option<Self> {
        let mut rest: Value = serde_json::from_slice(body).ok()?;
        let mut unprocessed = json!({});
        let mut left = 0_usize;
        for (table, asked) in rest.get_mut("RequestItems")?.as_object_mut()? {
            let throttled = |key: &Value| is_throttled(table, &key.to_string());
            let keys = asked.get_mut("Keys")?.as_array_mut()?;
            let (out, kept): (Vec<Value>, Vec<Value>) = keys.drain(..).partition(throttled);
            left = left.saturating_add(kept.len());
            *keys = kept;
            if !out.is_empty() {
                let mut again = asked.clone();
                *again.get_mut("Keys")? = out.into();
                unprocessed.as_object_mut()?.insert(table.clone(), again);
            }
        }
        let some = unprocessed.as_object().is_some_and(|some| !some.is_empty());
        some.then(|| Self {
            rest: (left > 0).then(|| rest.to_string().into()),
            unprocessed,
        })
    }

    /// The answer where nothing can be read.
    pub(super) fn refused() -> Response<Body> {
        let status = StatusCode::BAD_REQUEST;
        answer(status, "application/x-amz-json-1.0", REFUSED)
    }

    /// DynamoDB's answer to the rest, and the keys that it did not process.
    pub(super) fn complete(self, answered: &Bytes) -> Bytes {
        match serde_json::from_slice::<Value>(answered) {
            Ok(Value::Object(mut fields)) => {
                fields.insert("UnprocessedKeys".to_owned(), self.unprocessed);
                Value::Object(fields).to_string().into()
            }
            _ => answered.clone(),
        }
    }
}

/// An answer with another body.
pub(super) fn with_body(response: Response<Body>, body: Bytes) -> Response<Body> {
    let (mut head, _) = response.into_parts();
    head.headers.remove(http::header::CONTENT_LENGTH);
    // The SDK would find that it doesn't fit.
    head.headers.remove("x-amz-crc32");
    Response::from_parts(head, full(body))
}
