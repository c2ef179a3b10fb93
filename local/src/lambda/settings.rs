//! The settings that the processes of all functions share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::children::Guard;
use crate::logs::Logs;
use crate::template;

/// Limits on the time from a process's start until it asks for its first event. They are more generous than on AWS,
/// which gives a starting function a processor of its own; a busy laptop can't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartLimits {
    /// The time after which a warning says that AWS would have given up.
    pub warn_after: Duration,
    /// The time after which the local stack gives up.
    pub give_up_after: Duration,
}

impl Default for StartLimits {
    fn default() -> Self {
        Self {
            warn_after: Duration::from_secs(10),
            give_up_after: Duration::from_mins(1),
        }
    }
}

/// The settings with which every process starts.
#[derive(Debug, Clone)]
pub(crate) struct ProcessSettings {
    /// Host and port of the runtime API.
    pub(crate) runtime_api: String,
    pub(crate) region: String,
    pub(crate) account: String,
    /// The number of events that a process handles at a time.
    pub(crate) concurrency: usize,
    pub(crate) start_limits: StartLimits,
    /// The time by which every second process's clock is ahead.
    pub(crate) clock_skew: Option<Duration>,
    /// Variables that the stack adds to those of the template: endpoints, credentials and the model's folder.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) next_instance: Arc<AtomicU32>,
    /// The folder in which each process gets a temporary folder of its own, as on AWS.
    pub(crate) temporary: PathBuf,
}

impl ProcessSettings {
    pub(super) fn new_instance_id(&self) -> u32 {
        self.next_instance.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the environment of a function. The stack's variables override the template's.
    pub(super) fn environment_of(&self, function: &template::Function) -> BTreeMap<String, String> {
        let mut environment = function.environment.clone();
        environment.extend(self.environment.clone());
        environment
    }
}

/// Returns whether the clock of this process is ahead, in a stack whose clocks are skewed.
pub(super) const fn is_clock_ahead(instance: u32) -> bool {
    !instance.is_multiple_of(2)
}
