//! One function: its waiting invocations, its processes, and the assignment of one to the other.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};

use super::error::{InvokeError, Outcome};
use super::measurements::{cpu_time, peak_memory_kb};
use super::process::Process;
use super::settings::{ProcessSettings, StartLimits, is_clock_ahead};
use super::state::{Event, FirstStart, InFlight, Instance, Invocation, Next, State};
use crate::ids;
use crate::status::FunctionStatus;
use crate::template;

/// The maximum number of invocations that wait for a process.
const MAX_WAITING: usize = 10_000;

/// One function.
pub(crate) struct Function {
    pub(crate) spec: template::Function,
    binary: PathBuf,
    /// The maximum number of processes.
    limit: usize,
    settings: ProcessSettings,
    state: Mutex<State>,
    wake: Notify,
    first_start: watch::Sender<FirstStart>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.spec.name)
            .finish_non_exhaustive()
    }
}

impl Function {
    pub(super) fn new(
        spec: template::Function,
        binary: PathBuf,
        limit: usize,
        settings: ProcessSettings,
    ) -> Self {
        Self {
            spec,
            binary,
            limit,
            settings,
            state: Mutex::default(),
            wake: Notify::new(),
            first_start: watch::Sender::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arn(&self) -> String {
        let ProcessSettings {
            region, account, ..
        } = &self.settings;
        format!(
            "arn:aws:lambda:{region}:{account}:function:{}",
            self.spec.name
        )
    }

    /// Returns the environment of the function's processes.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        self.settings.environment_of(&self.spec)
    }

    fn warn(&self, message: &str) {
        self.settings.logs.warn(&self.spec.name, message);
    }

    // ---- Starting processes ----

    /// Starts a process if there is none, and waits until the function's first process has started.
    ///
    /// # Errors
    /// Returns the reason why the process didn't start.
    pub(super) async fn warm_up(self: &Arc<Self>) -> Result<(), String> {
        let reserved = {
            let mut state = self.lock();
            state.instances.is_empty().then(|| self.reserve(&mut state))
        };
        if let Some((id, kill)) = reserved {
            self.start_process(id, kill);
        }
        let mut first = self.first_start.subscribe();
        let started = first.wait_for(|first| *first != FirstStart::Pending).await;
        match started.as_deref() {
            Ok(FirstStart::Failed(reason)) => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    /// Starts processes while more invocations wait than the existing processes can take. If clocks are skewed, starts at
    /// least one process with each clock.
    fn scale(self: &Arc<Self>) {
        let least = self.settings.clock_skew.map_or(0, |_| 2);
        loop {
            let (id, kill) = {
                let mut state = self.lock();
                let enough = state.waiting.is_empty() || state.instances.len() >= least;
                let free = state.free_slots(self.settings.concurrency);
                let enough = enough && state.waiting.len() <= free;
                if enough || state.instances.len() >= self.limit {
                    return;
                }
                self.reserve(&mut state)
            };
            self.start_process(id, kill);
        }
    }

    /// Registers a process before it starts, so that the number of processes never exceeds the limit.
    fn reserve(&self, state: &mut State) -> (u32, Arc<Notify>) {
        let ahead = state.instances.keys().filter(|id| is_clock_ahead(**id));
        let ahead = ahead.count().saturating_mul(2) < state.instances.len();
        let mut id = self.settings.new_instance_id();
        while self.settings.clock_skew.is_some() && is_clock_ahead(id) != ahead {
            id = self.settings.new_instance_id();
        }
        let kill = Arc::new(Notify::new());
        let instance = Instance {
            started: Instant::now(),
            ready: false,
            in_flight: HashMap::new(),
            pid: 0,
            kill: Arc::clone(&kill),
            kill_reason: None,
        };
        state.instances.insert(id, instance);
        (id, kill)
    }

    fn start_process(self: &Arc<Self>, id: u32, kill: Arc<Notify>) {
        match Process::spawn(&self.spec, &self.binary, &self.settings, id) {
            Ok(process) => {
                if let Some(instance) = self.lock().instances.get_mut(&id) {
                    instance.pid = process.pid;
                }
                let start_timer = tokio::spawn(Arc::clone(self).time_start(id)).abort_handle();
                let function = Arc::clone(self);
                tokio::spawn(async move {
                    let status = process.run(&kill, &start_timer).await;
                    function.process_ended(id, &status);
                });
            }
            Err(error) => {
                self.lock().instances.remove(&id);
                let problem = format!("can't start {}: {error}", self.binary.display());
                self.warn(&problem);
                self.start_failed(&InvokeError::Init(problem.clone()), &problem);
            }
        }
    }

    /// Warns about a process that takes longer to start than AWS allows, and kills it if it doesn't start at all.
    async fn time_start(self: Arc<Self>, id: u32) {
        let StartLimits {
            warn_after,
            give_up_after,
        } = self.settings.start_limits;
        let started = Instant::now();
        let is_starting = |state: &State| state.instances.get(&id).is_some_and(|one| !one.ready);
        if warn_after < give_up_after {
            tokio::time::sleep(warn_after).await;
            if is_starting(&self.lock()) {
                self.warn(&format!(
                    "took longer than {warn_after:?} to start, which AWS would not wait for; \
                     waiting for up to {give_up_after:?}"
                ));
            }
        }
        tokio::time::sleep(give_up_after.saturating_sub(started.elapsed())).await;
        if let Some(instance) = self.lock().instances.get_mut(&id)
            && !instance.ready
        {
            instance.kill_reason = Some(InvokeError::StartTimedOut(give_up_after));
            instance.kill.notify_one();
        }
    }

    /// Handles a process's failed start. The oldest waiting invocation is left to another process once, and fails the
    /// second time. So a failed start costs at most one invocation, except after a timeout, and a function that never
    /// starts fails all invocations.
    fn start_failed(&self, error: &InvokeError, reason: &str) {
        self.first_start.send_if_modified(|first| {
            let pending = *first == FirstStart::Pending;
            if pending {
                *first = FirstStart::Failed(reason.to_owned());
            }
            pending
        });
        let timed_out = matches!(error, InvokeError::StartTimedOut(_));
        let longest = self.settings.start_limits.give_up_after;
        let mut failed = Vec::new();
        {
            let mut state = self.lock();
            if let Some(oldest) = state.waiting.front_mut() {
                if oldest.retried {
                    failed.extend(state.waiting.pop_front());
                } else {
                    oldest.retried = true;
                }
            }
            // No invocation waits longer than a start may take.
            while timed_out
                && let Some(oldest) = state.waiting.front()
                && oldest.enqueued.elapsed() >= longest
            {
                failed.extend(state.waiting.pop_front());
            }
            for _ in &failed {
                state.measurements.record_invocation(Duration::ZERO, true);
            }
        }
        for invocation in failed {
            // The caller may have stopped waiting.
            let _ = invocation.answer.send(Err(error.clone()));
        }
    }

    /// Records the reason that a process reports for not starting.
    pub(super) fn init_failed(&self, id: u32, reason: String) {
        if let Some(instance) = self.lock().instances.get_mut(&id) {
            instance.kill_reason = Some(InvokeError::Init(reason));
        }
    }

    // ---- Invocations ----

    /// Queues an invocation and makes sure that a process will take it.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        payload: Bytes,
        trace: Option<String>,
        answer: oneshot::Sender<Outcome>,
    ) -> Result<(), InvokeError> {
        {
            let mut state = self.lock();
            if state.waiting.len() >= MAX_WAITING {
                return Err(InvokeError::Throttled);
            }
            let trace = trace.unwrap_or_else(ids::trace);
            state.waiting.push_back(Invocation {
                id: ids::uuid(),
                payload,
                trace,
                answer,
                enqueued: Instant::now(),
                retried: false,
            });
        }
        if self.settings.clock_skew.is_some() {
            self.wake.notify_one();
        } else {
            // As on AWS, the process that finished last is the first to be used again.
            self.wake.notify_last();
        }
        self.scale();
        Ok(())
    }

    /// Waits for a process's next event. Returns `None` if the process has to end.
    pub(super) async fn next(self: &Arc<Self>, instance: u32) -> Option<Event> {
        loop {
            let mut woken = std::pin::pin!(self.wake.notified());
            woken.as_mut().enable();
            match self.assign(instance) {
                Next::Event(event) => return Some(event),
                Next::Wait => woken.await,
                Next::End => {
                    // The wake-up may have announced an event, which another process must then take.
                    self.wake.notify_last();
                    return None;
                }
            }
        }
    }

    fn assign(self: &Arc<Self>, id: u32) -> Next {
        let mut state = self.lock();
        let State {
            waiting,
            instances,
            measurements,
        } = &mut *state;
        let instance = instances.get_mut(&id);
        let Some(instance) = instance.filter(|one| one.kill_reason.is_none()) else {
            return Next::End;
        };
        if !instance.ready {
            instance.ready = true;
            measurements.record_start(instance.started.elapsed());
            self.first_start.send_replace(FirstStart::Done);
        }
        let Some(invocation) = waiting.pop_front() else {
            return Next::Wait;
        };
        let deadline = SystemTime::now() + self.spec.timeout;
        let (function, request) = (Arc::clone(self), invocation.id.clone());
        let timer = tokio::spawn(async move {
            tokio::time::sleep(function.spec.timeout).await;
            function.time_out(id, &request);
        })
        .abort_handle();
        let in_flight = InFlight {
            answer: invocation.answer,
            started: Instant::now(),
            timer,
        };
        instance.in_flight.insert(invocation.id.clone(), in_flight);
        Next::Event(Event {
            id: invocation.id,
            payload: invocation.payload,
            deadline_ms: deadline
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_millis()),
            trace: invocation.trace,
        })
    }

    fn time_out(&self, instance: u32, invocation: &str) {
        let mut state = self.lock();
        if let Some(instance) = state.instances.get_mut(&instance)
            && instance.in_flight.contains_key(invocation)
        {
            instance.kill_reason = Some(InvokeError::TimedOut(self.spec.timeout));
            instance.kill.notify_one();
        }
    }

    /// Accepts a process's answer. Returns false if the process isn't handling this invocation.
    pub(super) fn complete(&self, instance: u32, invocation: &str, outcome: Outcome) -> bool {
        let finished = {
            let mut state = self.lock();
            let Some(instance) = state.instances.get_mut(&instance) else {
                return false;
            };
            // The process counts as idle from here on, since it asks for its next event at once.
            let Some(finished) = instance.in_flight.remove(invocation) else {
                return false;
            };
            state
                .measurements
                .record_invocation(finished.started.elapsed(), outcome.is_err());
            finished
        };
        finished.timer.abort();
        // The caller may have stopped waiting.
        let _ = finished.answer.send(outcome);
        true
    }

    // ---- Ends of processes ----

    /// Kills one process, or all, and fails their invocations. Returns the number of processes killed.
    pub(crate) fn kill(&self, only: Option<u32>, reason: &str) -> usize {
        let mut killed = 0_usize;
        for (id, instance) in &mut self.lock().instances {
            if only.is_none_or(|only| only == *id) {
                instance
                    .kill_reason
                    .get_or_insert_with(|| InvokeError::Crashed(reason.to_owned()));
                instance.kill.notify_one();
                killed = killed.saturating_add(1);
            }
        }
        killed
    }

    /// Fails the invocations of a process that has ended, and starts another process if invocations are waiting.
    fn process_ended(self: &Arc<Self>, id: u32, status: &str) {
        let Some(instance) = self.lock().instances.remove(&id) else {
            return;
        };
        let error = instance.kill_reason.unwrap_or_else(|| {
            if instance.ready {
                InvokeError::Crashed(status.to_owned())
            } else {
                InvokeError::Init(status.to_owned())
            }
        });
        let last_line = self.settings.logs.lines(&self.spec.name).pop();
        for (invocation, failed) in instance.in_flight {
            self.warn(&format!("{error} (request {invocation})"));
            failed.timer.abort();
            let duration = failed.started.elapsed();
            self.lock().measurements.record_invocation(duration, true);
            let _ = failed.answer.send(Err(error.clone()));
        }
        if !instance.ready {
            self.warn(&error.to_string());
            // The last line of output usually names the cause, but not for a timeout.
            let reason = last_line.filter(|_| matches!(error, InvokeError::Init(_)));
            self.start_failed(&error, &reason.unwrap_or_else(|| error.to_string()));
        }
        self.scale();
    }

    // ---- Observation ----

    /// Returns the number of invocations that are running or waiting.
    pub(super) fn running(&self) -> usize {
        self.lock().running()
    }

    /// Returns the number of processes that have asked for an event.
    pub(crate) fn ready(&self) -> usize {
        let state = self.lock();
        state.instances.values().filter(|one| one.ready).count()
    }

    pub(crate) fn take_durations(&self) -> Vec<Duration> {
        self.lock().measurements.take_durations()
    }

    pub(super) fn finished(&self) -> u64 {
        self.lock().measurements.invocations
    }

    /// Returns the process ids with the names of their instances, such as `feed.3`.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let state = self.lock();
        let started = state.instances.iter().filter(|(_, one)| one.pid != 0);
        started
            .map(|(id, one)| (one.pid, format!("{}.{id}", self.spec.name)))
            .collect()
    }

