//! The start and end of a function's process.
//!
//! A starting process opens its connections, and waits for them before it takes its first event, so that no request
//! pays for that: Lambda provides the processor while a function starts, and from then on only while there is work. On
//! SIGTERM, the process finishes its work in progress. Lambda sends SIGTERM only to functions with an extension; there
//! is none here, since nothing is left to do when an invocation is over.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;

static STARTUP_TASKS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Starts a task to finish before the first event. Its outcome is ignored. Needs a running executor.
pub(crate) fn begin(work: impl Future<Output = ()> + Send + 'static) {
    let work = tokio::spawn(work);
    let mut started = STARTUP_TASKS.lock().unwrap_or_else(PoisonError::into_inner);
    started.push(work);
}

#[cfg(any(feature = "http", feature = "consumer"))]
pub(crate) use events::take_events;

/// Builds the runtime of a function that decodes images. One thread does all blocking work and never ends: a thread that
/// decodes holds some megabytes, and the next can't reuse all that one leaves behind when it ends.
#[cfg(feature = "decode")]
pub fn decoding_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    const FOR_EVER: std::time::Duration = std::time::Duration::from_hours(24 * 365);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_keep_alive(FOR_EVER)
        .build()
}

#[cfg(any(feature = "http", feature = "consumer"))]
mod events {
    use super::{PoisonError, STARTUP_TASKS};

    use std::pin::pin;
    use std::sync::LazyLock;
    use std::time::Duration;

    use futures::future::join_all;
    use lambda_runtime::{Error, LambdaInvocation, Runtime, Service};
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::sync::watch;
    use tower::util::MapFutureLayer;

    /// The time to wait for tasks that begin at the start. If a dependency is down at that time, the request that needs
    /// it waits for it.
    const PATIENCE: Duration = Duration::from_secs(1);
    /// The time to finish the work in progress when the process is told to end. Lambda waits half a second.
    const GRACE: Duration = Duration::from_millis(400);

    /// The number of events that are not answered yet.
    static IN_FLIGHT: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

    /// Takes events until the process is told to end: one at a time, or several if the platform says so
    /// (`AWS_LAMBDA_MAX_CONCURRENCY`).
    pub(crate) async fn take_events<S>(runtime: Runtime<S>) -> Result<(), Error>
    where
        S: Service<LambdaInvocation, Response = (), Error = Error> + Clone + Send + 'static,
        S::Future: Send,
    {
        let started =
            std::mem::take(&mut *STARTUP_TASKS.lock().unwrap_or_else(PoisonError::into_inner));
        // Tasks that take longer continue.
        let _ = tokio::time::timeout(PATIENCE, join_all(started)).await;
        // The default layer of the runtime puts a span around each event, and so into each line of its log.
        let counted = MapFutureLayer::new(|answered| async {
            let _in_flight = InFlight::new();
            answered.await
        });
        let mut running = pin!(runtime.layer(counted).run_concurrent());
        let mut told_to_end = signal(SignalKind::terminate())?;
        tokio::select! {
            ended = &mut running => return ended,
            _ = told_to_end.recv() => {}
        }
        let mut in_flight = IN_FLIGHT.subscribe();
        let finished = in_flight.wait_for(|events| *events == 0);
        tokio::select! {
            ended = running => ended,
            // Events that take longer are cut off.
            _ = tokio::time::timeout(GRACE, finished) => Ok(()),
        }
    }

    /// An event in progress, counted while this value lives.
    struct InFlight;

    impl InFlight {
        fn new() -> Self {
            IN_FLIGHT.send_modify(|events| *events += 1);
            Self
        }
    }

    impl Drop for InFlight {
        fn drop(&mut self) {
            IN_FLIGHT.send_modify(|events| *events -= 1);
        }
    }
}
