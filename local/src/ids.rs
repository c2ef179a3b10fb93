//! Random identifiers in AWS's shapes.

use std::time::{SystemTime, UNIX_EPOCH};

/// Generates a version 4 UUID.
pub(crate) fn uuid() -> String {
    let bits = (rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

/// Generates an X-Ray tracing header that consists of a root trace id.
pub(crate) fn trace() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    format!("Root=1-{seconds:08x}-{:024x}", rand::random::<u128>() >> 32)
}
