//! What tests do to a running stack: faults, outages, odd deliveries, an empty cache, later times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Stack;
use rustix::process::Signal;

use crate::children::signal;
use crate::error::{Error, Result};
use crate::faults::{Asked, Call, Fault, FaultRule, Outage, Service};
use crate::pollers::Delivery;
use crate::services::QueueCounts;

impl Stack {
    // ---- Faults ----

    /// Makes chosen calls go wrong from now on.
    ///
    /// # Errors
    /// The rule names a function that isn't there.
    pub fn on_call(&self, mut rule: FaultRule) -> Result<Fault> {
        if let Some(name) = &rule.function {
            rule.function = Some(self.parts.lambda.function(name)?.spec.name.clone());
        }
        Ok(self.parts.faults.set(rule))
    }

    /// Has the tables refuse to read items in batches, by the table's name and a part of their keys' JSON, as `DynamoDB`
    /// does where a partition is asked for more than it serves.
    pub fn throttle(&self, table: &str, key: &str) {
        self.parts.faults.throttle(table, key);
    }

    /// Takes all faults of [`Stack::on_call`] and [`Stack::throttle`] away.
    pub fn clear_faults(&self) {
        self.parts.faults.clear();
    }

    /// How often each function called each operation of each service, since the start or [`Stack::reset_calls`].
    pub fn calls(&self) -> BTreeMap<Call, u64> {
        self.parts.faults.counts()
    }

    /// How many rows of tables they read, those that read any: whatever DynamoDB looked at, filtered out or not.
    pub fn rows_read(&self) -> BTreeMap<Call, u64> {
        self.parts.faults.rows()
    }

    /// What each function asked of which resource.
    pub fn asked(&self) -> BTreeSet<Asked> {
        self.parts.faults.asked()
    }

    /// The capacity units that they used, by call and table, as the tables tell.
    pub fn units_used(&self) -> BTreeMap<(Call, String), f64> {
        self.parts.faults.units()
    }

    /// The same calls in their order, the first 100,000.
    pub fn call_log(&self) -> Vec<Call> {
        self.parts.faults.log()
    }

    /// Starts counting calls anew.
    pub fn reset_calls(&self) {
        self.parts.faults.reset();
    }

    /// Kills all processes of a function (SIGKILL); what they work on fails. Returns how many.
    ///
    /// # Errors
    /// There is no such function.
    pub fn kill_function(&self, function: &str) -> Result<usize> {
        Ok(self
            .parts
            .lambda
            .function(function)?
            .kill(None, "killed by a test"))
    }

    /// Tells all processes of a function to end, by SIGTERM, and answers how many they are.
    ///
    /// # Errors
    /// There is no such function.
    pub fn terminate_function(&self, function: &str) -> Result<usize> {
        let processes = self.parts.lambda.function(function)?.processes();
        for (pid, _) in &processes {
            signal(*pid, Signal::TERM);
        }
        Ok(processes.len())
    }

    /// Returns the number of a function's processes that wait for events or work on some.
    ///
    /// # Errors
    /// There is no such function.
    pub fn ready_processes(&self, function: &str) -> Result<usize> {
        Ok(self.parts.lambda.function(function)?.ready())
    }

    /// Takes a service down. While queues are down, functions get no messages either.
    pub fn stop_service(&self, service: Service, outage: Outage) {
        self.parts.faults.outage(service).send_replace(Some(outage));
    }

    /// Brings a service up again.
    pub fn resume_service(&self, service: Service) {
        self.parts.faults.outage(service).send_replace(None);
    }

    // ---- Queues ----

    /// How many messages a queue holds.
    ///
    /// # Errors
    /// There is no such queue, or the stack has stopped.
    pub async fn queue_counts(&self, queue: &str) -> Result<QueueCounts> {
        let (queues, queue) = (self.parts.queues.clone(), self.parts.queue(queue)?.clone());
        self.on(async move { queues.counts(&queue).await })
            .await
            .flatten()
    }

