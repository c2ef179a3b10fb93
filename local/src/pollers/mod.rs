//! Event source mappings: receive messages from queues and invoke functions with them, as Lambda does.
//!
//! A batch is delivered when it is full, when its window ends or, without a window, when the queue has no more
//! messages. Messages that the function handled are deleted. The others become visible again after their visibility
//! timeout, and move to the dead-letter queue when they have been received too often.

mod batch;
mod delivery;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rustack_sqs_model::types::Message;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::faults::{Faults, Service};
use crate::lambda::Lambda;
use crate::services::QueueService;
use crate::template::{Mapping, Queue};

pub use delivery::Delivery;

/// The interval at which a queue is checked without a notification, since messages also become visible after a delay.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// The size at which a batch stops receiving messages. Ten more messages of 256 KiB, escaped, still fit into Lambda's
/// 6 MB.
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// The parts of the stack that pollers use.
#[derive(Debug, Clone)]
pub(crate) struct PollerParts {
    pub(crate) queues: QueueService,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) region: String,
}

/// One event source mapping.
#[derive(Debug)]
pub(crate) struct Poller {
    pub(crate) queue: Queue,
    mapping: Mapping,
    parts: PollerParts,
    paused: watch::Sender<bool>,
    /// The number of batches being gathered or handled.
    open_batches: AtomicUsize,
    delivery: watch::Sender<Delivery>,
}

impl Poller {
    pub(crate) fn new(queue: Queue, mapping: Mapping, parts: PollerParts) -> Self {
        Self {
            queue,
            mapping,
            parts,
            paused: watch::Sender::new(false),
            open_batches: AtomicUsize::new(0),
            delivery: watch::Sender::new(Delivery::default()),
        }
    }

    /// Returns whether a batch is being gathered or handled.
    pub(crate) fn is_busy(&self) -> bool {
        self.open_batches.load(Ordering::SeqCst) > 0
    }

    /// Stops receiving messages and waits until all those received are handled.
    pub(crate) async fn pause(&self) {
        self.paused.send_replace(true);
        while self.is_busy() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Resumes receiving messages.
    pub(crate) fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Sets how messages are delivered from now on.
    pub(crate) fn set_delivery(&self, delivery: Delivery) {
        self.delivery.send_replace(delivery);
    }

    /// Polls until the runtime ends, with at most `workers` batches at a time.
    pub(crate) async fn run(self: Arc<Self>, workers: usize) {
        let limit = self
            .mapping
            .maximum_concurrency
            .unwrap_or(workers)
            .min(workers)
            .max(1);
        let slots = Arc::new(Semaphore::new(limit));
        let mut paused = self.paused.subscribe();
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            if paused.wait_for(|paused| !paused).await.is_err() {
                return;
            }
            // Opened before the pause is checked again, so that `pause` either waits for this batch or prevents it.
            let batch = OpenBatch::new(&self);
            if *self.paused.borrow() {
                continue;
            }
            // Registered before the queue is checked, so that no message sent meanwhile goes unnoticed.
            let mut sent = std::pin::pin!(self.parts.queues.sent.notified());
            sent.as_mut().enable();
            let messages = self.gather().await;
            if messages.is_empty() {
                drop((batch, slot));
                // Notified or not, the queue is checked again.
                let _ = tokio::time::timeout(CHECK_EVERY, sent).await;
                continue;
            }
            let poller = Arc::clone(&self);
            tokio::spawn(async move {
                poller.deliver(messages).await;
                drop((batch, slot));
            });
        }
    }

    /// Gathers one batch of messages, which is empty if the queue is empty.
    async fn gather(&self) -> Vec<Message> {
        let mut messages = self.receive(self.mapping.batch_size).await;
        if messages.is_empty() {
            return messages;
        }
        let full_size = if self.delivery.borrow().shuffles() {
            usize::MAX
        } else {
            self.mapping.batch_size
        };
        let end = Instant::now() + self.mapping.window;
        let mut bytes: usize = messages.iter().map(size).sum();
        while messages.len() < full_size && bytes < MAX_BATCH_BYTES && !*self.paused.borrow() {
            let more = self.receive(full_size.saturating_sub(messages.len())).await;
            if more.is_empty() {
                let remaining = end.saturating_duration_since(Instant::now());
                if remaining.is_zero() {
                    break;
                }
                let sent = self.parts.queues.sent.notified();
                let _ = tokio::time::timeout(remaining.min(CHECK_EVERY), sent).await;
            }
            bytes = bytes.saturating_add(more.iter().map(size).sum());
            messages.extend(more);
        }
        messages
    }

    async fn receive(&self, most: usize) -> Vec<Message> {
        if self.parts.faults.outage(Service::Queues).borrow().is_some() {
            return Vec::new();
        }
        // Fails only if the queue is gone, while the stack is stopping.
        self.parts
            .queues
            .receive(&self.queue, most)
            .await
            .unwrap_or_default()
    }

    /// Delivers messages in one batch, or as the test's [`Delivery`] arranges them.
    async fn deliver(&self, messages: Vec<Message>) {
        let delivery = self.delivery.borrow().clone();
        let (dropped, batches) = delivery.arrange(messages, self.mapping.batch_size);
        let receipts: Vec<_> = dropped
            .into_iter()
            .filter_map(|message| message.receipt_handle)
            .collect();
        let _ = self.parts.queues.delete(&self.queue, &receipts).await;
        for batch in batches {
            self.deliver_batch(batch).await;
        }
    }

    async fn deliver_batch(&self, messages: Vec<Message>) {
        let records: Vec<_> = messages
            .iter()
            .map(|message| batch::record(message, &self.queue.arn, &self.parts.region))
            .collect();
        let payload = Bytes::from(json!({ "Records": records }).to_string());
        let outcome = self
            .parts
            .lambda
            .invoke(&self.mapping.function, payload, None)
            .await;
        let ids: Vec<_> = messages
            .iter()
            .filter_map(|message| message.message_id.as_deref())
            .collect();
        let handled = match &outcome {
            Ok(_) if !self.mapping.reports_failures => ids.clone(),
            Ok(answer) => batch::handled(answer, &ids),
            Err(_) => Vec::new(),
        };
        let receipts: Vec<_> = messages
            .iter()
            .filter(|message| {
                message
                    .message_id
                    .as_deref()
                    .is_some_and(|id| handled.contains(&id))
            })
            .filter_map(|message| message.receipt_handle.clone())
            .collect();
        // Fails for an expired receipt handle, and the message is then redelivered.
        let _ = self.parts.queues.delete(&self.queue, &receipts).await;
    }
}

fn size(message: &Message) -> usize {
    message.body.as_ref().map_or(0, String::len)
}

/// A batch that is being gathered or handled, counted until it is dropped.
struct OpenBatch(Arc<Poller>);

impl OpenBatch {
    fn new(poller: &Arc<Poller>) -> Self {
        poller.open_batches.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(poller))
    }
}

impl Drop for OpenBatch {
    fn drop(&mut self) {
        self.0.open_batches.fetch_sub(1, Ordering::SeqCst);
    }
}
