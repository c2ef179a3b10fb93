//! The parts of a running stack.

use std::sync::Arc;

use tempfile::TempDir;

use super::endpoints::Endpoints;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::faults::Faults;
use crate::lambda::Lambda;
use crate::logs::Logs;
use crate::monitor::Monitor;
use crate::pollers::Poller;
use crate::services::{BucketService, QueueService, TableService};
use crate::sign_in::SignIn;
use crate::template::{LocalValues, Plan, Queue};

/// The parts of a running stack.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) plan: Arc<Plan>,
    pub(super) local: LocalValues,
    pub(super) endpoints: Endpoints,
    pub(super) lambda: Arc<Lambda>,
    pub(super) sign_in: Arc<SignIn>,
    pub(super) tables: TableService,
    pub(super) queues: QueueService,
    pub(super) bucket: Option<BucketService>,
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) pollers: Vec<Arc<Poller>>,
    pub(super) faults: Arc<Faults>,
    pub(super) logs: Arc<Logs>,
    pub(super) monitor: Arc<Monitor>,
    /// The folder for the cache's files and the processes' temporary folders.
    pub(super) _scratch: TempDir,
}

impl Parts {
    /// Finds a queue by its name or logical id.
    pub(super) fn queue(&self, name: &str) -> Result<&Queue> {
        self.plan
            .queue(name)
            .ok_or_else(|| Error::UnknownQueue(name.to_owned()))
    }

    /// Finds the poller of a queue.
    pub(super) fn poller(&self, queue: &str) -> Result<&Arc<Poller>> {
        let queue = self.queue(queue)?;
        self.pollers
            .iter()
            .find(|poller| poller.queue.arn == queue.arn)
            .ok_or_else(|| {
                let problem = format!("no function receives messages from {}", queue.name);
                Error::part("queues", problem)
            })
    }

    pub(super) fn cache(&self) -> Result<&Arc<Cache>> {
        self.cache
            .as_ref()
            .ok_or_else(|| Error::part("cache", "the template has no cache"))
    }
}
