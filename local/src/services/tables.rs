//! `DynamoDB`: dynoxide, on `SQLite`, created from the template's tables.
//!
//! dynoxide serves on a port of its own, and the front passes calls on to it unchanged; without a front it is called
//! as it is.

use std::path::Path;
use std::time::{Duration, Instant};

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest};
use http::header::CONTENT_LENGTH;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::throttled::{Partial, with_body};
use super::{Front, asked};
use crate::error::{Error, Result};
use crate::faults::Used;
use crate::http_server::{self, Body, Closed};
use crate::template::{Index, Key, Table};

/// How often expired items are removed. AWS takes up to two days; here nobody likes to wait.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// It reads every row of tables whose items expire: no more than one part in so many of the time goes into that.
const SWEEP_SHARE: u32 = 100;

/// What a table's indexes are called in requests and descriptions.
const INDEXES: [&str; 2] = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

/// The running tables.
#[derive(Clone)]
pub(crate) struct TableService {
    database: Database,
}

impl std::fmt::Debug for TableService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TableService")
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::part("tables", error)
}

impl TableService {
    /// Opens the database, in memory without a folder.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self> {
        let database = match folder {
            None => Database::memory(),
            Some(folder) => Database::new(&folder.join("tables.sqlite").to_string_lossy()),
        }
        .map_err(failed)?;
        // Leaves synchronous=NORMAL behind: a commit then isn't synced to disk on its own, which the
        // database survives, unlike a power cut the last moments' writes.
        database.enable_bulk_loading().map_err(failed)?;
        database.disable_bulk_loading().map_err(failed)?;
        Ok(Self { database })
    }

    /// The database, to be filled without the wire protocol.
    pub(super) const fn database(&self) -> &Database {
        &self.database
    }

    /// Creates the tables that aren't there.
    pub(crate) fn create(&self, tables: &[Table]) -> Result<()> {
        for table in tables {
            let name = &table.name;
            let wanted = create_request(table);
            let request =
                serde_json::from_value::<DescribeTableRequest>(json!({ "TableName": name }))
                    .map_err(failed)?;
            if let Ok(existing) = self.database.describe_table(request) {
                let existing = serde_json::to_value(existing).map_err(failed)?;
                if shape(existing.get("Table").unwrap_or(&Value::Null)) != shape(&wanted) {
                    return Err(failed(format!(
                        "{name} was created with other keys or indexes than the template has now: remove the data folder, or choose another with --data-dir"
                    )));
                }
                continue;
            }
            let request = serde_json::from_value::<CreateTableRequest>(wanted).map_err(failed)?;
            self.database
                .create_table(request)
                .map_err(|error| failed(format!("{name}: {error}")))?;
            if let Some(attribute) = &table.ttl_attribute {
                let specification = TimeToLiveSpecification {
                    attribute_name: attribute.clone(),
                    enabled: true,
                };
                let request = UpdateTimeToLiveRequest {
                    table_name: name.clone(),
                    time_to_live_specification: specification,
                };
                self.database
                    .update_time_to_live(request)
                    .map_err(|error| failed(format!("{name}: {error}")))?;
            }
        }
        Ok(())
    }

    /// Removes expired items.
    pub(crate) async fn sweep(&self) -> Result<usize> {
        let database = self.database.clone();
        tokio::task::spawn_blocking(move || database.sweep_ttl())
            .await
            .map_err(failed)?
            .map_err(failed)
    }

    /// Removes expired items now and then, for ever.
    pub(crate) async fn sweep_now_and_then(self) {
        let mut rest = SWEEP_EVERY;
        loop {
            tokio::time::sleep(rest).await;
            let started = Instant::now();
            // What isn't removed now is next time.
            let _ = self.sweep().await;
            rest = started
                .elapsed()
                .saturating_mul(SWEEP_SHARE)
                .max(SWEEP_EVERY);
        }
    }

    /// Serves calls, none of which is counted or goes wrong without a front.
    pub(crate) async fn serve(self, listener: TcpListener, front: Option<Front>) -> Result<()> {
        let Some(front) = front else {
            tokio::spawn(dynoxide::server::serve_on(listener, self.database));
            return Ok(());
        };
        let (inner, address) = http_server::bind_free().await?;
        tokio::spawn(dynoxide::server::serve_on(inner, self.database.clone()));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
        let gate = front.clone();
        tokio::spawn(http_server::serve(
            listener,
            move || gate.is_open(),
            move |request, _| {
                let (front, client) = (front.clone(), client.clone());
                async move {
                    let headers = request.headers().clone();
                    let target = headers
                        .get("x-amz-target")
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or_default();
                    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
                    let counting = {
                        let (front, headers) = (front.clone(), headers.clone());
                        let operation = operation.clone();
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
                            front.asks(&headers, asked::of_tables(&operation, &body));
                            let mut partial = None;
                            if operation == "BatchGetItem" {
                                let throttled =
                                    |table: &str, key: &str| front.is_throttled(table, key);
                                partial = Partial::of(&body, throttled);
                            }
                            let body = match &partial {
                                Some(Partial { rest: None, .. }) => return Ok(Partial::refused()),
                                Some(Partial {
                                    rest: Some(rest), ..
                                }) => rest.clone(),
                                None => body,
                            };
                            let request = Request::from_parts(head, body);
                            let response = pass_on(client, request, address.port()).await?;
                            let (used, mut response) = used(&operation, response).await?;
                            front.used(&headers, operation, used);
                            if let Some(partial) = partial {
                                let (head, body) = response.into_parts();
                                let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
                                let whole =
                                    Response::from_parts(head, http_server::full(Bytes::new()));
                                response = with_body(whole, partial.complete(&body));
                            }
                            Ok(response)
                        }
                    };
                    front.call(&headers, operation, counting).await
                }
            },
        ));
        Ok(())
    }
}

