//! All functions of a stack.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::error::{InvokeError, Outcome};
use super::function::Function;
use super::settings::ProcessSettings;
use crate::error::{Error, Result};
use crate::template::Plan;

/// The functions of a stack, by name and by logical id.
#[derive(Debug)]
pub(crate) struct Lambda {
    functions: BTreeMap<String, Arc<Function>>,
    names_by_logical_id: BTreeMap<String, String>,
}

impl Lambda {
    /// Creates the plan's functions. Their processes start when they are needed.
    pub(crate) fn new(
        plan: &Plan,
        binaries: &Path,
        workers: usize,
        settings: &ProcessSettings,
    ) -> Result<Self> {
        let mut functions = BTreeMap::new();
        let mut names_by_logical_id = BTreeMap::new();
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
                Arc::new(Function::new(spec.clone(), path, limit, settings.clone())),
            );
            names_by_logical_id.insert(spec.logical_id.clone(), name.clone());
        }
        Ok(Self {
            functions,
            names_by_logical_id,
        })
    }

    /// Finds a function by its name or logical id.
    pub(crate) fn function(&self, name: &str) -> Result<&Arc<Function>> {
        self.functions
            .get(name)
            .or_else(|| self.functions.get(self.names_by_logical_id.get(name)?))
            .ok_or_else(|| Error::UnknownFunction(name.to_owned()))
    }

    /// Returns all functions, ordered by name.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }

    /// Starts one process of each function, so that first requests don't wait for a start. Only a few processes start at
    /// a time, so that they don't slow each other down.
    ///
    /// # Errors
    /// Names the functions whose process didn't start, each with the reason.
    pub(crate) async fn warm_up(&self) -> Result<()> {
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let slots = Arc::new(Semaphore::new(at_once.saturating_mul(2)));
        let mut starts = JoinSet::new();
        for (name, function) in &self.functions {
            let (name, function, slots) = (name.clone(), Arc::clone(function), Arc::clone(&slots));
            starts.spawn(async move {
                let _slot = slots.acquire().await;
                function.warm_up().await.map_err(|reason| (name, reason))
            });
        }
        let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, reason) in starts.join_all().await.into_iter().filter_map(Result::err) {
            failed.entry(reason).or_default().push(name);
        }
        if failed.is_empty() {
            return Ok(());
        }
        let mut problems: Vec<String> = failed
            .into_iter()
            .map(|(reason, mut names)| {
                names.sort_unstable();
                format!("{}: {reason}", names.join(", "))
            })
            .collect();
        problems.sort_unstable();
        Err(Error::NotStarting(problems.join("\n  ")))
    }

    /// Invokes a function. The invocation continues even if the caller stops waiting.
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

    /// Returns the number of invocations that are running or waiting.
    pub(crate) fn running(&self) -> usize {
        self.functions
            .values()
            .map(|function| function.running())
            .sum()
    }

    /// Returns the number of invocations that have finished since the start.
    pub(crate) fn finished(&self) -> u64 {
        self.functions
            .values()
            .map(|function| function.finished())
            .sum()
    }

    /// Kills an instance by its name, such as `post-write.7`.
    pub(crate) fn kill_instance(&self, instance: &str) {
        if let Some((name, id)) = instance.rsplit_once('.')
            && let (Some(function), Ok(id)) = (self.functions.get(name), id.parse())
        {
            function.kill(Some(id), "killed by a fault");
        }
    }

    /// Returns the process ids with the names of their instances.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        self.functions
            .values()
            .flat_map(|function| function.processes())
            .collect()
    }
}
