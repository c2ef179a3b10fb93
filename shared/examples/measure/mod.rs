//! The measurements that the examples print.

use std::error::Error;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of this process so far, all threads together, in milliseconds.
pub(crate) fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    std::time::Duration::try_from(time).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// The most memory that this process ever had resident, in KiB.
pub(crate) fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next());
    Ok(kib
        .ok_or("the system doesn't say how much memory it had")?
        .parse()?)
}
