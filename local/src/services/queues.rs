//! SQS: rustack, in memory, with the template's queues.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::dispatch::SqsHandler as _;
use rustack_sqs_http::response::error_to_response;
use rustack_sqs_http::router::resolve_operation;
use rustack_sqs_model::input::{
    CreateQueueInput, DeleteMessageBatchInput, GetQueueAttributesInput, ReceiveMessageInput,
    SendMessageInput,
};
use rustack_sqs_model::types::{DeleteMessageBatchRequestEntry, Message, MessageAttributeValue};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::iam;
use super::interceptor::Interceptor;
use crate::error::{Error, Result};
use crate::http_server::{self, Body, Closed};
use crate::template::{LocalValues, Queue};

/// The system attribute that carries a message's trace, the only system attribute that senders can set.
const TRACE: &str = "AWSTraceHeader";

/// The largest request: SQS's limit on messages, with room for their JSON.
const MAX_REQUEST: usize = 2 * 1024 * 1024;

/// The maximum number of messages that one call receives or deletes.
const MAX_RECEIVED: usize = 10;

/// The running queues.
#[derive(Clone)]
pub(crate) struct QueueService {
    provider: Arc<RustackSqs>,
    /// Notified when messages may have been sent.
    pub(crate) sent: Arc<Notify>,
}

/// The numbers of messages in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct QueueCounts {
    /// Messages that can be received, now or after their delay.
    pub visible: u64,
    /// Messages that were received and are neither deleted nor visible again.
    pub in_flight: u64,
}

impl std::fmt::Debug for QueueService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueueService")
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::part("queues", error)
}

impl QueueService {
    /// Creates a service without queues. The URLs of its future queues contain this port.
    pub(crate) fn new(local: &LocalValues, port: u16) -> Self {
        let provider = RustackSqs::new(SqsConfig {
            skip_signature_validation: true,
            default_region: local.region.clone(),
            account_id: local.account.clone(),
            host: "127.0.0.1".to_owned(),
            port,
        });
        Self {
            provider: Arc::new(provider),
            sent: Arc::new(Notify::new()),
        }
    }

    /// Creates the queues in this order. A dead-letter queue must come before its source queues.
    pub(crate) async fn create(&self, queues: &[Queue]) -> Result<()> {
        for queue in queues {
            let mut attributes: HashMap<_, _> = queue.attributes.clone().into_iter().collect();
            if let Some(redrive) = &queue.redrive {
                let policy = json!({ "deadLetterTargetArn": redrive.target_arn, "maxReceiveCount": redrive.max_receive_count });
                attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
            }
            let input = CreateQueueInput {
                queue_name: queue.name.clone(),
                attributes,
                ..CreateQueueInput::default()
            };
            self.provider
                .create_queue(input)
                .await
                .map_err(|error| failed(format!("{}: {error}", queue.name)))?;
        }
        Ok(())
    }

    /// Serves calls.
    pub(crate) fn serve(&self, listener: tokio::net::TcpListener, interceptor: Interceptor) {
        let handler = Arc::new(RustackSqsHandler::new(Arc::clone(&self.provider)));
        let (gate, sent) = (interceptor.clone(), Arc::clone(&self.sent));
        tokio::spawn(http_server::serve(
            listener,
            move || gate.is_open(),
            move |request, _| {
                let interceptor = interceptor.clone();
                let (handler, sent) = (Arc::clone(&handler), Arc::clone(&sent));
                async move {
                    let headers = request.headers().clone();
                    let target = headers
                        .get("x-amz-target")
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or_default();
                    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
                    let record = {
                        let (recorder, headers) = (interceptor.clone(), headers.clone());
                        let operation = operation.clone();
                        move |body: &[u8]| {
                            let needed = iam::of_queues(&operation, body);
                            recorder.record_iam_calls(&headers, needed);
                        }
                    };
                    let answer = answer(handler, request, sent, record);
                    interceptor.intercept(&headers, operation, answer).await
                }
            },
        ));
    }

    /// Sends a message.
    pub(crate) async fn send(&self, queue: &Queue, body: String) -> Result<()> {
        let input = SendMessageInput {
            queue_url: queue.url.clone(),
            message_body: body,
            ..SendMessageInput::default()
        };
        self.provider.send_message(input).await.map_err(failed)?;
        self.sent.notify_waiters();
        Ok(())
    }

    /// Receives up to `most` messages, but at most ten, without waiting for more.
    pub(crate) async fn receive(&self, queue: &Queue, most: usize) -> Result<Vec<Message>> {
        let input = ReceiveMessageInput {
            queue_url: queue.url.clone(),
            max_number_of_messages: i32::try_from(most.min(MAX_RECEIVED)).ok(),
            wait_time_seconds: Some(0),
            attribute_names: vec!["All".to_owned()],
            message_attribute_names: vec!["All".to_owned()],
            ..ReceiveMessageInput::default()
        };
        self.provider
            .receive_message(input)
            .await
            .map(|output| {
                let mut messages = output.messages;
                messages.iter_mut().for_each(restore_trace);
                messages
            })
            .map_err(failed)
    }

