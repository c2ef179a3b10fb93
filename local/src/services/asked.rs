//! What a call asks for, as IAM sees it: actions, and what each is done to.
//!
//! A table's index is `<table>/index/<index>`. Of an object only its first folder is told, `<bucket>/<folder>/*`, or
//! `<bucket>/*` where it has none: there is no end of keys.

use std::collections::BTreeSet;

use serde_json::Value;

/// Actions, such as `dynamodb:PutItem`, and resources.
pub(crate) type Wanted = Vec<(String, String)>;

/// Of tables: a transaction asks for as much as it has parts.
pub(super) fn of_tables(operation: &str, body: &[u8]) -> Wanted {
    let asks: Value = serde_json::from_slice(body).unwrap_or_default();
    let of = |action: &str, part: &Value| {
        let table = part.get("TableName").and_then(Value::as_str);
        let table = table.unwrap_or_default();
        let resource = match part.get("IndexName").and_then(Value::as_str) {
            Some(index) => format!("{table}/index/{index}"),
            None => table.to_owned(),
        };
        (format!("dynamodb:{action}"), resource)
    };
    let tables = asks.get("RequestItems").and_then(Value::as_object);
    let parts = asks.get("TransactItems").and_then(Value::as_array);
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
        _ => vec![of(operation, &asks)],
    }
}

/// Of a queue, by its name: a batch needs what each of its messages does.
pub(super) fn of_queues(operation: &str, body: &[u8]) -> Wanted {
    let asks: Value = serde_json::from_slice(body).unwrap_or_default();
    let url = asks.get("QueueUrl").and_then(Value::as_str);
    let queue = url.and_then(|url| url.rsplit('/').next());
    let action = operation.strip_suffix("Batch").unwrap_or(operation);
    vec![(
        format!("sqs:{action}"),
        queue.unwrap_or_default().to_owned(),
    )]
}

/// Of a bucket, by the path of a request, and the body of one that names objects there.
pub(super) fn of_bucket(operation: &str, path: &str, body: &[u8]) -> Wanted {
    let (bucket, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path.trim_matches('/'), ""));
    let object = |key: &str| match key.split_once('/') {
        Some((folder, _)) => format!("{bucket}/{folder}/*"),
        None => format!("{bucket}/*"),
    };
    match operation {
        // Anybody may ask what a browser may send.
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

/// Of a function, by its name.
pub(crate) fn of_function(name: &str) -> Wanted {
    vec![("lambda:InvokeFunction".to_owned(), name.to_owned())]
}
