//! Counts the functions' calls to tables, queues, bucket, cache and each other, and makes chosen ones go wrong.

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
    /// The cache. One call is one round trip, named after its first command in capitals, such as
    /// `EVALSHA`, however many commands it holds.
    Cache,
    /// Lambda, called by a function. The one operation is `Invoke`.
    Functions,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the service sees the call.
    Before,
    /// After the service has done it, before the caller hears of it.
    After,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// The calling process is killed (SIGKILL). For callers that aren't functions: as `Disconnect`.
    KillCaller,
    /// The service answers with this status and an error of its own kind. As `Disconnect` for the cache.
    Status(u16),
    /// The answer to a transaction that met another one on its items. As `Disconnect` for all but tables.
    Conflict,
    /// The connection is closed without an answer.
    Disconnect,
    /// There is never an answer.
    Hang,
    /// It happens later.
    Delay(Duration),
}

/// Which calls go wrong, and how. Start with [`FaultRule::new`] or [`FaultRule::kill`].
#[derive(Debug, Clone)]
pub struct FaultRule {
    /// Only calls of this function (its name, not its logical id); `None` for calls of any caller.
    pub function: Option<String>,
    /// Only calls to this service; `None` for any.
    pub service: Option<Service>,
    /// Only this operation; `None` for any.
    pub operation: Option<String>,
    /// The first call of these that goes wrong, from 1.
    pub nth: u64,
    /// How many go wrong from there.
    pub times: u64,
    /// Before or after the service has done it.
    pub when: When,
    /// What happens.
    pub action: FaultAction,
}

impl FaultRule {
    /// The first call of any kind goes wrong, once.
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

    /// Kills the process of `function` at its `nth` call to any service.
    pub fn kill(function: &str, nth: u64, when: When) -> Self {
        Self::new(when, FaultAction::KillCaller)
            .function(function)
            .nth(nth)
    }

    /// Only calls of this function.
    #[must_use]
    pub fn function(mut self, name: &str) -> Self {
        self.function = Some(name.to_owned());
        self
    }

    /// Only calls to this service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Only this operation.
    #[must_use]
    pub fn operation(mut self, name: &str) -> Self {
        self.operation = Some(name.to_owned());
        self
    }

    /// From this call on, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// So many calls, `u64::MAX` for all.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }
}

/// How a service is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Every connection is closed at once, those that are open too.
    Closed,
    /// Every call is answered with 503; as `Closed` for the cache.
    Unavailable,
    /// Calls are taken and never answered.
    Hang,
}

/// A call that a function made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The function's name; empty if the caller isn't one.
    pub function: String,
    /// The service called.
    pub service: Service,
    /// The operation.
    pub operation: String,
}

/// What a function asked of a service, as IAM sees it: one call may ask several things of several resources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The function's name; empty if the caller isn't one.
    pub function: String,
    /// What IAM calls it, such as `dynamodb:PutItem`.
    pub action: String,
    /// The name of a table, `<table>/index/<index>`, a queue, a bucket, `<bucket>/<folder>/*` or a function.
    pub resource: String,
}

/// A fault that was set: how often it struck.
#[derive(Debug, Clone)]
pub struct Fault {
    armed: Arc<Armed>,
    all: Arc<Faults>,
}

impl Fault {
    /// How often it struck.
    pub fn fired(&self) -> u64 {
        self.armed.fired.load(Ordering::SeqCst)
    }

    /// Waits until it struck at least once.
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

    /// Takes it away.
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
    seen: AtomicU64,
    fired: AtomicU64,
    struck: Notify,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Arc<Armed>>,
    /// Tables, and what stands in the keys of items that can't be read.
    throttled: Vec<(String, String)>,
    counts: BTreeMap<Call, u64>,
    rows: BTreeMap<Call, u64>,
    units: BTreeMap<(Call, String), f64>,
    asked: BTreeSet<Asked>,
    log: Vec<Call>,
}

/// The most calls of which the order is kept.
const LOGGED: usize = 100_000;

/// All faults of a stack, and its counts of calls.
#[derive(Debug)]
pub(crate) struct Faults {
    state: Mutex<State>,
    outages: [watch::Sender<Option<Outage>>; 5],
}

/// What a call of tables used.
#[derive(Debug)]
pub(crate) struct Used {
    /// The rows it read.
    pub(crate) rows: u64,
    /// Capacity units, by tables.
    pub(crate) units: Vec<(String, f64)>,
}

/// What is to happen to one call.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
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

    pub(crate) fn set(self: &Arc<Self>, rule: FaultRule) -> Fault {
        let armed = Arc::new(Armed {
            rule,
            seen: AtomicU64::new(0),
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

    /// Counts a call and says what is to happen to it.
    pub(crate) fn called(&self, call: Call) -> Verdict {
        let mut verdict = Verdict::default();
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
            let seen = armed.seen.fetch_add(1, Ordering::SeqCst).saturating_add(1);
            if seen < rule.nth || seen.saturating_sub(rule.nth) >= rule.times {
                continue;
            }
            match rule.when {
                When::Before => verdict.before = Some(rule.action),
                When::After => verdict.after = Some(rule.action),
            }
            armed.fired.fetch_add(1, Ordering::SeqCst);
            armed.struck.notify_waiters();
        }
        if state.log.len() < LOGGED {
            state.log.push(call.clone());
        }
        let count = state.counts.entry(call).or_default();
        *count = count.saturating_add(1);
        verdict
    }

    pub(crate) fn counts(&self) -> BTreeMap<Call, u64> {
        self.lock().counts.clone()
    }

    /// Notes what a call asks for.
    pub(crate) fn asks(&self, asked: impl IntoIterator<Item = Asked>) {
        self.lock().asked.extend(asked);
    }

    pub(crate) fn asked(&self) -> BTreeSet<Asked> {
        self.lock().asked.clone()
    }

    /// Notes what a call of tables used.
    pub(crate) fn used(&self, call: Call, used: Used) {
        let mut state = self.lock();
        for (table, units) in used.units {
            *state.units.entry((call.clone(), table)).or_default() += units;
        }
        if used.rows > 0 {
            let count = state.rows.entry(call).or_default();
            *count = count.saturating_add(used.rows);
        }
    }

    pub(crate) fn units(&self) -> BTreeMap<(Call, String), f64> {
        self.lock().units.clone()
    }

    pub(crate) fn rows(&self) -> BTreeMap<Call, u64> {
        self.lock().rows.clone()
    }

    pub(crate) fn log(&self) -> Vec<Call> {
        self.lock().log.clone()
    }

    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        state.counts.clear();
        state.rows.clear();
        state.units.clear();
        state.log.clear();
    }
}
