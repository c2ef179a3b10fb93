//! Records the functions' calls to tables, queues, bucket, cache and each other, and injects faults into chosen ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// A service that functions call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// `DynamoDB`. Operations are those of its API, such as `PutItem`.
    Tables,
    /// SQS. Operations are those of its API, such as `SendMessage`.
    Queues,
    /// S3. Operations are those of its API, such as `PutObject`.
    Bucket,
    /// The cache. One call is one round trip, however many commands it contains. The operation is the first command, in
    /// capitals, such as `EVALSHA`.
    Cache,
    /// Lambda, called by a function. The only operation is `Invoke`.
    Functions,
}

/// The moment at which a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the service sees the call.
    Before,
    /// After the service has handled the call, before the caller gets the answer.
    After,
}

/// The effect of a fault on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// Kills the calling process (SIGKILL). Like `Disconnect` for callers that aren't functions.
    KillCaller,
    /// Answers with this status and an error in the service's own format. Like `Disconnect` for the cache.
    Status(u16),
    /// Answers that a transaction conflicts with another one. Like `Disconnect` for services other than tables.
    Conflict,
    /// Closes the connection without an answer.
    Disconnect,
    /// Never answers.
    Hang,
    /// Delays the call or its answer.
    Delay(Duration),
}

/// A selection of calls and the fault to inject into them, built with [`FaultRule::new`] or [`FaultRule::kill`].
#[derive(Debug, Clone)]
pub struct FaultRule {
    /// Matches calls of this function, by its name, not its logical id; `None` matches any caller.
    pub function: Option<String>,
    /// Matches calls to this service; `None` matches any.
    pub service: Option<Service>,
    /// Matches this operation; `None` matches any.
    pub operation: Option<String>,
    /// The first matching call that fails, counted from 1.
    pub nth: u64,
    /// The number of consecutive calls that fail.
    pub times: u64,
    /// The moment at which the fault strikes.
    pub when: When,
    /// The effect.
    pub action: FaultAction,
}

impl FaultRule {
    /// Creates a rule that makes the first call of any kind fail, once.
    pub fn new(when: When, action: FaultAction) -> Self {
        Self {
            function: None,
            service: None,
            operation: None,
            nth: 1,
            times: 1,
            when,
            action,
        }
    }

    /// Creates a rule that kills the process of `function` at its `nth` call to any service.
    pub fn kill(function: &str, nth: u64, when: When) -> Self {
        Self::new(when, FaultAction::KillCaller)
            .function(function)
            .nth(nth)
    }

    /// Matches only calls of this function.
    #[must_use]
    pub fn function(mut self, name: &str) -> Self {
        self.function = Some(name.to_owned());
        self
    }

    /// Matches only calls to this service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Matches only this operation.
    #[must_use]
    pub fn operation(mut self, name: &str) -> Self {
        self.operation = Some(name.to_owned());
        self
    }

    /// Starts at the `nth` matching call, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// Affects this number of calls; `u64::MAX` for all.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }
}

/// A way in which a service is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Every connection is closed at once, including open ones.
    Closed,
    /// Every call is answered with 503. Like `Closed` for the cache.
    Unavailable,
    /// Calls are accepted and never answered.
    Hang,
}

/// A call that a function made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The function's name; empty if the caller isn't a function.
    pub function: String,
    /// The service called.
    pub service: Service,
    /// The operation, such as `PutItem`.
    pub operation: String,
}

/// An action that a function took on a resource, as IAM sees it. One call may take several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IamCall {
    /// The function's name; empty if the caller isn't a function.
    pub function: String,
    /// IAM's name of the action, such as `dynamodb:PutItem`.
    pub action: String,
    /// The name of a table, queue, bucket or function, `<table>/index/<index>`, or `<bucket>/<folder>/*`.
    pub resource: String,
}

/// An injected fault.
#[derive(Debug, Clone)]
pub struct Fault {
    armed: Arc<Armed>,
    all: Arc<Faults>,
}

impl Fault {
    /// Returns the number of calls that the fault has affected.
    pub fn fired(&self) -> u64 {
        self.armed.fired.load(Ordering::SeqCst)
    }

    /// Waits until the fault has struck at least once.
    pub async fn wait(&self) {
        loop {
            let mut struck = std::pin::pin!(self.armed.struck.notified());
            struck.as_mut().enable();
            if self.fired() > 0 {
                return;
            }
            struck.await;
        }
    }

