//! The options with which a stack starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::lambda::StartLimits;
use crate::logs::{Log, OnLine};

/// The factor by which [`Options::patient`] lengthens the functions' timeouts for calls.
const PATIENCE_FACTOR: u32 = 5;

/// The route of the functions' calls to the tables and the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Calls are intercepted, so that they are recorded and faults can be injected.
    Watched,
    /// Calls go straight to the service, so that measurements don't include the interceptor, which AWS doesn't have.
    Direct,
}

/// Whether parameters must satisfy the template's constraints and rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraints {
    /// They must, as on AWS.
    Enforced,
    /// They needn't: tests use shorter times than a deployment may.
    Waived,
}

/// The options of a stack.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template's file.
    pub template: PathBuf,
    /// The folder with the functions' binaries.
    pub bin_dir: PathBuf,
    /// The folder that keeps the data; `None` keeps none.
    pub data_dir: Option<PathBuf>,
    /// The address or name of this machine on which the load balancer listens; `None` for 127.0.0.1.
    pub host: Option<String>,
    /// The URL by which clients reach the load balancer, if it differs from host and port.
    pub public_url: Option<String>,
    /// The load balancer's port; `None` for a free one.
    pub port: Option<u16>,
    /// The maximum number of processes per function, and of concurrent batches per queue.
    pub workers: usize,
    /// The number of events that a process handles at a time: one, as on Lambda, or more, as on its managed instances
    /// (`AWS_LAMBDA_MAX_CONCURRENCY`).
    pub concurrency: usize,
    /// The time by which every second process's clock is ahead, for functions built with `shifted-clock`. From its first
    /// event on, each function then has at least two processes that take turns, if its limit allows.
    pub clock_skew: Option<Duration>,
    /// The cache's memory in MB, beyond which the cache evicts the least recently used of the keys that have a TTL.
    pub cache_mb: u32,
    /// The route of the functions' calls to the tables and the cache.
    pub calls: Calls,
    /// Whether expired items are removed at intervals, which reads every row of the tables with TTL.
    pub expiry: bool,
    /// Values of the template's parameters, which override its defaults and the stack's own values.
    pub parameters: BTreeMap<String, String>,
    /// Whether parameters must satisfy the template's constraints and rules.
    pub constraints: Constraints,
    /// Limits on the start of the functions' processes.
    pub start_limits: StartLimits,
    /// Additional variables for the functions' environment.
    pub environment: BTreeMap<String, String>,
    /// The destination of the functions' output.
    pub log: Log,
    /// A callback for each line of the functions' output.
    pub on_line: Option<OnLine>,
    /// Whether each function starts a process before the stack is up, so that first requests don't wait. If set, a
    /// function that doesn't start is an error.
    pub warm: bool,
    /// Whether schedules run by the clock; see also [`Stack::run_schedule`](crate::Stack::run_schedule).
    pub schedules: bool,
}

impl Options {
    /// Returns the options of a quiet stack on free ports that keeps no data. The stack allows four processes per
    /// function, each with one event at a time, starts none in advance, and runs schedules only on request.
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
            clock_skew: None,
            cache_mb: 256,
            calls: Calls::Watched,
            expiry: true,
            parameters: BTreeMap::new(),
            constraints: Constraints::Enforced,
            start_limits: StartLimits::default(),
            environment: BTreeMap::new(),
            log: Log::Quiet,
            on_line: None,
            warm: false,
            schedules: false,
        }
    }

    /// Adapts the options to a busy machine: functions wait longer for their services, which share the processors with
    /// them, and call the tables and the cache directly.
    #[must_use]
    pub fn patient(mut self) -> Self {
        let patience = ("PATIENCE".to_owned(), PATIENCE_FACTOR.to_string());
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

    /// Returns the host on which the load balancer listens.
    pub(super) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("127.0.0.1")
    }
}