/// Passes a call on, and asks for the units that it uses, whether the caller did or not.
async fn pass_on(
    client: Client<HttpConnector, Body>,
    request: Request<Bytes>,
    port: u16,
) -> Result<Response<Body>, Closed> {
    let (mut head, body) = request.into_parts();
    let body = match serde_json::from_slice(&body) {
        Ok(Value::Object(mut fields)) => {
            let asks = fields.entry("ReturnConsumedCapacity");
            asks.or_insert_with(|| "TOTAL".into());
            Value::Object(fields).to_string().into()
        }
        _ => body,
    };
    head.headers.remove(CONTENT_LENGTH);
    let mut request = Request::from_parts(head, http_server::full(body));
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("http://127.0.0.1:{port}{path}")
        .parse::<Uri>()
        .map_err(|_| Closed)?;
    let response = client.request(request).await.map_err(|_| Closed)?;
    Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
}

/// What a call used, and its answer.
async fn used(operation: &str, response: Response<Body>) -> Result<(Used, Response<Body>), Closed> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let used = Used {
        rows: rows_read(operation, &answer),
        units: units(&answer),
    };
    Ok((used, Response::from_parts(head, http_server::full(body))))
}

/// How many rows a call read.
fn rows_read(operation: &str, answer: &Value) -> u64 {
    if !matches!(operation, "GetItem" | "BatchGetItem" | "Query" | "Scan") {
        return 0;
    }
    let looked_at = answer.get("ScannedCount").and_then(Value::as_u64);
    let batches = answer.get("Responses").and_then(Value::as_object);
    let of_batches = batches
        .into_iter()
        .flat_map(|tables| tables.values())
        .filter_map(Value::as_array)
        .map(|items| u64::try_from(items.len()).unwrap_or(u64::MAX));
    let got = u64::from(answer.get("Item").is_some());
    looked_at.unwrap_or_else(|| got.saturating_add(of_batches.sum()))
}

/// The capacity units that a call used, by tables.
fn units(answer: &Value) -> Vec<(String, f64)> {
    let of_tables = match answer.get("ConsumedCapacity") {
        Some(Value::Array(of_tables)) => of_tables.as_slice(),
        Some(of_one) => std::slice::from_ref(of_one),
        None => &[],
    };
    let of_table = |of: &Value| {
        let table = of.get("TableName")?.as_str()?.to_owned();
        Some((table, of.get("CapacityUnits")?.as_f64()?))
    };
    of_tables.iter().filter_map(of_table).collect()
}

fn key_schema(key: &Key) -> Value {
    let mut schema = vec![json!({ "AttributeName": key.partition, "KeyType": "HASH" })];
    schema.extend(
        key.sort
            .iter()
            .map(|sort| json!({ "AttributeName": sort, "KeyType": "RANGE" })),
    );
    Value::Array(schema)
}

fn index(index: &Index) -> Value {
    let projection = if index.included.is_empty() {
        json!({ "ProjectionType": index.projection })
    } else {
        json!({ "ProjectionType": index.projection, "NonKeyAttributes": index.included })
    };
    json!({ "IndexName": index.name, "KeySchema": key_schema(&index.key), "Projection": projection })
}

fn create_request(table: &Table) -> Value {
    let mut request = serde_json::Map::from_iter([
        ("TableName".to_owned(), json!(table.name)),
        ("BillingMode".to_owned(), json!("PAY_PER_REQUEST")),
        ("KeySchema".to_owned(), key_schema(&table.key)),
    ]);
    let attributes = table.attributes.iter();
    let attributes = attributes
        .map(|(name, kind)| json!({ "AttributeName": name, "AttributeType": kind }))
        .collect();
    request.insert("AttributeDefinitions".to_owned(), attributes);
    for (field, indexes) in INDEXES
        .into_iter()
        .zip([&table.global_indexes, &table.local_indexes])
    {
        if !indexes.is_empty() {
            request.insert(field.to_owned(), indexes.iter().map(index).collect());
        }
    }
    Value::Object(request)
}

/// What two descriptions of a table must share: its key, and its indexes with theirs.
fn shape(table: &Value) -> (Option<&Value>, Vec<String>) {
    let mut indexes: Vec<_> = INDEXES
        .iter()
        .filter_map(|field| table.get(field)?.as_array())
        .flatten()
        .map(|index| {
            let parts = ["/IndexName", "/KeySchema", "/Projection/ProjectionType"]
                .map(|part| index.pointer(part));
            format!("{parts:?}")
        })
        .collect();
    indexes.sort();
    (table.get("KeySchema"), indexes)
}
