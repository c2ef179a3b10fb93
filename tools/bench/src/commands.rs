//! The duration of the cache's commands, by its own log (`SLOWLOG`).
//!
//! The log measures elapsed time: on a busy machine it includes the server's waits for a processor. So the same figure is
//! taken of the server's own benchmark tool, whose commands can't be faster.

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::error::Result;
use crate::numbers::float;

/// The number of microseconds from which on commands are logged, and the size of the log.
const SLOWLOG_MIN_MICROS: &str = "1000";
const SLOWLOG_LENGTH: &str = "100000";
/// Microseconds from which on a command delays others.
const DELAYING_MICROS: i64 = 10_000;

/// Slow commands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SlowCommands {
    /// Milliseconds of the longest; 0 if none took one.
    pub(crate) longest_ms: f64,
    /// Commands that took more than ten milliseconds.
    pub(crate) long: u64,
}

impl SlowCommands {
    /// Returns the slow commands of both periods.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            longest_ms: self.longest_ms.max(other.longest_ms),
            long: self.long.saturating_add(other.long),
        }
    }
}

/// Makes the server log commands from now on.
pub(crate) async fn watch(server: &mut MultiplexedConnection) -> Result<()> {
    for (setting, value) in [
        ("slowlog-log-slower-than", SLOWLOG_MIN_MICROS),
        ("slowlog-max-len", SLOWLOG_LENGTH),
    ] {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(setting).arg(value);
        set.query_async::<()>(server).await?;
    }
    let reset = redis::cmd("SLOWLOG").arg("RESET").to_owned();
    Ok(reset.query_async::<()>(server).await?)
}

/// Returns the slow commands that the server logged since.
pub(crate) async fn slow_commands(server: &mut MultiplexedConnection) -> Result<SlowCommands> {
    let get = redis::cmd("SLOWLOG").arg("GET").arg(-1).to_owned();
    let entries: Vec<Vec<Value>> = get.query_async(server).await?;
    // Number, time, microseconds, command.
    let micros = entries.iter().filter_map(|entry| match entry.get(2) {
        Some(Value::Int(micros)) => Some(*micros),
        _ => None,
    });
    let micros: Vec<i64> = micros.collect();
    let longest = micros.iter().max().copied().unwrap_or(0);
    let long = micros.iter().filter(|micros| **micros > DELAYING_MICROS);
    Ok(SlowCommands {
        longest_ms: float(u64::try_from(longest).unwrap_or(0)) / 1000.0,
        long: u64::try_from(long.count()).unwrap_or(u64::MAX),
    })
}