    /// Removes the fault.
    pub fn clear(&self) {
        self.all
            .lock()
            .rules
            .retain(|armed| !Arc::ptr_eq(armed, &self.armed));
    }
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    matched: AtomicU64,
    fired: AtomicU64,
    struck: Notify,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Arc<Armed>>,
    /// Pairs of a table's name and a text; batch reads of items whose key contains the text are throttled.
    throttled: Vec<(String, String)>,
    counts: BTreeMap<Call, u64>,
    rows: BTreeMap<Call, u64>,
    units: BTreeMap<(Call, String), f64>,
    iam_calls: BTreeSet<IamCall>,
    log: Vec<Call>,
}

/// The maximum number of calls in the log.
const MAX_LOGGED: usize = 100_000;

/// The faults and recorded calls of a stack.
#[derive(Debug)]
pub(crate) struct Faults {
    state: Mutex<State>,
    outages: [watch::Sender<Option<Outage>>; 5],
}

/// The rows and capacity units that a call to the tables used.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Rows read.
    pub(crate) rows: u64,
    /// Capacity units by table.
    pub(crate) units: Vec<(String, f64)>,
}

/// The faults to inject into one call.
#[derive(Debug, Default)]
pub(crate) struct CallFaults {
    pub(crate) before: Option<FaultAction>,
    pub(crate) after: Option<FaultAction>,
}

impl Faults {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            outages: std::array::from_fn(|_| watch::Sender::new(None)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn inject(self: &Arc<Self>, rule: FaultRule) -> Fault {
        let armed = Arc::new(Armed {
            rule,
            matched: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            struck: Notify::new(),
        });
        self.lock().rules.push(Arc::clone(&armed));
        Fault {
            armed,
            all: Arc::clone(self),
        }
    }

    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.throttled.clear();
    }

    pub(crate) fn throttle(&self, table: &str, key: &str) {
        let throttled = (table.to_owned(), key.to_owned());
        self.lock().throttled.push(throttled);
    }

    pub(crate) fn is_throttled(&self, table: &str, key: &str) -> bool {
        let state = self.lock();
        let mut throttled = state.throttled.iter();
        throttled.any(|(of, part)| of == table && key.contains(part))
    }

    pub(crate) fn outage(&self, service: Service) -> &watch::Sender<Option<Outage>> {
        let [tables, queues, bucket, cache, functions] = &self.outages;
        match service {
            Service::Tables => tables,
            Service::Queues => queues,
            Service::Bucket => bucket,
            Service::Cache => cache,
            Service::Functions => functions,
        }
    }

    /// Records a call and returns the faults to inject into it.
    pub(crate) fn record_call(&self, call: Call) -> CallFaults {
        let mut faults = CallFaults::default();
        let mut state = self.lock();
        for armed in &state.rules {
            let rule = &armed.rule;
            if rule
                .function
                .as_ref()
                .is_some_and(|name| *name != call.function)
                || rule.service.is_some_and(|service| service != call.service)
                || rule
                    .operation
                    .as_ref()
                    .is_some_and(|operation| *operation != call.operation)
            {
                continue;
            }
            let number = armed
                .matched
                .fetch_add(1, Ordering::SeqCst)
                .saturating_add(1);
            if number < rule.nth || number.saturating_sub(rule.nth) >= rule.times {
                continue;
            }
            match rule.when {
                When::Before => faults.before = Some(rule.action),
                When::After => faults.after = Some(rule.action),
            }
            armed.fired.fetch_add(1, Ordering::SeqCst);
            armed.struck.notify_waiters();
        }
        if state.log.len() < MAX_LOGGED {
            state.log.push(call.clone());
        }
        let count = state.counts.entry(call).or_default();
        *count = count.saturating_add(1);
        faults
    }

    pub(crate) fn call_counts(&self) -> BTreeMap<Call, u64> {
        self.lock().counts.clone()
    }

    pub(crate) fn record_iam_calls(&self, calls: impl IntoIterator<Item = IamCall>) {
        self.lock().iam_calls.extend(calls);
    }

    pub(crate) fn iam_calls(&self) -> BTreeSet<IamCall> {
        self.lock().iam_calls.clone()
    }

    pub(crate) fn record_usage(&self, call: Call, usage: Usage) {
        let mut state = self.lock();
        for (table, units) in usage.units {
            *state.units.entry((call.clone(), table)).or_default() += units;
        }
        if usage.rows > 0 {
            let count = state.rows.entry(call).or_default();
            *count = count.saturating_add(usage.rows);
        }
    }

    pub(crate) fn units_used(&self) -> BTreeMap<(Call, String), f64> {
        self.lock().units.clone()
    }

    pub(crate) fn rows_read(&self) -> BTreeMap<Call, u64> {
        self.lock().rows.clone()
    }

    pub(crate) fn call_log(&self) -> Vec<Call> {
        self.lock().log.clone()
    }

    pub(crate) fn reset_calls(&self) {
        let mut state = self.lock();
        state.counts.clear();
        state.rows.clear();
        state.units.clear();
        state.log.clear();
    }
}
