//! Optimistic writes: read, write on condition that nothing changed meanwhile, and start over on a conflict.

use std::time::Duration;

use tokio::time::Instant;

use super::Error;
use crate::invocation;

/// The number of attempts at a write. With the waits between them they take a second on average.
const ATTEMPTS: u32 = 10;
/// The longest wait after the first conflict. It doubles with each further one, up to `DOUBLINGS` times.
const FIRST_WAIT_MILLIS: u64 = 5;
const DOUBLINGS: u32 = 6;

/// The attempts at a write that depends on an earlier read.
///
/// Every such write is a loop around a value of this type. The loop includes the read, which is stale after a conflict.
///
/// ```ignore
/// let mut retry = Retry::new("others kept writing the same edges");
/// loop {
///     let edges = self.read().await?;
///     if self.write_transaction(writes(edges)).await? {
///         return Ok(());
///     }
///     retry.back_off().await?;
/// }
/// ```
///
/// A write whose condition is the question itself, such as "nobody has this handle", needs no repetition: the failed
/// condition is the answer.
///
/// (A function that takes an attempt as an async closure would read better still, but the compiler can't prove its future
/// `Send` yet.)
#[derive(Debug)]
pub(super) struct Retry {
    conflicts: u32,
    most: u32,
    reason: &'static str,
}

impl Retry {
    /// Begins with the first of at most ten attempts. `reason` is the one for giving up.
    pub(super) const fn new(reason: &'static str) -> Self {
        Self::at_most(ATTEMPTS, reason)
    }

    /// Begins with the first of at most this many attempts.
    pub(super) const fn at_most(attempts: u32, reason: &'static str) -> Self {
        Self {
            conflicts: 0,
            most: attempts,
            reason,
        }
    }

    /// Waits before the next attempt, with exponential back-off and full jitter (Brooker, "Exponential Backoff And
    /// Jitter"): up to 5 ms after the first conflict, doubled each time, up to 320 ms. Fails with
    /// [`Error::Unavailable`] after the last attempt, or if the next one would begin after the invocation's deadline.
    pub(super) async fn back_off(&mut self) -> Result<(), Error> {
        let longest = FIRST_WAIT_MILLIS << self.conflicts.min(DOUBLINGS);
        self.conflicts += 1;
        let next = Instant::now() + Duration::from_millis(rand::random_range(1..=longest));
        let too_late = invocation::deadline().is_some_and(|deadline| deadline <= next);
        if self.conflicts >= self.most || too_late {
            return Err(Error::Unavailable(self.reason.to_owned()));
        }
        tokio::time::sleep_until(next).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::invocation::Invocation;

    async fn attempts() -> u32 {
        let mut retry = Retry::new("contended");
        let mut attempts = 1;
        loop {
            match retry.back_off().await {
                Ok(()) => attempts += 1,
                Err(Error::Unavailable(reason)) if reason == "contended" => return attempts,
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[tokio::test]
    async fn retries_stop_after_the_last_attempt() {
        assert_eq!(attempts().await, ATTEMPTS);
    }

    #[tokio::test]
    async fn no_attempt_begins_after_the_deadline() {
        let deadline = Instant::now() + Duration::from_millis(30);
        let invocation = Invocation::new(None, Arc::default(), Some(deadline));
        assert!(invocation.run(attempts()).await < ATTEMPTS);
        let late = Instant::now().saturating_duration_since(deadline);
        assert!(late < Duration::from_millis(30), "{late:?}");
    }
}
