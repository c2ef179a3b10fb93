//! A running stack, and what tests and demos do with it.

mod control;
mod parts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::error::{Error, Result};
use crate::lambda::{InvokeError, Starts};
use crate::logs::{Log, OnLine};
use crate::sign_in::SignIn;
use crate::start::{self, Folder};
use crate::status::Status;
use crate::template::Plan;
use crate::{children, schedules};

pub(crate) use parts::Parts;

/// The factor by which functions wait longer for answers than on AWS.
const PATIENCE: u32 = 5;

/// How functions' calls get to the tables and the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Counted on their way, and made to go wrong where tests say so.
    Watched,
    /// Straight: what AWS doesn't have is not measured with the rest.
    Direct,
}

/// Whether parameters must keep what the template says of them: constraints of each, and rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraints {
    /// They must, as on AWS.
    Enforced,
    /// They needn't: tests have shorter times than what is deployed may have.
    Waived,
}

/// How to start a stack.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template's file.
    pub template: PathBuf,
    /// The folder with the functions' binaries.
    pub bin_dir: PathBuf,
    /// Where data stays; `None` keeps none.
    pub data_dir: Option<PathBuf>,
    /// Where the load balancer listens: an address of this machine or a name of one; `None` for 127.0.0.1.
    pub host: Option<String>,
    /// By which URL clients reach it, if not by `host` and `port`.
    pub public_url: Option<String>,
    /// The load balancer's port; `None` for a free one.
    pub port: Option<u16>,
    /// The most processes of one function, and the most batches of one queue at a time.
    pub workers: usize,
    /// How many events one process works on at a time: one, as on Lambda, or several, as on its managed instances
    /// (`AWS_LAMBDA_MAX_CONCURRENCY`).
    pub concurrency: usize,
    /// How far the clock of every other process is ahead of the rest, for functions built with `shifted-clock`. Each
    /// function then has two processes from its first event on, where it may, and they take turns.
    pub clocks_apart: Option<Duration>,
    /// The cache's memory in MB; beyond it the cache evicts what was not used for longest.
    pub cache_mb: u32,
    /// How functions' calls get to the tables and the cache.
    pub calls: Calls,
    /// Whether expired items are removed by the clock, for which every row is read that may expire.
    pub expiry: bool,
    /// Values of the template's parameters, instead of its defaults and the stack's own.
    pub parameters: BTreeMap<String, String>,
    /// Whether they must keep the template's constraints and rules.
    pub constraints: Constraints,
    /// The time the functions' processes may take to start.
    pub starts: Starts,
    /// What the functions' environment has besides.
    pub environment: BTreeMap<String, String>,
    /// Where the functions' lines go.
    pub log: Log,
    /// Who is shown each of them besides.
    pub on_line: Option<OnLine>,
    /// Whether each function has a process from the start, so that no first request waits for it; a function whose
    /// process doesn't start is an error then.
    pub warm: bool,
    /// Whether schedules run by the clock; see also [`Stack::run_schedule`].
    pub schedules: bool,
}

impl Options {
    /// A stack of this template and binaries that keeps no data, on free ports, with up to four
    /// processes a function and one event a process at a time, quiet, nothing started ahead, schedules run by hand only.
    pub fn new(template: impl Into<PathBuf>, bin_dir: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            bin_dir: bin_dir.into(),
            data_dir: None,
            host: None,
            public_url: None,
            port: None,
            workers: 4,
            concurrency: 1,
            clocks_apart: None,
            cache_mb: 256,
            calls: Calls::Watched,
            expiry: true,
            parameters: BTreeMap::new(),
            constraints: Constraints::Enforced,
            starts: Starts::default(),
            environment: BTreeMap::new(),
            log: Log::Quiet,
            on_line: None,
            warm: false,
            schedules: false,
        }
    }

    /// As for people on a machine that has other work to do: functions wait longer for what is beside them on the same
    /// busy processors, and nothing stands between them and the tables and the cache.
    #[must_use]
    pub fn patient(mut self) -> Self {
        let patience = ("PATIENCE".to_owned(), PATIENCE.to_string());
        self.environment.extend([patience]);
        self.calls = Calls::Direct;
        self
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
    /// The same as clients elsewhere reach it, which tokens and addresses of pictures and uploads name.
    pub public: String,
    /// `DynamoDB`.
    pub tables: String,
    /// SQS.
    pub queues: String,
    /// S3, path style.
    pub bucket: String,
    /// Lambda's invoke API. It is at the load balancer's address too, but connections that functions open ahead are
    /// no requests of clients.
    pub functions: String,
    /// The cache, `redis://host:port`, a cluster of one node; `None` if the template has none.
    pub cache: Option<String>,
    /// The region of all of them.
    pub region: String,
}

impl Endpoints {
    /// AWS's services and how one signs in to them, by the names under which the SDKs look for that.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let all = [
            ("AWS_ENDPOINT_URL_DYNAMODB", self.tables.as_str()),
            ("AWS_ENDPOINT_URL_SQS", &self.queues),
            ("AWS_ENDPOINT_URL_S3", &self.bucket),
            ("AWS_ENDPOINT_URL_LAMBDA", &self.functions),
            ("AWS_ACCESS_KEY_ID", crate::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", crate::SECRET_KEY),
            ("AWS_REGION", &self.region),
            ("AWS_DEFAULT_REGION", &self.region),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }
}

/// A running stack. It runs on threads of its own, and everything ends when it is dropped; use
/// [`Stack::stop`] to end in order. Functions and queues go by their names or logical ids.
#[derive(Debug)]
pub struct Stack {
    parts: Arc<Parts>,
    runtime: Option<Runtime>,
    folder: Folder,
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
        let mut threads = Threads(Some(runtime));
        let (parts, folder) = threads
            .run(async move { start::start(&options).await })
            .await??;
        Ok(Self {
            parts,
            runtime: threads.0.take(),
            folder,
        })
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

    /// The load balancer's address for clients elsewhere, without a slash at the end.
    pub fn public_url(&self) -> &str {
        &self.parts.endpoints.public
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

    /// Whether the last stack of this data folder didn't end in order: then the processes of it that still ran, and
    /// were ended.
    pub fn ended_of_killed(&self) -> Option<&[String]> {
        let leftovers = self.folder.leftovers.as_ref()?;
        Some(&leftovers.ended)
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

    /// How long a function's invocations took since the last time this was asked, the last 4,096 of them, in the
    /// order they ended. [`Stack::status`] knows them no more.
    ///
    /// # Errors
    /// There is no such function.
    pub fn take_durations(&self, function: &str) -> Result<Vec<Duration>> {
        self.parts
            .lambda
            .function(function)
            .map(|function| function.take_durations())
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
                    cache.kill().await;
                }
            })
            .await;
        if let Some(runtime) = self.runtime.take() {
            // Waits for threads, which an async caller must not.
            let _ = tokio::task::spawn_blocking(move || {
                runtime.shutdown_timeout(Duration::from_secs(5));
            })
            .await;
        }
    }
}

/// The threads of a stack that starts. Whoever stops waiting for it, drops them without blocking.
struct Threads(Option<Runtime>);

impl Threads {
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let Some(runtime) = &self.0 else {
            return Err(Error::part("stack", "it has stopped"));
        };
        let work = runtime.spawn(work);
        work.await.map_err(|error| Error::part("start", error))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
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
