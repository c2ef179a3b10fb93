//! Watches the stack's activity: its status, and whether it has drained.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lambda::Lambda;
use crate::pollers::Poller;
use crate::services::{QueueCounts, QueueService};
use crate::status::{QueueStatus, Status};
use crate::template::{Plan, Queue};

/// The interval at which [`Monitor::drain`] checks whether the stack is idle.
const DRAIN_CHECK_EVERY: Duration = Duration::from_millis(5);

/// Everything in the stack that can be busy.
#[derive(Debug)]
pub(crate) struct Monitor {
    plan: Arc<Plan>,
    lambda: Arc<Lambda>,
    queues: QueueService,
    pollers: Vec<Arc<Poller>>,
    /// Requests that the load balancer is handling.
    requests: Arc<AtomicUsize>,
}

/// A request that the load balancer is handling, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<AtomicUsize>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Monitor {
    pub(crate) fn new(
        plan: Arc<Plan>,
        lambda: Arc<Lambda>,
        queues: QueueService,
        pollers: Vec<Arc<Poller>>,
    ) -> Self {
        Self {
            plan,
            lambda,
            queues,
            pollers,
            requests: Arc::default(),
        }
    }

    /// Counts a request until the returned guard is dropped.
    pub(crate) fn open_request(&self) -> OpenRequest {
        self.requests.fetch_add(1, Ordering::SeqCst);
        OpenRequest(Arc::clone(&self.requests))
    }

    /// Waits until every queue but the dead-letter queues is empty, and no request, invocation or batch is in progress.
    /// Returns false if the timeout passes first.
    pub(crate) async fn drain(&self, timeout: Duration) -> bool {
        let started = Instant::now();
        loop {
            if self.is_idle().await {
                return true;
            }
            if started.elapsed() >= timeout {
                return false;
            }
            tokio::time::sleep(DRAIN_CHECK_EVERY).await;
        }
    }

    async fn is_idle(&self) -> bool {
        let finished = self.lambda.finished();
        let busy = || {
            self.requests.load(Ordering::SeqCst) > 0
                || self.lambda.running() > 0
                || self.pollers.iter().any(|poller| poller.is_busy())
        };
        if busy() {
            return false;
        }
        for queue in self.source_queues() {
            let counts = self.queues.counts(queue).await.unwrap_or_default();
            if counts != QueueCounts::default() {
                return false;
            }
        }
        // An invocation that ran while the queues were being counted may have sent a message.
        !busy() && finished == self.lambda.finished()
    }

    /// Returns the queues that aren't dead-letter queues.
    fn source_queues(&self) -> impl Iterator<Item = &Queue> {
        let queues = self.plan.queues.iter();
        queues.filter(|queue| !self.plan.is_dead_letter_queue(queue))
    }

    /// Returns the status of all functions and queues.
    pub(crate) async fn status(&self) -> Status {
        let functions = self.lambda.functions();
        let functions = functions
            .map(|function| (function.spec.name.clone(), function.status()))
            .collect();
        let mut queues = BTreeMap::new();
        for queue in self.source_queues() {
            let QueueCounts { visible, in_flight } =
                self.queues.counts(queue).await.unwrap_or_default();
            let mut dead_letters = 0;
            if let Some(dead) = self.plan.dead_letter_queue(queue) {
                let counts = self.queues.counts(dead).await.unwrap_or_default();
                dead_letters = counts.visible.saturating_add(counts.in_flight);
            }
            let status = QueueStatus {
                visible,
                in_flight,
                dead_letters,
            };
            queues.insert(queue.name.clone(), status);
        }
        Status { functions, queues }
    }
}