    /// Stops handing a queue's messages to its function, once those handed out are done with.
    ///
    /// # Errors
    /// There is no such queue, or no function takes its messages.
    pub async fn pause_queue(&self, queue: &str) -> Result<()> {
        let poller = Arc::clone(self.parts.poller(queue)?);
        self.on(async move { poller.pause().await }).await
    }

    /// Hands them out again.
    ///
    /// # Errors
    /// There is no such queue, or no function takes its messages.
    pub fn resume_queue(&self, queue: &str) -> Result<()> {
        self.parts.poller(queue).map(|poller| poller.resume())
    }

    /// Delivers a queue's messages so from now on; `Delivery::default()` for once and in order.
    ///
    /// # Errors
    /// There is no such queue, or no function takes its messages.
    pub fn deliver(&self, queue: &str, delivery: Delivery) -> Result<()> {
        self.parts
            .poller(queue)
            .map(|poller| poller.deliver(delivery))
    }

    /// Moves all dead letters of a queue back to it, as a redrive does. Returns how many.
    ///
    /// # Errors
    /// There is no such queue, or it has no dead-letter queue.
    pub async fn redrive(&self, queue: &str) -> Result<usize> {
        let queue = self.parts.queue(queue)?.clone();
        let dead = self.parts.dead_letter_queue(&queue).cloned();
        let dead = dead.ok_or_else(|| {
            Error::part("queues", format!("{} has no dead-letter queue", queue.name))
        })?;
        let queues = self.parts.queues.clone();
        self.on(async move { queues.redrive(&dead, &queue).await })
            .await
            .flatten()
    }

    // ---- Cache ----

    /// Kills the cache; what it held is gone.
    ///
    /// # Errors
    /// The template has none.
    pub async fn kill_cache(&self) -> Result<()> {
        let cache = Arc::clone(self.parts.cache()?);
        self.on(async move { cache.kill().await }).await
    }

    /// Kills the cache's server behind the stack's back, as a crash would: the stack starts it again.
    ///
    /// # Errors
    /// The template has no cache.
    pub fn crash_cache(&self) -> Result<()> {
        self.parts.cache().map(|cache| cache.crash())
    }

    /// The stack's own warnings about its cache, oldest first.
    pub fn cache_log(&self) -> Vec<String> {
        self.parts.logs.of(crate::cache::NAME)
    }

    /// Starts a killed cache, empty, at the same address.
    ///
    /// # Errors
    /// The template has none, or it doesn't start.
    pub async fn start_cache(&self) -> Result<()> {
        let cache = Arc::clone(self.parts.cache()?);
        self.on(async move { cache.run().await }).await.flatten()
    }

    /// Empties the cache.
    ///
    /// # Errors
    /// The template has none, or it doesn't answer.
    pub async fn flush_cache(&self) -> Result<()> {
        let cache = Arc::clone(self.parts.cache()?);
        self.on(async move { cache.flush().await }).await.flatten()
    }

    /// Stops the cache in its tracks (SIGSTOP): connections stay open, nothing is answered.
    ///
    /// # Errors
    /// The template has none.
    pub fn pause_cache(&self) -> Result<()> {
        self.parts.cache().map(|cache| cache.pause())
    }

    /// Lets the cache go on.
    ///
    /// # Errors
    /// The template has none.
    pub fn resume_cache(&self) -> Result<()> {
        self.parts.cache().map(|cache| cache.resume())
    }

    // ---- Time ----

    /// Removes the items whose TTL is over. Otherwise that happens every ten seconds.
    ///
    /// # Errors
    /// The tables don't take it.
    pub async fn expire_items(&self) -> Result<usize> {
        let tables = self.parts.tables.clone();
        self.on(async move { tables.sweep().await }).await.flatten()
    }

    /// Applies the buckets' lifecycle rules as if it were later by `ahead`. Returns how many objects went.
    ///
    /// # Errors
    /// The bucket doesn't take it.
    pub async fn expire_objects(&self, ahead: Duration) -> Result<usize> {
        let Some(bucket) = self.parts.bucket.clone() else {
            return Ok(0);
        };
        self.on(async move { bucket.expire(ahead).await })
            .await
            .flatten()
    }
}
