//! The state of a function: waiting invocations, processes, and the invocations that each process is handling.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::error::{InvokeError, Outcome};
use super::measurements::Measurements;

/// An invocation that waits for a process.
pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) trace: String,
    pub(super) answer: oneshot::Sender<Outcome>,
    pub(super) enqueued: Instant,
    /// Whether a process failed to start while this invocation was the oldest waiting one.
    pub(super) retried: bool,
}

/// An invocation that a process is handling.
pub(super) struct InFlight {
    pub(super) answer: oneshot::Sender<Outcome>,
    pub(super) started: Instant,
    pub(super) timer: AbortHandle,
}

/// One process.
pub(super) struct Instance {
    pub(super) started: Instant,
    /// Whether the process has asked for its first event.
    pub(super) ready: bool,
    /// The invocations in flight by their ids.
    pub(super) in_flight: HashMap<String, InFlight>,
    pub(super) pid: u32,
    pub(super) kill: Arc<Notify>,
    /// The reason why the process is being killed, with which its invocations fail.
    pub(super) kill_reason: Option<InvokeError>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) waiting: VecDeque<Invocation>,
    pub(super) instances: HashMap<u32, Instance>,
    pub(super) measurements: Measurements,
}

impl State {
    /// Returns the number of invocations that are running or waiting.
    pub(super) fn running(&self) -> usize {
        let in_flight = self.instances.values().map(|one| one.in_flight.len());
        self.waiting.len().saturating_add(in_flight.sum())
    }

    /// Returns the number of events that the processes can take now, at `concurrency` events each.
    pub(super) fn free_slots(&self, concurrency: usize) -> usize {
        let instances = self.instances.values();
        instances
            .map(|one| concurrency.saturating_sub(one.in_flight.len()))
            .sum()
    }
}

/// An event handed to a process.
pub(super) struct Event {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) deadline_ms: u128,
    pub(super) trace: String,
}

/// The outcome of the first start of one of a function's processes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum FirstStart {
    #[default]
    Pending,
    /// The process asked for an event.
    Done,
    /// The process didn't start, for this reason.
    Failed(String),
}

/// The answer to a process that asks for its next event.
pub(super) enum Next {
    Event(Event),
    /// Nothing is waiting.
    Wait,
    /// The process has to end.
    End,
}
