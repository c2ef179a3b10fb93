//! How often a caller may call: each route has a bucket of tokens for each caller, in the cache. The same question
//! tells in which order the caller's words are (see [`Word`]).
//!
//! A request that changes something waits for its token. One that reads is served meanwhile, so that it
//! takes no longer, and its answer is withheld if there was none. If the cache doesn't say in time, calls
//! pass: a limit is no reason to be down.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::Method;
use axum::http::request::Parts;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::{Caller, Problem};
use crate::domain::{Stamp, UserId, Version};
use crate::invocation;

/// Whether a caller may go on with a method of a route.
pub(super) type Gate = Arc<
    dyn Fn(UserId, Method, String) -> BoxFuture<'static, Result<Admitted, Problem>> + Send + Sync,
>;

type Asked = JoinHandle<Result<Admitted, Problem>>;

/// The facts about an admitted call; empty where the cache could not be asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Admitted {
    stamp: Option<Version>,
    follows_most: bool,
}

/// The signed-in caller's word on something, for routes of functions that are [`Settings::ordered`]: of two words of
/// one caller, the one whose request came after the other's answer has the later stamp, whichever instances served
/// them.
///
/// [`Settings::ordered`]: super::Settings::ordered
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The caller.
    pub caller: UserId,
    /// Its place among the caller's words.
    pub stamp: Stamp,
    /// Whether the caller follows as many as anybody may, as far as the cache knows.
    pub follows_most: bool,
}

impl<S: Sync> FromRequestParts<S> for Word {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(caller) = Caller::from_request_parts(parts, state).await?;
        let admitted = parts.extensions.get::<Admitted>().copied();
        let Admitted {
            stamp,
            follows_most,
        } = admitted.unwrap_or_default();
        Ok(Self {
            caller,
            stamp: stamp.map_or_else(Stamp::own, Stamp::Shared),
            follows_most,
        })
    }
}

/// What a request is told while it is served already.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<Asked>>>);

impl Verdict {
    fn later(&self, verdict: Asked) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }

    /// What is to be answered in place of what was asked for, if anything.
    pub(super) async fn refusal(&self) -> Option<Problem> {
        let verdict = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        verdict.await.ok()?.err()
    }
}

/// Asks whether the caller may go on, if anybody is to be asked.
pub(super) async fn admit(parts: &mut Parts, caller: &UserId) -> Result<(), Problem> {
    let admitted = ask(parts, caller).await?;
    parts.extensions.insert(admitted);
    Ok(())
}

async fn ask(parts: &Parts, caller: &UserId) -> Result<Admitted, Problem> {
    let Some(gate) = parts.extensions.get::<Gate>() else {
        return Ok(Admitted::default());
    };
    let route = parts.extensions.get::<MatchedPath>();
    let route = route.map_or_else(|| parts.uri.path(), MatchedPath::as_str);
    let mut asked = gate(caller.clone(), parts.method.clone(), route.to_owned());
    // What needs no cache is known at once.
    if let Poll::Ready(known) = futures::poll!(&mut asked) {
        return known;
    }
    match parts.extensions.get::<Verdict>() {
        Some(verdict) if parts.method.is_safe() => {
            verdict.later(tokio::spawn(
                invocation::inherit_trace(asked).in_current_span(),
            ));
            Ok(Admitted::default())
        }
        _ => asked.await,
    }
}

#[cfg(feature = "cache")]
mod by_cache {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::time::{Duration, Instant};

    use axum::http::Method;
    use futures::FutureExt;

    use super::{Admitted, Gate};
    use crate::cache::{Admission, Cache};
    use crate::domain::{RateLimit, Timestamp, UserId};
    use crate::env::BadSetting;
    use crate::http::{Problem, Settings};

    /// How long a request waits for its token.
    const PATIENCE: Duration = Duration::from_millis(250);
    /// How many refusals are remembered.
    const REFUSALS: usize = 1000;
    /// How long nobody is asked for tokens after the cache did not answer.
    const PAUSE_MILLIS: i64 = 1000;

    impl Settings {
        /// Limits how often each caller may call each route: `READ_LIMIT` for those that only read,
        /// `WRITE_LIMIT` for the others (see [`RateLimit::parse`]; not set, there is no limit).
        pub fn limited_by(mut self, cache: &Cache) -> Result<Self, BadSetting> {
            self.gate = Limits::from_env()?.gate(cache.clone());
            Ok(self)
        }

        /// The same, and lets the cache put each caller's words in order: see [`Word`](super::Word).
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
        /// Whether what changes something gets a stamp.
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
                // Refused before it is served: else a caller far over the limit would cost as much as one
                // within it.
                if let Some(wait) = refusals.wait(&caller, &method, &route) {
                    return Err(Problem::too_many_requests(wait));
                }
                let paused = Timestamp::now().millis() < paused_until.load(Ordering::Relaxed);
                if paused || (limit.is_none() && !stamped) {
                    return Ok(Admitted::default());
                }
                let route_asked = format!("{} {route}", asked_as(&method));
                let asked = cache.admit(&caller, &route_asked, limit, stamped);
                match tokio::time::timeout(PATIENCE, asked).await {
                    Ok(Ok(Admission::Wait(wait))) => {
                        refusals.remember(caller, &method, route, wait);
                        Err(Problem::too_many_requests(wait))
                    }
                    Ok(Ok(Admission::Go(told))) => Ok(Admitted {
                        stamp: told.stamp,
                        follows_most: told.follows_most,
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

    /// Who is to call what again no sooner than when, as far as this process was told.
    #[derive(Default)]
    struct Refusals(Mutex<HashMap<(UserId, Method, String), Instant>>);

    impl Refusals {
        fn known(&self) -> MutexGuard<'_, HashMap<(UserId, Method, String), Instant>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn wait(&self, caller: &UserId, method: &Method, route: &str) -> Option<Duration> {
            let call = (caller.clone(), asked_as(method).clone(), route.to_owned());
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
                known.insert((caller, asked_as(method).clone(), route), now + wait);
            }
        }
    }

    /// What can be got can be asked for its head.
    fn asked_as(method: &Method) -> &Method {
        if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        }
    }
}
