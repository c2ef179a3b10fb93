//! The controls for tests: faults, outages, deliveries, the cache, and time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::running::Stack;
use crate::children::signal;
use crate::error::{Error, Result};
use crate::faults::{Call, Fault, FaultRule, IamCall, Outage, Service};
use crate::pollers::Delivery;
use crate::services::QueueCounts;

impl Stack {
    // ---- Faults ----

    /// Injects faults into the calls that the rule selects, from now on.
    ///
    /// # Errors
    /// Fails if the rule names an unknown function.
    pub fn on_call(&self, mut rule: FaultRule) -> Result<Fault> {
        if let Some(name) = &rule.function {
            rule.function = Some(self.parts.lambda.function(name)?.spec.name.clone());
        }
        Ok(self.parts.faults.inject(rule))
    }

    /// Throttles batch reads of a table's items whose key, written as JSON, contains this text, as `DynamoDB` does when a
    /// partition is overloaded.
    pub fn throttle(&self, table: &str, key: &str) {
        self.parts.faults.throttle(table, key);
    }

    /// Removes all faults of [`Stack::on_call`] and [`Stack::throttle`].
    pub fn clear_faults(&self) {
        self.parts.faults.clear();
    }

    /// Returns the number of calls by function, service and operation, since the start or the last [`Stack::reset_calls`].
    pub fn calls(&self) -> BTreeMap<Call, u64> {
        self.parts.faults.call_counts()
    }

    /// Returns the number of rows that calls read from tables, including rows that a filter discarded. Omits calls that
    /// read none.
    pub fn rows_read(&self) -> BTreeMap<Call, u64> {
        self.parts.faults.rows_read()
    }

    /// Returns the actions that each function took on each resource, as IAM sees them.
    pub fn iam_calls(&self) -> BTreeSet<IamCall> {
        self.parts.faults.iam_calls()
    }

    /// Returns the capacity units that calls consumed, by call and table.
    pub fn units_used(&self) -> BTreeMap<(Call, String), f64> {
        self.parts.faults.units_used()
    }

    /// Returns the calls in order, at most the first 100,000.
    pub fn call_log(&self) -> Vec<Call> {
        self.parts.faults.call_log()
    }

    /// Resets all records of calls except [`Stack::iam_calls`].
    pub fn reset_calls(&self) {
        self.parts.faults.reset_calls();
    }

    /// Kills all processes of a function (SIGKILL) and fails their invocations. Returns the number of processes.
    ///
    /// # Errors
    /// Fails if there is no such function.
    pub fn kill_function(&self, function: &str) -> Result<usize> {
        Ok(self
            .parts
            .lambda
            .function(function)?
            .kill(None, "killed by a test"))
    }

    /// Sends SIGTERM to all processes of a function. Returns their number.
    ///
    /// # Errors
    /// Fails if there is no such function.
    pub fn terminate_function(&self, function: &str) -> Result<usize> {
        let processes = self.parts.lambda.function(function)?.processes();
        for (pid, _) in &processes {
            signal(*pid, Signal::TERM);
        }
        Ok(processes.len())
    }

    /// Returns the number of a function's processes that are waiting for events or handling them.
    ///
    /// # Errors
    /// Fails if there is no such function.
    pub fn ready_processes(&self, function: &str) -> Result<usize> {
        Ok(self.parts.lambda.function(function)?.ready())
    }

    /// Takes a service down. While queues are down, functions receive no messages either.
    pub fn stop_service(&self, service: Service, outage: Outage) {
        self.parts.faults.outage(service).send_replace(Some(outage));
    }

    /// Brings a service back up.
    pub fn resume_service(&self, service: Service) {
        self.parts.faults.outage(service).send_replace(None);
    }

    // ---- Queues ----

    /// Counts a queue's messages.
    ///
    /// # Errors
    /// Fails if there is no such queue, or the stack has stopped.
    pub async fn queue_counts(&self, queue: &str) -> Result<QueueCounts> {
        let (queues, queue) = (self.parts.queues.clone(), self.parts.queue(queue)?.clone());
        self.run(async move { queues.counts(&queue).await })
            .await
            .flatten()
    }

