//! The headers of answers.

use serde_json::{Value, json};

/// Returns a header's name, and the reference to its description.
pub(super) fn header(name: &str) -> (String, Value) {
    let reference = json!({ "$ref": format!("#/components/headers/{name}") });
    (name.to_owned(), reference)
}

/// Describes every header, for the references that [`header`] returns.
pub(super) fn headers() -> Value {
    let header = |description, schema: Value| json!({ "description": description, "required": true, "schema": schema });
    json!({
        "X-Request-Id": header("The request's id, as in the logs.", json!({ "type": "string" })),
        "ETag": header("Names this version, for `If-None-Match`.", json!({ "type": "string" })),
        "Location": header("The path of the new object.", json!({ "type": "string" })),
        "Retry-After": header("The number of seconds after which to try again.", json!({ "type": "integer", "minimum": 1 })),
        "WWW-Authenticate": header("How to sign in.", json!({ "type": "string", "const": "Bearer" })),
    })
}
