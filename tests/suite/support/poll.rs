//! Waiting for what must come true, without sleeping blindly.

use std::time::{Duration, Instant};

/// Time limit for a condition to come true. Queues deliver within seconds; the rest is for busy machines.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer, and gives it. Fails, naming what was waited for,
/// if there is none in 30 seconds.
///
/// `eventually("the like is counted", async || (post.likes().await == 1).then_some(())).await`
pub(crate) async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, ask).await
}

/// As [`eventually`], with its own patience.
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
