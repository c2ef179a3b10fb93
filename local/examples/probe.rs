//! A function for the local stack's tests. The last part of an event's path selects its behaviour.
#![allow(clippy::panic)]

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    start(&std::env::var("PROBE_START").unwrap_or_default()).await?;
    let config = aws_config::load_from_env().await;
    let tables = aws_sdk_dynamodb::Client::new(&config);
    let tables = &tables;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        if let Some(records) = event.payload.get("Records").and_then(Value::as_array) {
            return batch(records).await;
        }
        let path = event
            .payload
            .get("path")
            .and_then(Value::as_str)
            .unwrap_or_default();
        behave(path.rsplit('/').next().unwrap_or_default(), &event, tables).await
    }))
    .await
}

/// Starts successfully, fails, hangs, waits for a file, or fails or hangs only the first time.
async fn start(behaviour: &str) -> Result<(), Error> {
    let exists = |file: &str| std::path::Path::new(file).exists();
    match behaviour.split_once(':').unwrap_or((behaviour, "")) {
        ("fail", _) => Err("told to fail".into()),
        ("hang", _) => std::future::pending().await,
        ("after", file) => {
            while !exists(file) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            Ok(())
        }
        ("second", file) if !exists(file) => {
            std::fs::write(file, "")?;
            Err("told to fail once".into())
        }
        ("hangonce", file) if !exists(file) => {
            std::fs::write(file, "")?;
            std::future::pending().await
        }
        _ => Ok(()),
    }
}

async fn behave(
    behaviour: &str,
    event: &LambdaEvent<Value>,
    tables: &aws_sdk_dynamodb::Client,
) -> Result<Value, Error> {
    match behaviour {
        "crash" => std::process::exit(3),
        "panic" => panic!("told to panic"),
        "hang" => std::future::pending().await,
        "cache" => {
            let client = redis::cluster::ClusterClient::new([std::env::var("CACHE")?])?;
            let mut cache = client.get_async_connection().await?;
            let _: Option<String> = redis::AsyncCommands::get(&mut cache, "a").await?;
            Ok(json!({ "statusCode": 200 }))
        }
        "hog" => {
            let memory = vec![1_u8; 200 << 20];
            std::hint::black_box(&memory);
            std::future::pending().await
        }
        "fail" => Err("told to fail".into()),
        "nothing" => Ok(Value::Null),
        "big" => Ok(json!({ "statusCode": 200, "body": "x".repeat(2 << 20) })),
        "slow" => {
            println!("slow begins");
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            println!("slow is done");
            Ok(json!({ "statusCode": 200 }))
        }
        "binary" => Ok(
            json!({ "statusCode": 200, "isBase64Encoded": true, "body": "AWNhdA==",
            "multiValueHeaders": { "content-type": ["image/jpeg"], "x-many": ["1", "2"] } }),
        ),
        "environment" => {
            let environment: std::collections::BTreeMap<_, _> = std::env::vars().collect();
            Ok(json!({ "statusCode": 200, "body": json!(environment).to_string() }))
        }
        "put" => {
            for id in ["one", "two"] {
                let item = tables
                    .put_item()
                    .table_name(std::env::var("TABLE")?)
                    .item("id", AttributeValue::S(id.to_owned()));
                if let Err(error) = item.send().await {
                    return Ok(json!({ "statusCode": 503, "body": format!("{error:?}") }));
                }
            }
            Ok(json!({ "statusCode": 200 }))
        }
        _ => {
            let now = std::time::SystemTime::now();
            let remaining = event
                .context
                .deadline()
                .duration_since(now)
                .unwrap_or_default();
            let context = json!({
                "deadline_in_ms": u64::try_from(remaining.as_millis()).unwrap_or(0),
                "trace": event.context.xray_trace_id,
                "arn": event.context.invoked_function_arn,
            });
            let body = json!({ "event": event.payload, "context": context }).to_string();
            Ok(
                json!({ "statusCode": 200, "body": body, "multiValueHeaders": { "content-type": ["application/json"] } }),
            )
        }
    }
}

/// Handles a batch of messages. The first word of a body selects the behaviour: `fail` fails that message, `crash` ends the
/// process.
async fn batch(records: &[Value]) -> Result<Value, Error> {
    println!("batch of {}", records.len());
    let mut failed = Vec::new();
    for record in records {
        let (id, body) = (
            &record["messageId"],
            record["body"].as_str().unwrap_or_default(),
        );
        match body.split(' ').next().unwrap_or_default() {
            "fail" => failed.push(json!({ "itemIdentifier": id })),
            "crash" => std::process::exit(3),
            "hang" => std::future::pending().await,
            "unknown" => failed.push(json!({ "itemIdentifier": "unknown" })),
            _ => println!("handled {body}"),
        }
    }
    Ok(json!({ "batchItemFailures": failed }))
}
