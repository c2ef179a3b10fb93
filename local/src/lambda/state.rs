//! What a function keeps track of: who waits, which processes there are, who works on what.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::measurements::Measurements;
use super::{InvokeError, Outcome};

/// An invocation that waits for a process.
pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) trace: String,
    pub(super) answer: oneshot::Sender<Outcome>,
    /// Since when it waits.
    pub(super) since: Instant,
    /// Whether a process that was to take it didn't start.
    pub(super) retried: bool,
}

/// An invocation that a process works on.
pub(super) struct InFlight {
    pub(super) answer: oneshot::Sender<Outcome>,
    pub(super) started: Instant,
    pub(super) timer: AbortHandle,
}

/// One process.
pub(super) struct Instance {
    /// When it was started.
    pub(super) started: Instant,
    /// Whether it has asked for its first event.
    pub(super) ready: bool,
    /// What it works on, by the invocations' ids.
    pub(super) work: HashMap<String, InFlight>,
    pub(super) pid: u32,
    pub(super) kill: Arc<Notify>,
    /// Set when it is being killed: why.
    pub(super) doom: Option<InvokeError>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) waiting: VecDeque<Invocation>,
    pub(super) instances: HashMap<u32, Instance>,
    pub(super) measured: Measurements,
}

/// What a process gets when it asks for the next event.
pub(super) struct Assigned {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) deadline_ms: u128,
    pub(super) trace: String,
}

/// A snapshot for the status page.
pub(crate) struct FunctionStatus {
    pub(crate) invocations: u64,
    pub(crate) errors: u64,
    pub(crate) percentiles: [f64; 4],
    pub(crate) init: [f64; 4],
    pub(crate) processes: usize,
    pub(crate) running: usize,
    pub(crate) peak_memory_kb: u64,
    pub(crate) cpu: Duration,
}

/// How the first process of a function started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum FirstStart {
    /// It hasn't yet.
    #[default]
    Pending,
    /// It asked for an event.
    Done,
    /// It didn't, and why.
    Failed(String),
}

/// What a process that asks for the next event gets.
pub(super) enum Next {
    /// An event.
    Event(Assigned),
    /// Nothing yet.
    Wait,
    /// It is to end.
    End,
}
