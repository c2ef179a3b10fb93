//! A running stack, and what tests and demos do with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::faults::{Call, Fault, FaultRule, Faults, Outage, Service};
use crate::lambda::{InvokeError, Lambda};
use crate::logs::{Log, Logs};
use crate::pollers::{Delivery, Poller};
use crate::services::{BucketService, QueueCounts, QueueService, TableService};
use crate::sign_in::SignIn;
use crate::start::{self, Folder};
use crate::status::{Durations, FunctionStatus, QueueStatus, Status};
use crate::template::{LocalValues, Plan, Queue};
use crate::{children, schedules};

/// How to start a stack.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template's file.
    pub template: PathBuf,
    /// The folder with the functions' binaries.
    pub bin_dir: PathBuf,
    /// Where data stays; `None` keeps none.
    pub data_dir: Option<PathBuf>,
    /// The load balancer's port; `None` for a free one.
    pub port: Option<u16>,
    /// The most processes of one function, and the most batches of one queue at a time.
    pub workers: usize,
    /// Values of the template's parameters, instead of its defaults and the stack's own.
    pub parameters: BTreeMap<String, String>,
    /// Where the functions' lines go.
    pub log: Log,
    /// Whether each function has a process from the start, so that no first request waits for it.
    pub warm: bool,
    /// Whether schedules run by the clock; see also [`Stack::run_schedule`].
    pub schedules: bool,
}

