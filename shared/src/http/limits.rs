//! Rate limits: each route has a token bucket for each caller, in the cache. The same question to the cache orders the
//! caller's requests (see [`StampedCaller`](super::StampedCaller)).
//!
//! If the cache doesn't answer in time, calls are admitted: a limit is no reason to be down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Method;
use futures::FutureExt;

use super::gate::{Admitted, Gate};
use super::{Problem, Settings};
use crate::cache::{Admission, Cache};
use crate::domain::{RateLimit, Timestamp, UserId};
use crate::env::BadSetting;

/// The time for which a request waits for its token.
const PATIENCE: Duration = Duration::from_millis(250);
/// The number of refusals that are remembered.
const REFUSALS: usize = 1000;
/// The time for which the cache is not asked after it did not answer.
const PAUSE_MILLIS: i64 = 1000;

impl Settings {
    /// Limits how often each caller may call each route: `READ_LIMIT` for routes that only read, `WRITE_LIMIT` for the
    /// others (see [`RateLimit::parse`]). Without the variable there is no limit.
    pub fn limited_by(mut self, cache: &Cache) -> Result<Self, BadSetting> {
        self.gate = Limits::from_env()?.gate(cache.clone());
        Ok(self)
    }

    /// Limits calls as [`Settings::limited_by`] does, and lets the cache order each caller's requests: see
    /// [`StampedCaller`](super::StampedCaller).
    pub fn ordered(mut self, cache: &Cache) -> Result<Self, BadSetting> {
        let limits = Limits {
            ordered: true,
            ..Limits::from_env()?
        };
        self.gate = limits.gate(cache.clone());
        Ok(self)
    }
}

/// The questions that a gate asks the cache.
#[derive(Debug, Clone, Copy)]
struct Limits {
    reads: Option<RateLimit>,
    writes: Option<RateLimit>,
    /// Whether a request that changes something gets a stamp.
    ordered: bool,
}

fn limit(name: &str) -> Result<Option<RateLimit>, BadSetting> {
    match std::env::var(name) {
        Ok(text) => {
            RateLimit::parse(&text).map_err(|reason| BadSetting::new(name, reason.to_string()))
        }
        Err(_) => Ok(None),
    }
}

impl Limits {
    fn from_env() -> Result<Self, BadSetting> {
        Ok(Self {
            reads: limit("READ_LIMIT")?,
            writes: limit("WRITE_LIMIT")?,
            ordered: false,
        })
    }

    fn gate(self, cache: Cache) -> Option<Gate> {
        let asks = self.reads.is_some() || self.writes.is_some() || self.ordered;
        asks.then(|| gate(cache, self))
    }
}

fn gate(cache: Cache, limits: Limits) -> Gate {
    let paused_until = Arc::new(AtomicI64::new(0));
    let refusals = Arc::new(Refusals::default());
    Arc::new(move |caller, method: Method, route| {
        let (cache, paused_until) = (cache.clone(), Arc::clone(&paused_until));
        let refusals = Arc::clone(&refusals);
        let (limit, stamped) = if method.is_safe() {
            (limits.reads, false)
        } else {
            (limits.writes, limits.ordered)
        };
        async move {
            // A known refusal comes before the request is served: otherwise a caller far over the limit would cost as
            // much as one within it.
            if let Some(wait) = refusals.wait(&caller, &method, &route) {
                return Err(Problem::too_many_requests(wait));
            }
            let paused = Timestamp::now().millis() < paused_until.load(Ordering::Relaxed);
            if paused || (limit.is_none() && !stamped) {
                return Ok(Admitted::default());
            }
            let limited_route = format!("{} {route}", counted_as(&method));
            let admission = cache.admit(&caller, &limited_route, limit, stamped);
            match tokio::time::timeout(PATIENCE, admission).await {
                Ok(Ok(Admission::Wait(wait))) => {
                    refusals.remember(caller, &method, route, wait);
                    Err(Problem::too_many_requests(wait))
                }
                Ok(Ok(Admission::Go(admitted))) => Ok(Admitted {
                    stamp: admitted.stamp,
                    at_follow_limit: admitted.at_follow_limit,
                }),
                silent => {
                    if let Ok(Err(error)) = silent {
                        tracing::warn!(%error, "calls are not limited");
                    }
                    let until = Timestamp::now().plus_millis(PAUSE_MILLIS);
                    paused_until.store(until.millis(), Ordering::Relaxed);
                    Ok(Admitted::default())
                }
            }
        }
        .boxed()
    })
}

/// The calls that this process was told to refuse, and until when.
#[derive(Default)]
struct Refusals(Mutex<HashMap<(UserId, Method, String), Instant>>);

impl Refusals {
    fn known(&self) -> MutexGuard<'_, HashMap<(UserId, Method, String), Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, caller: &UserId, method: &Method, route: &str) -> Option<Duration> {
        let call = (caller.clone(), counted_as(method).clone(), route.to_owned());
        let until = self.known().get(&call).copied()?;
        let wait = until.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    fn remember(&self, caller: UserId, method: &Method, route: String, wait: Duration) {
        let now = Instant::now();
        let mut known = self.known();
        if known.len() >= REFUSALS {
            known.retain(|_, until| *until > now);
        }
        if known.len() < REFUSALS {
            known.insert((caller, counted_as(method).clone(), route), now + wait);
        }
    }
}

/// Returns the method that a call counts as: a `HEAD` counts as a `GET`.
fn counted_as(method: &Method) -> &Method {
    if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    }
}
