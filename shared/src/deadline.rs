//! The time limit of an invocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context;

/// The time limit without a credible deadline.
const DEFAULT: Duration = Duration::from_secs(10);
/// A deadline this far back counts as none: `cargo lambda` sends such deadlines.
const STALE: Duration = Duration::from_mins(1);

/// Returns the time left until the invocation's deadline, less the time to answer.
pub(crate) fn time_left(context: &Context, margin: Duration) -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let deadline = Duration::from_millis(context.deadline);
    if deadline + STALE < now {
        return DEFAULT;
    }
    deadline.saturating_sub(now).saturating_sub(margin)
}
