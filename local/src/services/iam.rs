//! The actions that a call takes and the resources that they concern, as IAM sees them.
//!
//! An index is named `<table>/index/<index>`. An object is named by its first folder, `<bucket>/<folder>/*`, or as
//! `<bucket>/*` without one, because there are countless keys.

use std::collections::BTreeSet;

use serde_json::Value;

/// Actions, such as `dynamodb:PutItem`, and their resources.
pub(crate) type Permissions = Vec<(String, String)>;

/// Returns the permissions that a call to tables needs: for a transaction, those of each part.
pub(super) fn of_tables(operation: &str, body: &[u8]) -> Permissions {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let of = |action: &str, part: &Value| {
        let table = part.get("TableName").and_then(Value::as_str);
        let table = table.unwrap_or_default();
        let resource = match part.get("IndexName").and_then(Value::as_str) {
            Some(index) => format!("{table}/index/{index}"),
            None => table.to_owned(),
        };
        (format!("dynamodb:{action}"), resource)
    };
    let tables = request.get("RequestItems").and_then(Value::as_object);
    let parts = request.get("TransactItems").and_then(Value::as_array);
    match (tables, parts) {
        (Some(tables), _) => {
            let tables = tables.keys().cloned();
            tables
                .map(|table| (format!("dynamodb:{operation}"), table))
                .collect()
        }
        (_, Some(parts)) => {
            let parts = parts.iter().filter_map(Value::as_object).flatten();
            parts
                // `Put` is `PutItem`, `ConditionCheck` is `ConditionCheckItem`, and so on.
                .map(|(kind, part)| of(&format!("{kind}Item"), part))
                .collect()
        }
        _ => vec![of(operation, &request)],
    }
}

/// Returns the permissions that a call to a queue needs. A batch needs the permission for a single message.
pub(super) fn of_queues(operation: &str, body: &[u8]) -> Permissions {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let url = request.get("QueueUrl").and_then(Value::as_str);
    let queue = url.and_then(|url| url.rsplit('/').next());
    let action = operation.strip_suffix("Batch").unwrap_or(operation);
    vec![(
        format!("sqs:{action}"),
        queue.unwrap_or_default().to_owned(),
    )]
}

/// Returns the permissions that a call to a bucket needs, by the request's path, and by the body if it lists objects.
pub(super) fn of_bucket(operation: &str, path: &str, body: &[u8]) -> Permissions {
    let (bucket, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path.trim_matches('/'), ""));
    let object = |key: &str| match key.split_once('/') {
        Some((folder, _)) => format!("{bucket}/{folder}/*"),
        None => format!("{bucket}/*"),
    };
    match operation {
        // Needs no permission.
        "Preflight" => Vec::new(),
        "ListObjects" | "HeadBucket" => vec![("s3:ListBucket".to_owned(), bucket.to_owned())],
        "HeadObject" => vec![("s3:GetObject".to_owned(), object(key))],
        "DeleteObjects" => {
            let body = String::from_utf8_lossy(body);
            let keys = body.split("<Key>").skip(1);
            let objects: BTreeSet<_> = keys.map(object).collect();
            let each = objects.into_iter();
            each.map(|object| ("s3:DeleteObject".to_owned(), object))
                .collect()
        }
        operation => vec![(format!("s3:{operation}"), object(key))],
    }
}

/// Returns the permission to invoke a function.
pub(crate) fn of_function(name: &str) -> Permissions {
    vec![("lambda:InvokeFunction".to_owned(), name.to_owned())]
}
