//! All parts of a running stack, and what concerns several of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Endpoints;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::faults::Faults;
use crate::lambda::Lambda;
use crate::logs::Logs;
use crate::pollers::Poller;
use crate::services::{BucketService, QueueCounts, QueueService, TableService};
use crate::sign_in::SignIn;
use crate::status::{Durations, FunctionStatus, QueueStatus, Status};
use crate::template::{LocalValues, Plan, Queue};

/// All parts, as they know each other.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) plan: Plan,
    pub(crate) local: LocalValues,
    pub(crate) endpoints: Endpoints,
    pub(crate) load_balancer_port: u16,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) sign_in: SignIn,
    pub(crate) tables: TableService,
    pub(crate) queues: QueueService,
    pub(crate) bucket: Option<BucketService>,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) pollers: Vec<Arc<Poller>>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) logs: Arc<Logs>,
    /// Requests that the load balancer works on.
    pub(crate) requests: Arc<AtomicUsize>,
    pub(crate) _scratch: TempDir,
}

impl Parts {
    async fn is_quiet(&self) -> bool {
        let finished = self.lambda.finished();
        let busy = || {
            self.requests.load(Ordering::SeqCst) > 0
                || self.lambda.running() > 0
                || self.pollers.iter().any(|poller| poller.is_busy())
        };
        if busy() {
            return false;
        }
        for queue in self
            .plan
            .queues
            .iter()
            .filter(|queue| !self.plan.is_dead_letter_queue(queue))
        {
            let counts = self.queues.counts(queue).await.unwrap_or_default();
            if counts != QueueCounts::default() {
                return false;
            }
        }
        // Whatever ran while the queues were counted may have sent something.
        !busy() && finished == self.lambda.finished()
    }

    /// Waits until every queue is empty and nothing runs; false if not by then.
    pub(crate) async fn drain(&self, timeout: Duration) -> bool {
        let started = Instant::now();
        loop {
            if self.is_quiet().await {
                return true;
            }
            if started.elapsed() >= timeout {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn status(&self) -> Status {
        let mut functions = BTreeMap::new();
        for function in self.lambda.functions() {
            let status = function.status();
            let peak = f64::from(u32::try_from(status.peak_memory_kb).unwrap_or(u32::MAX)) / 1024.0;
            let status = FunctionStatus {
                invocations: status.invocations,
                errors: status.errors,
                duration_ms: Durations::of(status.percentiles),
                init_ms: Durations::of(status.init),
                processes: status.processes,
                running: status.running,
                cpu_ms: status.cpu.as_secs_f64() * 1000.0,
                peak_memory_mb: (peak * 10.0).round() / 10.0,
                memory_limit_mb: function.spec.memory_mb,
            };
            functions.insert(function.spec.name.clone(), status);
        }
        let mut queues = BTreeMap::new();
        for queue in self
            .plan
            .queues
            .iter()
            .filter(|queue| !self.plan.is_dead_letter_queue(queue))
        {
            let QueueCounts { visible, in_flight } =
                self.queues.counts(queue).await.unwrap_or_default();
            let mut dead_letters = 0;
            if let Some(dead) = self.dead_letter_queue(queue) {
                let counts = self.queues.counts(dead).await.unwrap_or_default();
                dead_letters = counts.visible.saturating_add(counts.in_flight);
            }
            queues.insert(
                queue.name.clone(),
                QueueStatus {
                    visible,
                    in_flight,
                    dead_letters,
                },
            );
        }
        Status { functions, queues }
    }

    pub(super) fn dead_letter_queue(&self, queue: &Queue) -> Option<&Queue> {
        let target = &queue.redrive.as_ref()?.target_arn;
        self.plan.queues.iter().find(|other| other.arn == *target)
    }

    pub(super) fn queue(&self, name: &str) -> Result<&Queue> {
        self.plan
            .queue(name)
            .ok_or_else(|| Error::UnknownQueue(name.to_owned()))
    }

    pub(super) fn poller(&self, queue: &str) -> Result<&Arc<Poller>> {
        let queue = self.queue(queue)?;
        self.pollers
            .iter()
            .find(|poller| poller.queue.arn == queue.arn)
            .ok_or_else(|| {
                Error::part(
                    "queues",
                    format!("no function takes messages from {}", queue.name),
                )
            })
    }

    pub(super) fn cache(&self) -> Result<&Arc<Cache>> {
        self.cache
            .as_ref()
            .ok_or_else(|| Error::part("cache", "the template has none"))
    }
}
