//! Lambda, as far as a function can tell: processes that poll the runtime API for one event at a time.
//!
//! As many processes are started as load asks for, up to a limit; idle ones stay. An invocation is
//! answered by the function, or as failed when its process exits or its time is over, which kills
//! the process. A process that went away is started again when the next invocation needs it.

mod function;
mod measurements;
mod process;
mod runtime_api;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::children::Guard;
use crate::error::{Error, Result};
use crate::logs::Logs;
use crate::template::Plan;

pub(crate) use function::Function;
pub(crate) use runtime_api::handle;

/// Why an invocation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The function answered with an error, or panicked and said so.
    #[error("the function failed: {0}")]
    Function(String),
    /// The process ended before it answered.
    #[error("the function's process ended: {0}")]
    Crashed(String),
    /// The function took longer than it may, and was killed.
    #[error("the function timed out after {0:?}")]
    TimedOut(Duration),
    /// The process ended before it asked for its first event.
    #[error("the function's process didn't start: {0}")]
    Init(String),
    /// The process took longer than even the local stack waits, before it asked for its first event.
    #[error("the function's process didn't start within {0:?}")]
    StartTimedOut(Duration),
    /// The answer was larger than Lambda takes.
    #[error("the function's answer is too large: {0} bytes")]
    TooLarge(usize),
    /// More invocations wait than the stack holds.
    #[error("too many invocations wait for the function")]
    Throttled,
    /// There is no such function.
    #[error("there is no function {0}")]
    Unknown(String),
}

/// What an invocation came to.
pub(crate) type Outcome = std::result::Result<Bytes, InvokeError>;

/// The time a process may take to ask for its first event. A laptop with other work to do is not AWS, which gives a
/// function that starts a processor of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Starts {
    /// From when on a warning says that AWS would have given up.
    pub slow: Duration,
    /// When it is given up here.
    pub most: Duration,
}

impl Default for Starts {
    fn default() -> Self {
        Self {
            slow: Duration::from_secs(10),
            most: Duration::from_mins(1),
        }
    }
}

/// All functions of the stack.
#[derive(Debug)]
pub(crate) struct Lambda {
    functions: BTreeMap<String, Arc<Function>>,
    aliases: BTreeMap<String, String>,
}

/// What processes are started with, the same for all functions.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// Host and port of the runtime API.
    pub(crate) runtime_api: String,
    pub(crate) region: String,
    pub(crate) account: String,
    /// The number of events a process works on at a time.
    pub(crate) concurrency: usize,
    pub(crate) starts: Starts,
    /// How far the clock of every other process is ahead.
    pub(crate) clocks_apart: Option<Duration>,
    /// Where AWS's services are and how one signs in, by the names the SDKs read, and where the model is.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) next_instance: Arc<AtomicU32>,
    /// Where processes have their temporary folders, each its own as on AWS.
    pub(crate) temporary: PathBuf,
}

impl Lambda {
    /// Takes the plan's functions. Processes start when they are needed.
    pub(crate) fn new(
        plan: &Plan,
        binaries: &Path,
        workers: usize,
        surroundings: &Surroundings,
    ) -> Result<Self> {
        let mut functions = BTreeMap::new();
        let mut aliases = BTreeMap::new();
        for (name, spec) in &plan.functions {
            let path = binaries.join(&spec.binary);
            if !path.is_file() {
                return Err(Error::MissingBinary {
                    function: name.clone(),
                    path,
                });
            }
            let limit = spec
                .reserved_concurrency
                .unwrap_or(workers)
                .min(workers)
                .max(1);
            functions.insert(
                name.clone(),
                Arc::new(Function::new(
                    spec.clone(),
                    path,
                    limit,
                    surroundings.clone(),
                )),
            );
            aliases.insert(spec.logical_id.clone(), name.clone());
        }
        Ok(Self { functions, aliases })
    }

    /// A function by its name or logical id.
    pub(crate) fn function(&self, name: &str) -> Result<&Arc<Function>> {
        self.functions
            .get(name)
            .or_else(|| self.functions.get(self.aliases.get(name)?))
            .ok_or_else(|| Error::UnknownFunction(name.to_owned()))
    }

    /// All functions, by name.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }

    /// Starts one process of each function, so that first requests don't wait for it, a few at a time, so that they
    /// don't keep each other waiting.
    ///
    /// # Errors
    /// Functions whose process didn't start, and why.
    pub(crate) async fn warm_up(&self) -> Result<()> {
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let slots = Arc::new(Semaphore::new(at_once.saturating_mul(2)));
        let mut starts = JoinSet::new();
        for (name, function) in &self.functions {
            let (name, function, slots) = (name.clone(), Arc::clone(function), Arc::clone(&slots));
            starts.spawn(async move {
                let _slot = slots.acquire().await;
                function.warm_up().await.map_err(|why| (name, why))
            });
        }
        let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, why) in starts.join_all().await.into_iter().filter_map(Result::err) {
            failed.entry(why).or_default().push(name);
        }
        if failed.is_empty() {
            return Ok(());
        }
        let mut problems: Vec<String> = failed
            .into_iter()
            .map(|(why, mut names)| {
                names.sort_unstable();
                format!("{}: {why}", names.join(", "))
            })
            .collect();
        problems.sort_unstable();
        Err(Error::NotStarting(problems.join("\n  ")))
    }

    /// Invokes a function. The invocation goes on when the caller goes away.
    pub(crate) async fn invoke(
        &self,
        name: &str,
        payload: Bytes,
        trace: Option<String>,
    ) -> Outcome {
        let function = self
            .function(name)
            .map_err(|_| InvokeError::Unknown(name.to_owned()))?;
        let (sender, answer) = oneshot::channel();
        function.enqueue(payload, trace, sender)?;
        answer
            .await
            .unwrap_or_else(|_| Err(InvokeError::Crashed("the stack stopped".to_owned())))
    }

    /// Invocations that run or wait.
    pub(crate) fn running(&self) -> usize {
        self.functions
            .values()
            .map(|function| function.running())
            .sum()
    }

    /// Invocations so far, of all functions.
    pub(crate) fn finished(&self) -> u64 {
        self.functions
            .values()
            .map(|function| function.finished())
            .sum()
    }

    /// The process of an instance such as `post-write.7`.
    pub(crate) fn kill_instance(&self, caller: &str) {
        if let Some((name, id)) = caller.rsplit_once('.')
            && let (Some(function), Ok(id)) = (self.functions.get(name), id.parse())
        {
            function.kill(Some(id), "killed by a fault");
        }
    }

    /// The instance that a process id belongs to.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        self.functions
            .values()
            .flat_map(|function| function.processes())
            .collect()
    }
}

/// Whether the clock of that process is ahead, where clocks differ.
const fn is_ahead(instance: u32) -> bool {
    !instance.is_multiple_of(2)
}

impl Surroundings {
    fn instance(&self) -> u32 {
        self.next_instance.fetch_add(1, Ordering::Relaxed)
    }
}
