//! Event source mappings: takes messages from queues and invokes functions with them, as Lambda does.
//!
//! A batch is sent when it is full, when its window is over, or, without a window, when no more
//! messages are there. What the function handled is deleted; the rest becomes visible again when its
//! visibility timeout ends, and moves to the dead-letter queue when it was received too often.

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

use crate::faults::Service;
use crate::stack::Parts;
use crate::template::{Mapping, Queue};

pub use delivery::Delivery;

/// How often a queue is looked at when nobody said that there is something new, since messages also
/// become visible by time.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How much of Lambda's 6 MB a batch may fill before no more is received: ten messages of 256 KiB,
/// escaped, still fit.
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// One event source mapping.
#[derive(Debug)]
pub(crate) struct Poller {
    pub(crate) queue: Queue,
    mapping: Mapping,
    paused: watch::Sender<bool>,
    /// Batches that are gathered or worked on.
    busy: AtomicUsize,
    delivery: watch::Sender<Delivery>,
}

impl Poller {
    pub(crate) fn new(queue: Queue, mapping: Mapping) -> Self {
        Self {
            queue,
            mapping,
            paused: watch::Sender::new(false),
            busy: AtomicUsize::new(0),
            delivery: watch::Sender::new(Delivery::default()),
        }
    }

    /// Whether messages are held or worked on.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) > 0
    }

    /// Stops taking messages and waits until those taken are done with.
    pub(crate) async fn pause(&self) {
        self.paused.send_replace(true);
        while self.is_busy() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Takes messages again.
    pub(crate) fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// From now on messages are delivered so.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        self.delivery.send_replace(delivery);
    }

    /// Polls until the runtime ends.
    pub(crate) async fn run(self: Arc<Self>, parts: Arc<Parts>, workers: usize) {
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
            // Busy before looking at the pause again, so that a pause either waits for this or stops it.
            let busy = Busy::new(&self);
            if *self.paused.borrow() {
                continue;
            }
            // From before looking, so that nothing sent meanwhile goes unnoticed.
            let mut sent = std::pin::pin!(parts.queues.sent.notified());
            sent.as_mut().enable();
            let messages = self.gather(&parts).await;
            if messages.is_empty() {
                drop((busy, slot));
                // Either way it is time to look again.
                let _ = tokio::time::timeout(LOOK_EVERY, sent).await;
                continue;
            }
            let (poller, shared) = (Arc::clone(&self), Arc::clone(&parts));
            tokio::spawn(async move {
                poller.deliver_batches(&shared, messages).await;
                drop((busy, slot));
            });
        }
    }

    /// One batch of messages; empty if there are none.
    async fn gather(&self, parts: &Parts) -> Vec<Message> {
        let mut messages = self.receive(parts, self.mapping.batch_size).await;
        if messages.is_empty() {
            return messages;
        }
        let full_at = if self.delivery.borrow().shuffles() {
            usize::MAX
        } else {
            self.mapping.batch_size
        };
        let end = Instant::now() + self.mapping.window;
        let mut bytes: usize = messages.iter().map(size).sum();
        while messages.len() < full_at && bytes < MAX_BATCH_BYTES && !*self.paused.borrow() {
            let more = self
                .receive(parts, full_at.saturating_sub(messages.len()))
                .await;
            if more.is_empty() {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let _ =
                    tokio::time::timeout(left.min(LOOK_EVERY), parts.queues.sent.notified()).await;
            }
            bytes = bytes.saturating_add(more.iter().map(size).sum());
            messages.extend(more);
        }
        messages
    }

    async fn receive(&self, parts: &Parts, most: usize) -> Vec<Message> {
        if parts.faults.outage(Service::Queues).borrow().is_some() {
            return Vec::new();
        }
        // Only a queue that is gone fails, and then the stack is stopping.
        parts
            .queues
            .receive(&self.queue, most)
            .await
            .unwrap_or_default()
    }

    /// Delivers messages in one batch, or however a test wants them.
    async fn deliver_batches(&self, parts: &Arc<Parts>, messages: Vec<Message>) {
        let delivery = self.delivery.borrow().clone();
        let (dropped, batches) = delivery.arrange(messages, self.mapping.batch_size);
        let receipts: Vec<_> = dropped
            .into_iter()
            .filter_map(|message| message.receipt_handle)
            .collect();
        let _ = parts.queues.delete(&self.queue, &receipts).await;
        for batch in batches {
            self.deliver_batch(parts, batch).await;
        }
    }

    async fn deliver_batch(&self, parts: &Arc<Parts>, messages: Vec<Message>) {
        let records: Vec<_> = messages
            .iter()
            .map(|message| batch::record(message, &self.queue.arn, &parts.local.region))
            .collect();
        let payload = Bytes::from(json!({ "Records": records }).to_string());
        let outcome = parts
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
        // A receipt that is too old is no error; the message comes again.
        let _ = parts.queues.delete(&self.queue, &receipts).await;
    }
}

fn size(message: &Message) -> usize {
    message.body.as_ref().map_or(0, String::len)
}

/// Counts a batch from before its messages are received until it is done with.
struct Busy(Arc<Poller>);

impl Busy {
    fn new(poller: &Arc<Poller>) -> Self {
        poller.busy.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(poller))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}
