//! How long an invocation may take.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context;

/// How long it may take where no credible deadline is told.
const DEFAULT: Duration = Duration::from_secs(10);
/// A deadline this far back is none: `cargo lambda` tells such.
const STALE: Duration = Duration::from_mins(1);

/// The time left until the invocation's deadline, less what answering needs.
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
