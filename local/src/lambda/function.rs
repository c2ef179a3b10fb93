//! One function: its waiting invocations, its processes, and who works on what.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};

use super::measurements::{cpu_time, peak_memory_kb};
use super::state::{
    Assigned, FirstStart, FunctionStatus, InFlight, Instance, Invocation, Next, State,
};
use super::{InvokeError, Outcome, Starts, Surroundings};
use crate::ids;
use crate::template;

/// The most invocations that wait for a process.
const MAX_WAITING: usize = 10_000;

/// One function.
pub(crate) struct Function {
    pub(crate) spec: template::Function,
    pub(super) binary: PathBuf,
    limit: usize,
    pub(super) surroundings: Surroundings,
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
        surroundings: Surroundings,
    ) -> Self {
        let state = Mutex::new(State::default());
        Self {
            spec,
            binary,
            limit,
            surroundings,
            state,
            wake: Notify::new(),
            first_start: watch::Sender::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arn(&self) -> String {
        let Surroundings {
            region, account, ..
        } = &self.surroundings;
        format!(
            "arn:aws:lambda:{region}:{account}:function:{}",
            self.spec.name
        )
    }

    /// The environment that the template and the stack give the function; where both do, the stack's holds.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.spec.environment.clone();
        environment.extend(self.surroundings.environment.clone());
        environment
    }

    /// Starts a process if there is none, and waits until the first has started.
    ///
    /// # Errors
    /// It didn't start: why.
    pub(super) async fn warm_up(self: &Arc<Self>) -> Result<(), String> {
        self.start_first();
        let mut first = self.first_start.subscribe();
        let started = first.wait_for(|first| *first != FirstStart::Pending).await;
        match started.as_deref() {
            Ok(FirstStart::Failed(why)) => Err(why.clone()),
            _ => Ok(()),
        }
    }

    fn start_first(self: &Arc<Self>) {
        let reserved = {
            let mut state = self.lock();
            state.instances.is_empty().then(|| self.reserve(&mut state))
        };
        if let Some((id, kill)) = reserved {
            self.start_process(id, kill);
        }
    }

    /// Puts an invocation in line and sees to it that there is a process for it.
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
                since: Instant::now(),
                retried: false,
            });
        }
        if self.surroundings.clocks_apart.is_some() {
            self.wake.notify_one();
        } else {
            // Whoever worked last is asked first, as on AWS: idle processes don't take turns.
            self.wake.notify_last();
        }
        self.scale();
        Ok(())
    }

    /// Starts processes while more invocations wait than processes are about to take one, and one with each clock,
    /// where clocks differ.
    fn scale(self: &Arc<Self>) {
        let least = self.surroundings.clocks_apart.map_or(0, |_| 2);
        loop {
            let (id, kill) = {
                let mut state = self.lock();
                let at_a_time = self.surroundings.concurrency;
                let instances = state.instances.values();
                let room: usize = instances
                    .map(|one| at_a_time.saturating_sub(one.work.len()))
                    .sum();
                let enough = state.waiting.is_empty() || state.instances.len() >= least;
                let enough = enough && state.waiting.len() <= room;
                if enough || state.instances.len() >= self.limit {
                    return;
                }
                self.reserve(&mut state)
            };
            self.start_process(id, kill);
        }
    }

    /// Makes room for a process before it is started, so that there are never more than the limit.
    fn reserve(&self, state: &mut State) -> (u32, Arc<Notify>) {
        let ahead = state.instances.keys().filter(|id| super::is_ahead(**id));
        let ahead = ahead.count().saturating_mul(2) < state.instances.len();
        let mut id = self.surroundings.instance();
        while self.surroundings.clocks_apart.is_some() && super::is_ahead(id) != ahead {
            id = self.surroundings.instance();
        }
        let kill = Arc::new(Notify::new());
        let instance = Instance {
            started: Instant::now(),
            ready: false,
            work: HashMap::new(),
            pid: 0,
            kill: Arc::clone(&kill),
            doom: None,
        };
        state.instances.insert(id, instance);
        (id, kill)
    }

    fn start_process(self: &Arc<Self>, id: u32, kill: Arc<Notify>) {
        match super::process::spawn(self, id) {
            Ok(started) => {
                if let Some(instance) = self.lock().instances.get_mut(&id) {
                    instance.pid = started.pid;
                }
                super::process::supervise(Arc::clone(self), id, started, kill);
            }
            Err(error) => {
                self.lock().instances.remove(&id);
                let problem = format!("can't start {}: {error}", self.binary.display());
                self.surroundings.logs.warn(&self.spec.name, &problem);
                self.start_failed(&InvokeError::Init(problem.clone()), &problem);
            }
        }
    }

    /// A process didn't start. What was never sent to one is tried with another, once, unless it has waited for as long
    /// as a start may take; so each failed start costs at most one other invocation, and a function that never starts ends.
    fn start_failed(&self, error: &InvokeError, why: &str) {
        self.first_start.send_if_modified(|first| {
            let pending = *first == FirstStart::Pending;
            if pending {
                *first = FirstStart::Failed(why.to_owned());
            }
            pending
        });
        let timed_out = matches!(error, InvokeError::StartTimedOut(_));
        let most = self.surroundings.starts.most;
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
            // Nobody waits for longer than a start may take.
            while timed_out
                && let Some(oldest) = state.waiting.front()
                && oldest.since.elapsed() >= most
            {
                failed.extend(state.waiting.pop_front());
            }
            for _ in &failed {
                state.measured.finished(Duration::ZERO, true);
            }
        }
        for invocation in failed {
            // Whoever asked may be gone.
            let _ = invocation.answer.send(Err(error.clone()));
        }
    }

    /// Waits for an event for this process; `None` for a process that is to end.
    pub(super) async fn next(self: &Arc<Self>, instance: u32) -> Option<Assigned> {
        loop {
            let mut woken = std::pin::pin!(self.wake.notified());
            woken.as_mut().enable();
            match self.assign(instance) {
                Next::Event(assigned) => return Some(assigned),
                Next::Wait => woken.await,
                Next::End => {
                    // It may have been woken for an event: then another is.
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
            measured,
        } = &mut *state;
        let Some(instance) = instances.get_mut(&id).filter(|one| one.doom.is_none()) else {
            return Next::End;
        };
        if !instance.ready {
            instance.ready = true;
            measured.initialised(instance.started.elapsed());
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
        let work = InFlight {
            answer: invocation.answer,
            started: Instant::now(),
            timer,
        };
        instance.work.insert(invocation.id.clone(), work);
        Next::Event(Assigned {
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
            && instance.work.contains_key(invocation)
        {
            instance.doom = Some(InvokeError::TimedOut(self.spec.timeout));
            instance.kill.notify_one();
        }
    }

    /// Takes a process's answer; false if that process isn't working on this invocation.
    pub(super) fn complete(&self, instance: u32, invocation: &str, outcome: Outcome) -> bool {
        let work = {
            let mut state = self.lock();
            let Some(instance) = state.instances.get_mut(&instance) else {
                return false;
            };
            // It counts as idle from here, since it asks for the next event at once.
            let Some(work) = instance.work.remove(invocation) else {
                return false;
            };
            state
                .measured
                .finished(work.started.elapsed(), outcome.is_err());
            work
        };
        work.timer.abort();
        // Whoever asked may be gone.
        let _ = work.answer.send(outcome);
        true
    }

    /// Kills one process, or all; what they work on fails.
    pub(crate) fn kill(&self, only: Option<u32>, why: &str) -> usize {
        let mut killed = 0_usize;
        for (id, instance) in &mut self.lock().instances {
            if only.is_none_or(|only| only == *id) {
                instance
                    .doom
                    .get_or_insert_with(|| InvokeError::Crashed(why.to_owned()));
                instance.kill.notify_one();
                killed = killed.saturating_add(1);
            }
        }
        killed
    }

    /// A process takes longer to start than it may on AWS: said, and waited for.
    pub(super) fn init_is_slow(&self, id: u32) {
        let starting = self.lock().instances.get(&id).is_some_and(|one| !one.ready);
        if starting {
            let Starts { slow, most } = self.surroundings.starts;
            let slow = format!(
                "took longer than {slow:?} to start, which AWS would not wait for; waiting for up to {most:?}"
            );
            self.surroundings.logs.warn(&self.spec.name, &slow);
        }
    }

    /// A process took too long to start.
    pub(super) fn init_timed_out(&self, id: u32) {
        let mut state = self.lock();
        if let Some(instance) = state.instances.get_mut(&id)
            && !instance.ready
        {
            let most = self.surroundings.starts.most;
            instance.doom = Some(InvokeError::StartTimedOut(most));
            instance.kill.notify_one();
        }
    }

    /// A process couldn't start, and said why.
    pub(super) fn init_failed(&self, id: u32, why: String) {
        if let Some(instance) = self.lock().instances.get_mut(&id) {
            instance.doom = Some(InvokeError::Init(why));
        }
    }

    /// A process is gone.
    pub(super) fn exited(self: &Arc<Self>, id: u32, status: &str) {
        let Some(instance) = self.lock().instances.remove(&id) else {
            return;
        };
        let error = instance.doom.unwrap_or_else(|| {
            if instance.ready {
                InvokeError::Crashed(status.to_owned())
            } else {
                InvokeError::Init(status.to_owned())
            }
        });
        let logs = &self.surroundings.logs;
        let last = logs.of(&self.spec.name).pop();
        let say = |what: &str| logs.warn(&self.spec.name, what);
        for (invocation, work) in instance.work {
            say(&format!("{error} (request {invocation})"));
            work.timer.abort();
            self.lock().measured.finished(work.started.elapsed(), true);
            let _ = work.answer.send(Err(error.clone()));
        }
        if !instance.ready {
            say(&error.to_string());
            let why = last.filter(|_| matches!(error, InvokeError::Init(_)));
            self.start_failed(&error, &why.unwrap_or_else(|| error.to_string()));
        }
        self.scale();
    }

    /// Invocations that run or wait.
    pub(super) fn running(&self) -> usize {
        let state = self.lock();
        let busy = state.instances.values().map(|one| one.work.len()).sum();
        state.waiting.len().saturating_add(busy)
    }

    /// Processes that have asked for an event.
    pub(crate) fn ready(&self) -> usize {
        let state = self.lock();
        state.instances.values().filter(|one| one.ready).count()
    }

    pub(crate) fn take_durations(&self) -> Vec<Duration> {
        self.lock().measured.take_durations()
    }

    pub(super) fn finished(&self) -> u64 {
        self.lock().measured.invocations
    }

    /// Process ids and the names under which the processes make calls.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let state = self.lock();
        let started = state.instances.iter().filter(|(_, one)| one.pid != 0);
        started
            .map(|(id, one)| (one.pid, format!("{}.{id}", self.spec.name)))
            .collect()
    }

    /// Reads the processes' peak memory, to be called now and then, since it is lost when they end.
    /// A process that had more than it may is killed, as on AWS, though here only some moments later.
    pub(crate) fn measure_memory(&self) {
        let started: Vec<_> = self
            .lock()
            .instances
            .iter()
            .map(|(id, one)| (*id, one.pid))
            .collect();
        for (id, pid) in started {
            let Some(kb) = peak_memory_kb(pid) else {
                continue;
            };
            self.lock().measured.memory(kb);
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
        let running = self.running();
        let processes = self.processes();
        let cpu = processes.iter().map(|(pid, _)| cpu_time(*pid)).sum();
        let state = self.lock();
        FunctionStatus {
            invocations: state.measured.invocations,
            errors: state.measured.errors,
            percentiles: state.measured.percentiles(),
            init: state.measured.init_percentiles(),
            processes: state.instances.len(),
            running,
            peak_memory_kb: state.measured.peak_memory_kb,
            cpu,
        }
    }
}
