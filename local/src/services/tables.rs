//! `DynamoDB`: dynoxide on `SQLite`, with the template's tables.
//!
//! dynoxide listens on a port of its own, to which intercepted calls are passed on. Without an interceptor, clients call
//! dynoxide directly.

use std::path::Path;
use std::time::{Duration, Instant};

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::iam;
use super::interceptor::Interceptor;
use super::throttling::{PartialBatch, with_body};
use crate::error::{Error, Result};
use crate::faults::Usage;
use crate::http_server::{self, Body, Closed};
use crate::template::{Index, Key, Table};

/// The interval at which expired items are removed. AWS takes up to two days.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// The minimum ratio of the pause between sweeps to the duration of a sweep, which reads every row of tables with TTL.
const PAUSE_PER_SWEEP: u32 = 100;

/// The fields of requests and descriptions that list a table's indexes.
const INDEX_FIELDS: [&str; 2] = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

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
    /// Opens the database in this folder or, without one, in memory.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self> {
        let database = match folder {
            None => Database::memory(),
            Some(folder) => Database::new(&folder.join("tables.sqlite").to_string_lossy()),
        }
        .map_err(failed)?;
        // The two calls leave `synchronous=NORMAL` behind: commits aren't synced to disk one by one. A power cut may
        // lose the last writes but doesn't damage the database.
        database.enable_bulk_loading().map_err(failed)?;
        database.disable_bulk_loading().map_err(failed)?;
        Ok(Self { database })
    }

    /// Returns the database, for loading without the wire protocol.
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    /// Creates missing tables.
    ///
    /// # Errors
    /// Fails if an existing table's keys or indexes differ from the template's.
    pub(crate) fn create(&self, tables: &[Table]) -> Result<()> {
        for table in tables {
            let name = &table.name;
            let create = create_request(table);
            let request =
                serde_json::from_value::<DescribeTableRequest>(json!({ "TableName": name }))
                    .map_err(failed)?;
            if let Ok(existing) = self.database.describe_table(request) {
                let existing = serde_json::to_value(existing).map_err(failed)?;
                if schema(existing.get("Table").unwrap_or(&Value::Null)) != schema(&create) {
                    return Err(failed(format!(
                        "{name} was created with keys or indexes that differ from the template's: remove the data folder, or choose another with --data-dir"
                    )));
                }
                continue;
            }
            let request = serde_json::from_value::<CreateTableRequest>(create).map_err(failed)?;
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

    /// Removes expired items and returns their number.
    pub(crate) async fn sweep(&self) -> Result<usize> {
        let database = self.database.clone();
        tokio::task::spawn_blocking(move || database.sweep_ttl())
            .await
            .map_err(failed)?
            .map_err(failed)
    }

    /// Removes expired items at intervals, until the runtime ends.
    pub(crate) async fn run_sweeper(self) {
        let mut pause = SWEEP_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let started = Instant::now();
            // Items that can't be removed now are removed next time.
            let _ = self.sweep().await;
            pause = started
                .elapsed()
                .saturating_mul(PAUSE_PER_SWEEP)
                .max(SWEEP_EVERY);
        }
    }

    /// Serves calls, through the interceptor if there is one.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        interceptor: Option<Interceptor>,
    ) -> Result<()> {
        let Some(interceptor) = interceptor else {
            tokio::spawn(dynoxide::server::serve_on(listener, self.database));
            return Ok(());
        };
        let inner = http_server::bind_free().await?;
        let port = inner.address.port();
        tokio::spawn(dynoxide::server::serve_on(inner.listener, self.database));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
        let gate = interceptor.clone();
        tokio::spawn(http_server::serve(
            listener,
            move || gate.is_open(),
            move |request, _| {
                let (interceptor, client) = (interceptor.clone(), client.clone());
                async move {
                    let headers = request.headers().clone();
                    let target = headers
                        .get("x-amz-target")
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or_default();
                    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
                    let call = PassedOnCall {
                        interceptor: interceptor.clone(),
                        client,
                        port,
                        headers: headers.clone(),
                        operation: operation.clone(),
                    };
                    let answer = call.answer(request);
                    interceptor.intercept(&headers, operation, answer).await
                }
            },
        ));
        Ok(())
    }
}

