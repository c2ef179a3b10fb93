//! Metrics for `CloudWatch`: lines in its embedded metric format, one for each invocation that measured
//! something. `template.yaml`'s dashboard shows them.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! All are in the namespace [`NAMESPACE`], with the dimension `Stack` (`STACK_NAME`, or `local`). There are nine, so
//! that the metrics of one stack stay within the ten that an account has for free.
//!
//! | metric | unit | is |
//! |---|---|---|
//! | `FeedHits` | count | feeds read from the cache |
//! | `FeedMisses` | count | feeds that were not in the cache, or could not be read from it |
//! | `FeedRebuilds` | count | of the misses, feeds put into the cache anew |
//! | `FanOutFollowers` | count | the followers to whose feeds one message pushed a post |
//! | `FanOutLag` | milliseconds | the time from a post's creation until the post was in the last feed of one message |
//! | `LikesApplied`, `FollowsApplied` | count | messages that were handled, repeated and void ones among them |
//! | `QueueAge` | milliseconds | the time for which the oldest message of a batch was queued |
//! | `ClassifyTime` | milliseconds | the time from an image's bytes to its breeds |

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::env;

/// The namespace of the metrics in `CloudWatch`.
pub const NAMESPACE: &str = "Purrline";

static COLLECTOR: OnceLock<&'static Collector> = OnceLock::new();

/// Starts collecting. Starting twice changes nothing.
pub fn init() {
    let stack = env::optional("STACK_NAME").unwrap_or_else(|| "local".to_owned());
    let builder = Builder::new().cloudwatch_namespace(NAMESPACE);
    // An error means that a collector is already installed.
    if let Ok(collector) = builder.with_dimension("Stack", stack).init() {
        COLLECTOR.get_or_init(|| collector);
        for name in [
            "FeedHits",
            "FeedMisses",
            "FeedRebuilds",
            "LikesApplied",
            "FollowsApplied",
        ] {
            describe_counter!(name, Unit::Count, "");
        }
        describe_histogram!("FanOutFollowers", Unit::Count, "");
        for name in ["FanOutLag", "QueueAge", "ClassifyTime"] {
            describe_histogram!(name, Unit::Milliseconds, "");
        }
    }
}

/// Writes the measurements since the last flush, if there are any. `CloudWatch` reads them from the log.
pub fn flush() {
    let Some(collector) = COLLECTOR.get() else {
        return;
    };
    let mut lines = Vec::new();
    if collector.flush(&mut lines).is_ok() && !lines.is_empty() {
        // All lines at once, so that no other line gets between. A missing log is no reason to fail.
        let _ = std::io::stdout().lock().write_all(&lines);
    }
}

/// Counts a feed that was read from the cache.
pub fn feed_hit() {
    counter!("FeedHits").increment(1);
}

/// Counts a feed that was not in the cache, or could not be read from it.
pub fn feed_miss() {
    counter!("FeedMisses").increment(1);
}

/// Counts a feed that was rebuilt in the cache.
pub fn feed_rebuilt() {
    counter!("FeedRebuilds").increment(1);
}

/// Counts the handled messages about likes, including repeated and void ones.
pub fn likes_applied(likes: usize) {
    counter!("LikesApplied").increment(whole(likes));
}

/// Counts the handled messages about follows, including repeated and void ones.
pub fn follows_applied(follows: usize) {
    counter!("FollowsApplied").increment(whole(follows));
}

/// Records the number of followers to whom one message pushed a post, and the post's age after that.
pub fn fanned_out(followers: usize, lag: Duration) {
    histogram!("FanOutFollowers").record(f64::from(u32::try_from(followers).unwrap_or(u32::MAX)));
    histogram!("FanOutLag").record(millis(lag));
}

/// Records the time for which the oldest message of a batch was queued.
#[cfg(feature = "consumer")]
pub(crate) fn queued(age: Duration) {
    histogram!("QueueAge").record(millis(age));
}

/// Records the time that classifying an image took.
pub fn classified(time: Duration) {
    histogram!("ClassifyTime").record(millis(time));
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
