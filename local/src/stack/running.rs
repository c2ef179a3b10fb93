//! A running stack, and the ways in which tests and demos use it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::data_folder::DataFolder;
use super::endpoints::Endpoints;
use super::options::Options;
use super::parts::Parts;
use super::start::start;
use crate::children::signal;
use crate::error::{Error, Result};
use crate::lambda::InvokeError;
use crate::schedules;
use crate::sign_in::SignIn;
use crate::status::Status;
use crate::template::Plan;

/// The maximum time to wait for the stack's threads to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running stack, on its own threads. Dropping it ends it abruptly; [`Stack::stop`] ends it cleanly. Methods take the
/// names or the logical ids of functions and queues.
#[derive(Debug)]
pub struct Stack {
    pub(super) parts: Parts,
    runtime: Option<Runtime>,
    data: DataFolder,
}

impl Stack {
    /// Starts a stack.
    ///
    /// # Errors
    /// Fails if the template is invalid, the port is taken, a binary or the cache's server is missing, or a part of the
    /// stack doesn't start. The error says how to solve the problem.
    pub async fn start(options: Options) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("stack")
            .enable_all()
            .build()
            .map_err(Error::io("can't start threads"))?;
        let mut threads = Threads(Some(runtime));
        let (parts, data) = threads.run(async move { start(&options).await }).await??;
        Ok(Self {
            parts,
            runtime: threads.0.take(),
            data,
        })
    }

    /// Runs work on the stack's own threads, so that it doesn't depend on the caller's runtime.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
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

    /// Returns the load balancer's URL, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.parts.endpoints.url
    }

    /// Returns the load balancer's URL for clients elsewhere, without a trailing slash.
    pub fn public_url(&self) -> &str {
        &self.parts.endpoints.public
    }

    /// Returns the endpoints of all parts.
    pub fn endpoints(&self) -> &Endpoints {
        &self.parts.endpoints
    }

    /// Returns the evaluated template.
    pub fn plan(&self) -> &Plan {
        &self.parts.plan
    }

    /// Issues a valid token for this user.
    ///
    /// # Errors
    /// Fails if signing fails.
    pub fn token(&self, user: &str) -> Result<String> {
        self.parts.sign_in.token(user)
    }

    /// Returns the sign-in, which can issue any other token.
    pub fn sign_in(&self) -> &SignIn {
        &self.parts.sign_in
    }

    /// Returns the environment of a function's processes, from the template and the stack.
    ///
    /// # Errors
    /// Fails if there is no such function.
    pub fn environment(&self, function: &str) -> Result<BTreeMap<String, String>> {
        self.parts
            .lambda
            .function(function)
            .map(|function| function.environment())
    }

    /// Finds a table's name by its logical id.
    pub fn table_name(&self, logical_id: &str) -> Option<&str> {
        let mut tables = self.parts.plan.tables.iter();
        tables
            .find(|table| table.logical_id == logical_id)
            .map(|table| table.name.as_str())
    }

    /// Returns a queue's URL.
    ///
    /// # Errors
    /// Fails if there is no such queue.
    pub fn queue_url(&self, queue: &str) -> Result<&str> {
        self.parts.queue(queue).map(|queue| queue.url.as_str())
    }

    /// Finds a bucket's name by its logical id.
    pub fn bucket_name(&self, logical_id: &str) -> Option<&str> {
        let mut buckets = self.parts.plan.buckets.iter();
        buckets
            .find(|bucket| bucket.logical_id == logical_id)
            .map(|bucket| bucket.name.as_str())
    }

    /// Invokes a function with an event and returns its answer, without retries.
    ///
    /// # Errors
    /// Fails with any kind of [`InvokeError`].
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Bytes, InvokeError> {
        let (lambda, function, payload) = (
            Arc::clone(&self.parts.lambda),
            function.to_owned(),
            Bytes::from(event.to_string()),
        );
        self.run(async move { lambda.invoke(&function, payload, None).await })
            .await
            .map_err(|error| InvokeError::Crashed(error.to_string()))?
    }

    /// Runs a function's schedules once, with the events that AWS would send.
    ///
    /// # Errors
    /// Fails with any kind of [`InvokeError`].
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

    /// Waits until every queue is empty, with no messages in flight, and no request or invocation is running. Dead
    /// letters don't count. Returns false if the timeout passes first.
    pub async fn drain(&self, timeout: Duration) -> bool {
        let monitor = Arc::clone(&self.parts.monitor);
        self.run(async move { monitor.drain(timeout).await })
            .await
            .unwrap_or(false)
    }

    /// Returns the programs of the leftover processes that were killed at the start, if the last stack on this data
    /// folder was killed; otherwise `None`.
    pub fn killed_leftovers(&self) -> Option<&[String]> {
        let leftovers = self.data.leftovers()?;
        Some(&leftovers.killed)
    }

    /// Returns the status of all functions and queues.
    ///
    /// # Errors
    /// Fails if the stack has stopped.
    pub async fn status(&self) -> Result<Status> {
        let monitor = Arc::clone(&self.parts.monitor);
        self.run(async move { monitor.status().await }).await
    }

    /// Returns the last lines of a function's output, oldest first, at most 2,000.
    ///
    /// # Errors
    /// Fails if there is no such function.
    pub fn logs(&self, function: &str) -> Result<Vec<String>> {
        self.parts
            .lambda
            .function(function)
            .map(|function| self.parts.logs.lines(&function.spec.name))
    }

    /// Returns the durations of a function's invocations since the last call of this method, in the order in which they
    /// ended, at most the last 4,096. [`Stack::status`] no longer counts them.
    ///
    /// # Errors
    /// Fails if there is no such function.
    pub fn take_durations(&self, function: &str) -> Result<Vec<Duration>> {
        self.parts
            .lambda
            .function(function)
            .map(|function| function.take_durations())
    }

    /// Stops the stack. Messages are kept only in memory and are lost, unless [`Stack::drain`] delivers them first.
    pub async fn stop(mut self) {
        let (lambda, cache) = (Arc::clone(&self.parts.lambda), self.parts.cache.clone());
        let _ = self
            .run(async move {
                for function in lambda.functions() {
                    function.kill(None, "the stack stopped");
                }
                if let Some(cache) = cache {
                    cache.kill().await;
                }
            })
            .await;
        if let Some(runtime) = self.runtime.take() {
            // The shutdown blocks, which async code must not.
            let _ = tokio::task::spawn_blocking(move || {
                runtime.shutdown_timeout(STOP_TIMEOUT);
            })
            .await;
        }
    }
}

/// The threads of a starting stack. If the caller stops waiting, they are dropped without blocking.
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
            signal(pid, Signal::KILL);
        }
        if let Some(cache) = &self.parts.cache {
            cache.kill_now();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
