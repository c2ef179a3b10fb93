//! The gate between a caller and a route: it may refuse a request, and orders it among the caller's requests.
//!
//! A request that changes something waits for the gate. One that reads is served meanwhile, so that the gate doesn't
//! delay it, and its answer is withheld if the gate refuses.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::Problem;
use crate::domain::{UserId, Version};
use crate::invocation;

/// Decides whether a caller may proceed with a method of a route.
pub(super) type Gate = Arc<
    dyn Fn(UserId, Method, String) -> BoxFuture<'static, Result<Admitted, Problem>> + Send + Sync,
>;

type PendingVerdict = JoinHandle<Result<Admitted, Problem>>;

/// The facts about an admitted call; empty if the cache could not be asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Admitted {
    pub(super) stamp: Option<Version>,
    pub(super) at_follow_limit: bool,
}

/// The gate's answer to a request that is being served meanwhile.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<PendingVerdict>>>);

impl Verdict {
    fn defer(&self, verdict: PendingVerdict) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }

    /// Returns the problem to answer instead, if the gate refused.
    pub(super) async fn refusal(&self) -> Option<Problem> {
        let verdict = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        verdict.await.ok()?.err()
    }
}

/// Passes the gate, if there is one.
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
    let mut verdict_future = gate(caller.clone(), parts.method.clone(), route.to_owned());
    // A gate that needs no cache answers at once.
    if let Poll::Ready(known) = futures::poll!(&mut verdict_future) {
        return known;
    }
    match parts.extensions.get::<Verdict>() {
        Some(verdict) if parts.method.is_safe() => {
            verdict.defer(tokio::spawn(
                invocation::inherit_trace(verdict_future).in_current_span(),
            ));
            Ok(Admitted::default())
        }
        _ => verdict_future.await,
    }
}