    /// Stops delivering a queue's messages, and waits until those already delivered are handled.
    ///
    /// # Errors
    /// Fails if there is no such queue, or no function receives its messages.
    pub async fn pause_queue(&self, queue: &str) -> Result<()> {
        let poller = Arc::clone(self.parts.poller(queue)?);
        self.run(async move { poller.pause().await }).await
    }

    /// Resumes the delivery of a queue's messages.
    ///
    /// # Errors
    /// Fails if there is no such queue, or no function receives its messages.
    pub fn resume_queue(&self, queue: &str) -> Result<()> {
        self.parts.poller(queue).map(|poller| poller.resume())
    }

    /// Sets how a queue's messages are delivered from now on. `Delivery::default()` delivers them once and in order.
    ///
    /// # Errors
    /// Fails if there is no such queue, or no function receives its messages.
    pub fn deliver(&self, queue: &str, delivery: Delivery) -> Result<()> {
        self.parts
            .poller(queue)
            .map(|poller| poller.set_delivery(delivery))
    }

    /// Moves all dead letters of a queue back to it. Returns their number.
    ///
    /// # Errors
    /// Fails if there is no such queue, or if the queue has no dead-letter queue.
    pub async fn redrive(&self, queue: &str) -> Result<usize> {
        let queue = self.parts.queue(queue)?.clone();
        let dead = self.parts.plan.dead_letter_queue(&queue).cloned();
        let dead = dead.ok_or_else(|| {
            Error::part("queues", format!("{} has no dead-letter queue", queue.name))
        })?;
        let queues = self.parts.queues.clone();
        self.run(async move { queues.redrive(&dead, &queue).await })
            .await
            .flatten()
    }

    // ---- Cache ----

    /// Kills the cache, which loses its data.
    ///
    /// # Errors
    /// Fails if the template has no cache.
    pub async fn kill_cache(&self) -> Result<()> {
        let cache = Arc::clone(self.parts.cache()?);
        self.run(async move { cache.kill().await }).await
    }

    /// Kills the cache's server as a crash would, so that the stack restarts it.
    ///
    /// # Errors
    /// Fails if the template has no cache.
    pub fn crash_cache(&self) -> Result<()> {
        self.parts.cache().map(|cache| cache.crash())
    }

    /// Returns the stack's warnings about its cache, oldest first.
    pub fn cache_log(&self) -> Vec<String> {
        self.parts.logs.lines(crate::cache::NAME)
    }

    /// Starts a killed cache, empty, at the same address.
    ///
    /// # Errors
    /// Fails if the template has no cache, or if the cache doesn't start.
    pub async fn start_cache(&self) -> Result<()> {
        let cache = Arc::clone(self.parts.cache()?);
        self.run(async move { cache.start_node().await })
            .await
            .flatten()
    }

    /// Empties the cache.
    ///
    /// # Errors
    /// Fails if the template has no cache, or if the cache doesn't answer.
    pub async fn flush_cache(&self) -> Result<()> {
        let cache = Arc::clone(self.parts.cache()?);
        self.run(async move { cache.flush().await }).await.flatten()
    }

    /// Suspends the cache (SIGSTOP): connections stay open, but nothing is answered.
    ///
    /// # Errors
    /// Fails if the template has no cache.
    pub fn pause_cache(&self) -> Result<()> {
        self.parts.cache().map(|cache| cache.pause())
    }

    /// Resumes a suspended cache.
    ///
    /// # Errors
    /// Fails if the template has no cache.
    pub fn resume_cache(&self) -> Result<()> {
        self.parts.cache().map(|cache| cache.resume())
    }

    // ---- Time ----

    /// Removes items whose TTL has passed, which otherwise happens at most every ten seconds. Returns their number.
    ///
    /// # Errors
    /// Fails if the tables report an error.
    pub async fn expire_items(&self) -> Result<usize> {
        let tables = self.parts.tables.clone();
        self.run(async move { tables.sweep().await })
            .await
            .flatten()
    }

    /// Applies the buckets' lifecycle rules as if the time were later by `ahead`. Returns the number of removed objects.
    ///
    /// # Errors
    /// Fails if the bucket reports an error.
    pub async fn expire_objects(&self, ahead: Duration) -> Result<usize> {
        let Some(bucket) = self.parts.bucket.clone() else {
            return Ok(0);
        };
        self.run(async move { bucket.expire(ahead).await })
            .await
            .flatten()
    }
}