    /// Deletes messages by their receipt handles.
    pub(crate) async fn delete(&self, queue: &Queue, receipts: &[String]) -> Result<()> {
        for chunk in receipts.chunks(MAX_RECEIVED) {
            let entries = chunk
                .iter()
                .enumerate()
                .map(|(at, receipt)| DeleteMessageBatchRequestEntry {
                    id: at.to_string(),
                    receipt_handle: receipt.clone(),
                })
                .collect();
            let input = DeleteMessageBatchInput {
                queue_url: queue.url.clone(),
                entries,
            };
            self.provider
                .delete_message_batch(input)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Moves all messages of one queue to another and returns their number.
    pub(crate) async fn redrive(&self, from: &Queue, to: &Queue) -> Result<usize> {
        let mut moved = 0_usize;
        loop {
            let messages = self.receive(from, MAX_RECEIVED).await?;
            if messages.is_empty() {
                self.sent.notify_waiters();
                return Ok(moved);
            }
            for mut message in messages {
                if let Some(trace) = message.attributes.remove(TRACE) {
                    let trace = MessageAttributeValue {
                        data_type: "String".to_owned(),
                        string_value: Some(trace),
                        ..MessageAttributeValue::default()
                    };
                    message.message_attributes.insert(TRACE.to_owned(), trace);
                }
                let input = SendMessageInput {
                    queue_url: to.url.clone(),
                    message_body: message.body.unwrap_or_default(),
                    message_attributes: message.message_attributes,
                    ..SendMessageInput::default()
                };
                self.provider.send_message(input).await.map_err(failed)?;
                self.delete(from, message.receipt_handle.as_slice()).await?;
                moved = moved.saturating_add(1);
            }
        }
    }

    /// Counts a queue's messages.
    pub(crate) async fn counts(&self, queue: &Queue) -> Result<QueueCounts> {
        let names = ["", "NotVisible", "Delayed"]
            .map(|suffix| format!("ApproximateNumberOfMessages{suffix}"));
        let input = GetQueueAttributesInput {
            queue_url: queue.url.clone(),
            attribute_names: names.to_vec(),
        };
        let output = self
            .provider
            .get_queue_attributes(input)
            .await
            .map_err(failed)?;
        let [visible, in_flight, delayed] = names.map(|name| {
            output
                .attributes
                .get(&name)
                .and_then(|value| value.parse::<u64>().ok())
                .unwrap_or(0)
        });
        Ok(QueueCounts {
            visible: visible.saturating_add(delayed),
            in_flight,
        })
    }
}

async fn answer(
    handler: Arc<RustackSqsHandler>,
    request: Request<Incoming>,
    sent: Arc<Notify>,
    record: impl FnOnce(&[u8]),
) -> Result<Response<Body>, Closed> {
    let id = crate::ids::uuid();
    let operation = match resolve_operation(request.headers()) {
        Ok(operation) => operation,
        Err(error) => return Ok(boxed(error_to_response(&error, &id))),
    };
    let body = Limited::new(request.into_body(), MAX_REQUEST)
        .collect()
        .await
        .map_err(|_| Closed)?
        .to_bytes();
    record(&body);
    let body = keep_trace(&body).map_or(body, Bytes::from);
    let response = handler
        .handle_operation(operation, body)
        .await
        .unwrap_or_else(|error| error_to_response(&error, &id));
    sent.notify_waiters();
    Ok(boxed(response))
}

/// Moves traces from the system attributes of messages, which rustack doesn't support, to ordinary attributes.
/// [`restore_trace`] moves them back. Returns `None` if the request has no trace.
fn keep_trace(body: &[u8]) -> Option<String> {
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let mut moved = false;
    let mut keep = |message: &mut Value| {
        let system = message.get_mut("MessageSystemAttributes")?;
        let trace = system.as_object_mut()?.remove(TRACE)?;
        let attributes = message.as_object_mut()?.entry("MessageAttributes");
        let attributes = attributes.or_insert_with(|| json!({}));
        attributes.as_object_mut()?.insert(TRACE.to_owned(), trace);
        moved = true;
        Some(())
    };
    // A message without a trace stays as it is.
    let _ = keep(&mut request);
    let entries = request.get_mut("Entries").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let _ = keep(entry);
    }
    moved.then(|| request.to_string())
}

/// Moves a message's trace back to its system attributes.
fn restore_trace(message: &mut Message) {
    let trace = message.message_attributes.remove(TRACE);
    if let Some(trace) = trace.and_then(|trace| trace.string_value) {
        message.attributes.insert(TRACE.to_owned(), trace);
    }
}

fn boxed(response: Response<rustack_sqs_http::body::SqsResponseBody>) -> Response<Body> {
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}
