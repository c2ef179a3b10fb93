//! Waiting for conditions, without blind sleeps.

use std::time::{Duration, Instant};

/// The time limit for a condition. Queues deliver within seconds; the rest is for busy machines.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(20);

/// Repeats `ask` until it returns a value, and returns the value. Fails after 30 seconds, naming what it waited for.
///
/// `eventually("the like is counted", async || (post.likes().await == 1).then_some(())).await`
pub(crate) async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, ask).await
}

/// Waits like [`eventually`], with another time limit.
pub(crate) async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            started.elapsed() < patience,
            "not within {patience:?}: {what}"
        );
        tokio::time::sleep(STEP).await;
    }
}
