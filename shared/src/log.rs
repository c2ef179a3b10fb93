//! A function's log: JSON lines on standard output, filtered by `RUST_LOG` (`info` if it is unset or unusable): a
//! level, and others for single modules: `info,purrline::feed=debug`.

#[cfg(feature = "log")]
use tracing_subscriber::filter::{LevelFilter, Targets};
#[cfg(feature = "log")]
use tracing_subscriber::layer::SubscriberExt as _;
#[cfg(feature = "log")]
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging, also of panics, and collecting [metrics](crate::metrics). Starting twice changes nothing.
#[cfg(feature = "log")]
pub fn init() {
    // Not `EnvFilter`: its support for regular expressions makes each function larger.
    let wanted = crate::env::optional("RUST_LOG").and_then(|wanted| wanted.parse().ok());
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(true)
        .with_span_list(false);
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
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

/// Formats an error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