impl Options {
    /// A stack of this template and binaries that keeps no data, on free ports, with up to four
    /// processes a function, quiet, nothing started ahead, schedules run by hand only.
    pub fn new(template: impl Into<PathBuf>, bin_dir: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            bin_dir: bin_dir.into(),
            data_dir: None,
            port: None,
            workers: 4,
            parameters: BTreeMap::new(),
            log: Log::Quiet,
            warm: false,
            schedules: false,
        }
    }

    /// Sets a parameter of the template.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Where everything is. Clients of AWS's services use [`crate::ACCESS_KEY`] and [`crate::SECRET_KEY`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The load balancer, such as `http://127.0.0.1:8080`, without a slash at the end.
    pub url: String,
    /// `DynamoDB`.
    pub tables: String,
    /// SQS.
    pub queues: String,
    /// S3, path style.
    pub bucket: String,
    /// The cache, `redis://host:port`, a cluster of one node; `None` if the template has none.
    pub cache: Option<String>,
    /// The region of all of them.
    pub region: String,
}

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
    pub(crate) _cache_folder: TempDir,
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
            let [p50, p90, p99, max] = status.percentiles;
            let peak = f64::from(u32::try_from(status.peak_memory_kb).unwrap_or(u32::MAX)) / 1024.0;
            let status = FunctionStatus {
                invocations: status.invocations,
                errors: status.errors,
                duration_ms: Durations { p50, p90, p99, max },
                processes: status.processes,
                running: status.running,
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

    fn dead_letter_queue(&self, queue: &Queue) -> Option<&Queue> {
        let target = &queue.redrive.as_ref()?.target_arn;
        self.plan.queues.iter().find(|other| other.arn == *target)
    }

    fn queue(&self, name: &str) -> Result<&Queue> {
        self.plan
            .queue(name)
            .ok_or_else(|| Error::UnknownQueue(name.to_owned()))
    }

    fn poller(&self, queue: &str) -> Result<&Arc<Poller>> {
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

    fn cache(&self) -> Result<&Arc<Cache>> {
        self.cache
            .as_ref()
            .ok_or_else(|| Error::part("cache", "the template has none"))
    }
}

/// A running stack. It runs on threads of its own, and everything ends when it is dropped; use
/// [`Stack::stop`] to end in order. Functions and queues go by their names or logical ids.
#[derive(Debug)]
pub struct Stack {
    parts: Arc<Parts>,
    runtime: Option<Runtime>,
    _folder: Folder,
}

impl Stack {
    /// Starts a stack.
    ///
    /// # Errors
    /// The template is wrong, the port is taken, a binary or the cache's server is missing, or a part
    /// of the stack doesn't start. Each says what to do.
    pub async fn start(options: Options) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("stack")
            .enable_all()
            .build()
            .map_err(Error::io("can't start threads"))?;
        let started = runtime
            .spawn(async move { start::start(&options).await })
            .await;
        match started
            .map_err(|error| Error::part("start", error))
            .flatten()
        {
            Ok((parts, folder)) => Ok(Self {
                parts,
                runtime: Some(runtime),
                _folder: folder,
            }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Runs something on the stack's own threads, so that it doesn't depend on the caller's.
    async fn on<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else {
            return Err(Error::part("stack", "it has stopped"));
        };
        runtime
            .spawn(work)
            .await
            .map_err(|error| Error::part("stack", error))
    }

    /// The load balancer's address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.parts.endpoints.url
    }

    /// Where everything is.
    pub fn endpoints(&self) -> &Endpoints {
        &self.parts.endpoints
    }

    /// What the template asked for, evaluated.
    pub fn plan(&self) -> &Plan {
        &self.parts.plan
    }

    /// A valid token of this user.
    ///
    /// # Errors
    /// Signing fails, which it doesn't.
    pub fn token(&self, user: &str) -> Result<String> {
        self.parts.sign_in.token(user)
    }

    /// The sign-in, to mint any other token.
    pub fn sign_in(&self) -> &SignIn {
        &self.parts.sign_in
    }

    /// The environment that a function's processes get from the template and the stack.
    ///
    /// # Errors
    /// There is no such function.
    pub fn environment(&self, function: &str) -> Result<BTreeMap<String, String>> {
        self.parts
            .lambda
            .function(function)
            .map(|function| function.environment())
    }

    /// A table's name by its logical id.
    pub fn table_name(&self, logical_id: &str) -> Option<&str> {
        let mut tables = self.parts.plan.tables.iter();
        tables
            .find(|table| table.logical_id == logical_id)
            .map(|table| table.name.as_str())
    }

    /// A queue's URL.
    ///
    /// # Errors
    /// There is no such queue.
    pub fn queue_url(&self, queue: &str) -> Result<&str> {
        self.parts.queue(queue).map(|queue| queue.url.as_str())
    }

    /// A bucket's name by its logical id.
    pub fn bucket_name(&self, logical_id: &str) -> Option<&str> {
        let mut buckets = self.parts.plan.buckets.iter();
        buckets
            .find(|bucket| bucket.logical_id == logical_id)
            .map(|bucket| bucket.name.as_str())
    }

    /// Invokes a function with an event and returns its answer. Nothing is retried.
    ///
    /// # Errors
    /// As [`InvokeError`] says.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Bytes, InvokeError> {
        let (parts, function, payload) = (
            Arc::clone(&self.parts),
            function.to_owned(),
            Bytes::from(event.to_string()),
        );
        self.on(async move { parts.lambda.invoke(&function, payload, None).await })
            .await
            .map_err(|error| InvokeError::Crashed(error.to_string()))?
    }

    /// Fires the schedules of a function once, with the events that AWS would send.
    ///
    /// # Errors
    /// As [`InvokeError`] says.
    pub async fn run_schedule(&self, function: &str) -> Result<(), InvokeError> {
        let unknown = |_| InvokeError::Unknown(function.to_owned());
        let name = self
            .parts
            .lambda
            .function(function)
            .map_err(unknown)?
            .spec
            .name
            .clone();
        for schedule in self
            .parts
            .plan
            .schedules
            .iter()
            .filter(|schedule| schedule.function == name)
        {
            self.invoke(&name, &schedules::event(schedule, &self.parts.local))
                .await?;
        }
        Ok(())
    }

    /// Waits until every queue is empty, in flight included, and nothing runs; false if not by then.
    /// Dead letters don't count.
    pub async fn drain(&self, timeout: Duration) -> bool {
        let parts = Arc::clone(&self.parts);
        self.on(async move { parts.drain(timeout).await })
            .await
            .unwrap_or(false)
    }

    /// What the stack is doing.
    ///
    /// # Errors
    /// The stack has stopped.
    pub async fn status(&self) -> Result<Status> {
        let parts = Arc::clone(&self.parts);
        self.on(async move { parts.status().await }).await
    }

    /// The last lines that a function's processes printed, oldest first, at most 2,000.
    ///
    /// # Errors
    /// There is no such function.
    pub fn logs(&self, function: &str) -> Result<Vec<String>> {
        self.parts
            .lambda
            .function(function)
            .map(|function| self.parts.logs.of(&function.spec.name))
    }

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

    /// Takes all faults of [`Stack::on_call`] away.
    pub fn clear_faults(&self) {
        self.parts.faults.clear();
    }

    /// How often each function called each operation of each service, since the start or [`Stack::reset_calls`].
    pub fn calls(&self) -> BTreeMap<Call, u64> {
        self.parts.faults.counts()
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
        self.on(async move { cache.kill().await }).await.flatten()
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

    /// Stops everything, without waiting for queues: messages are only in memory, so call
    /// [`Stack::drain`] first if they matter.
    pub async fn stop(mut self) {
        let parts = Arc::clone(&self.parts);
        let _ = self
            .on(async move {
                for function in parts.lambda.functions() {
                    function.kill(None, "the stack stopped");
                }
                if let Some(cache) = &parts.cache {
                    let _ = cache.kill().await;
                }
            })
            .await;
        if let Some(runtime) = self.runtime.take() {
            // Waits for threads, which an async caller must not.
            let _ = tokio::task::spawn_blocking(move || {
                runtime.shutdown_timeout(Duration::from_secs(5))
            })
            .await;
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for (pid, _) in self.parts.lambda.processes() {
            children::signal(pid, rustix::process::Signal::KILL);
        }
        if let Some(cache) = &self.parts.cache {
            cache.kill_now();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