    /// Records the peak memory of the processes, and kills those that exceed the function's limit, as AWS does, though a
    /// moment later. Must be called regularly, because a process's peak is lost when the process ends.
    pub(crate) fn measure_memory(&self) {
        let processes: Vec<_> = self
            .lock()
            .instances
            .iter()
            .map(|(id, one)| (*id, one.pid))
            .collect();
        for (id, pid) in processes {
            let Some(kb) = peak_memory_kb(pid) else {
                continue;
            };
            self.lock().measurements.record_memory(kb);
            let limit_kb = self.spec.memory_mb.saturating_mul(1024);
            if kb > limit_kb {
                self.kill(
                    Some(id),
                    &format!("out of memory: {kb} kB of {limit_kb} kB"),
                );
            }
        }
    }

    pub(crate) fn status(&self) -> FunctionStatus {
        self.measure_memory();
        let cpu_time: Duration = self.processes().iter().map(|(pid, _)| cpu_time(*pid)).sum();
        let state = self.lock();
        let kilobytes = u32::try_from(state.measurements.peak_memory_kb).unwrap_or(u32::MAX);
        let peak_mb = f64::from(kilobytes) / 1024.0;
        FunctionStatus {
            invocations: state.measurements.invocations,
            errors: state.measurements.errors,
            duration_ms: state.measurements.invocation_durations(),
            init_ms: state.measurements.start_durations(),
            processes: state.instances.len(),
            running: state.running(),
            cpu_ms: cpu_time.as_secs_f64() * 1000.0,
            peak_memory_mb: (peak_mb * 10.0).round() / 10.0,
            memory_limit_mb: self.spec.memory_mb,
        }
    }
}