/// A call that is passed on to dynoxide.
struct PassedOnCall {
    interceptor: Interceptor,
    client: Client<HttpConnector, Body>,
    /// The port of dynoxide.
    port: u16,
    headers: HeaderMap,
    operation: String,
}

impl PassedOnCall {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let (head, body) = request.into_parts();
        let mut body = body.collect().await.map_err(|_| Closed)?.to_bytes();
        let needed = iam::of_tables(&self.operation, &body);
        self.interceptor.record_iam_calls(&self.headers, needed);
        let mut partial = None;
        if self.operation == "BatchGetItem" {
            let is_throttled = |table: &str, key: &str| self.interceptor.is_throttled(table, key);
            partial = PartialBatch::split(&body, is_throttled);
        }
        match &partial {
            Some(PartialBatch { allowed: None, .. }) => return Ok(PartialBatch::refusal()),
            Some(PartialBatch {
                allowed: Some(allowed),
                ..
            }) => body = allowed.clone(),
            None => {}
        }
        let response = self.pass_on(Request::from_parts(head, body)).await?;
        let (head, body) = response.into_parts();
        let mut body = body.collect().await.map_err(|_| Closed)?.to_bytes();
        let usage = usage(&self.operation, &body);
        self.interceptor
            .record_usage(&self.headers, self.operation, usage);
        let response = Response::from_parts(head, http_server::full(body.clone()));
        let Some(partial) = partial else {
            return Ok(response);
        };
        body = partial.complete(&body);
        Ok(with_body(response, body))
    }

    /// Sends a call to dynoxide. Asks for the consumed capacity even if the caller didn't.
    async fn pass_on(&self, request: Request<Bytes>) -> Result<Response<Incoming>, Closed> {
        let (mut head, body) = request.into_parts();
        let body = match serde_json::from_slice(&body) {
            Ok(Value::Object(mut fields)) => {
                let capacity = fields.entry("ReturnConsumedCapacity");
                capacity.or_insert_with(|| "TOTAL".into());
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
        *request.uri_mut() = format!("http://127.0.0.1:{}{path}", self.port)
            .parse::<Uri>()
            .map_err(|_| Closed)?;
        self.client.request(request).await.map_err(|_| Closed)
    }
}

/// Returns the usage that the answer to a call reports.
fn usage(operation: &str, answer: &Bytes) -> Usage {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    Usage {
        rows: rows_read(operation, &answer),
        units: capacity_units(&answer),
    }
}

/// Returns the number of rows that a call read.
fn rows_read(operation: &str, answer: &Value) -> u64 {
    if !matches!(operation, "GetItem" | "BatchGetItem" | "Query" | "Scan") {
        return 0;
    }
    let scanned = answer.get("ScannedCount").and_then(Value::as_u64);
    let batches = answer.get("Responses").and_then(Value::as_object);
    let of_batches = batches
        .into_iter()
        .flat_map(|tables| tables.values())
        .filter_map(Value::as_array)
        .map(|items| u64::try_from(items.len()).unwrap_or(u64::MAX));
    let single = u64::from(answer.get("Item").is_some());
    scanned.unwrap_or_else(|| single.saturating_add(of_batches.sum()))
}

/// Returns the capacity units that a call consumed, by table.
fn capacity_units(answer: &Value) -> Vec<(String, f64)> {
    let of_tables = match answer.get("ConsumedCapacity") {
        Some(Value::Array(of_tables)) => of_tables.as_slice(),
        Some(of_table) => std::slice::from_ref(of_table),
        None => &[],
    };
    let of_table = |consumed: &Value| {
        let table = consumed.get("TableName")?.as_str()?.to_owned();
        Some((table, consumed.get("CapacityUnits")?.as_f64()?))
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
    for (field, indexes) in INDEX_FIELDS
        .into_iter()
        .zip([&table.global_indexes, &table.local_indexes])
    {
        if !indexes.is_empty() {
            request.insert(field.to_owned(), indexes.iter().map(index).collect());
        }
    }
    Value::Object(request)
}

/// Returns the part of a table's description that can't change: its key and its indexes.
fn schema(table: &Value) -> (Option<&Value>, Vec<String>) {
    let mut indexes: Vec<_> = INDEX_FIELDS
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
