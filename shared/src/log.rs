//! What a function writes about itself: JSON lines to standard output, filtered by `RUST_LOG`
//! (`info` where it says nothing usable).

#[cfg(any(feature = "http", feature = "consumer"))]
use tracing_subscriber::EnvFilter;

/// Starts logging, and logs panics too, and starts to collect [metrics](crate::metrics). Starting twice changes nothing.
#[cfg(any(feature = "http", feature = "consumer"))]
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .try_init();
    crate::metrics::init();
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            let message = panic.payload_as_str().unwrap_or("no message");
            tracing::error!(place, message, "panicked");
        }));
    }
}

/// An error and what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
