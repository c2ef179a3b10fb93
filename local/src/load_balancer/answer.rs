//! Turns a function's answer into a response, as the load balancer does. An answer that is malformed or too large becomes
//! a bare 502.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::http_server::{Body, answer, full};

/// The largest answer, as JSON, that the load balancer accepts from a function.
const MAX_ANSWER: usize = 1024 * 1024;

/// Creates the response from a function's answer.
pub(super) fn from_function(payload: &Bytes, multi_value: bool) -> Response<Body> {
    read(payload, multi_value).unwrap_or_else(|| bare(StatusCode::BAD_GATEWAY))
}

/// A function's answer. Of its two maps of headers, only one is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    status_code: Value,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Value,
    #[serde(borrow)]
    headers: Option<&'p RawValue>,
    #[serde(borrow)]
    multi_value_headers: Option<&'p RawValue>,
}

fn read(payload: &Bytes, multi_value: bool) -> Option<Response<Body>> {
    if payload.len() > MAX_ANSWER {
        return None;
    }
    let payload: Payload = serde_json::from_slice(payload).ok()?;
    let status = match payload.status_code {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))?;
    let body = payload.body.unwrap_or_default();
    let body = match payload.is_base64_encoded {
        Value::Bool(true) => STANDARD.decode(body).ok()?.into(),
        _ => Bytes::from(body),
    };
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    // In multi-value mode the load balancer reads only multi-value headers.
    let headers = if multi_value {
        payload.multi_value_headers
    } else {
        payload.headers
    };
    let headers = match headers.map(|headers| serde_json::from_str(headers.get())) {
        Some(Ok(Value::Object(headers))) => headers,
        _ => Map::new(),
    };
    for (name, value) in headers {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        let name = HeaderName::try_from(name.as_str()).ok()?;
        // These headers belong to the connection.
        if matches!(
            name.as_str(),
            "connection" | "content-length" | "transfer-encoding"
        ) {
            continue;
        }
        for value in values {
            let text = match value {
                Value::String(text) => text,
                value => value.to_string(),
            };
            response
                .headers_mut()
                .append(name.clone(), HeaderValue::try_from(text).ok()?);
        }
    }
    Some(response)
}

/// Creates the load balancer's own error page.
pub(super) fn bare(status: StatusCode) -> Response<Body> {
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    answer(status, "text/html", page)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;

    async fn response(payload: Value, multi_value: bool) -> (u16, Vec<String>, Bytes) {
        let response = from_function(&Bytes::from(payload.to_string()), multi_value);
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        (
            status,
            headers,
            response.into_body().collect().await.unwrap().to_bytes(),
        )
    }

    #[tokio::test]
    async fn target_groups_mode_decides_which_headers_are_read() {
        let payload = json!({
            "statusCode": 201, "body": "hi",
            "headers": { "x-one": "1" }, "multiValueHeaders": { "x-many": ["1", "2"] },
        });
        assert_eq!(
            response(payload.clone(), false).await,
            (201, vec!["x-one: 1".to_owned()], "hi".into())
        );
        let many = vec!["x-many: 1".to_owned(), "x-many: 2".to_owned()];
        assert_eq!(response(payload, true).await, (201, many, "hi".into()));
    }

    #[tokio::test]
    async fn base64_bodies_are_decoded() {
        let payload = json!({ "statusCode": 200, "body": "AWNhdA==", "isBase64Encoded": true });
        assert_eq!(
            response(payload, false).await.2,
            Bytes::from_static(b"\x01cat")
        );
    }

    #[tokio::test]
    async fn malformed_answer_is_a_bad_gateway() {
        for payload in [
            json!(null),
            json!("hello"),
            json!({}),
            json!({ "statusCode": 99 }),
            json!({ "statusCode": 1000 }),
            json!({ "statusCode": "two hundred" }),
            json!({ "statusCode": 200, "body": { "a": 1 } }),
            json!({ "statusCode": 200, "body": "*", "isBase64Encoded": true }),
            json!({ "statusCode": 200, "headers": { "bad name": "1" } }),
            json!({ "statusCode": 200, "body": "x".repeat(MAX_ANSWER) }),
        ] {
            let (status, headers, _) = response(payload.clone(), false).await;
            assert_eq!(
                (status, headers),
                (502, vec!["content-type: text/html".to_owned()]),
                "{:.50}",
                payload.to_string()
            );
        }
    }
}
