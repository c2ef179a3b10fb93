//! The current invocation, for all code that works for it: its trace, its caller, and the number of calls it made. It
//! follows the task, so that no code has to pass it on.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::domain::UserId;

tokio::task_local! {
    static CURRENT: Option<Arc<Invocation>>;
}

/// A dependency that a function calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callee {
    /// `DynamoDB`.
    Tables,
    /// SQS.
    Queues,
    /// S3.
    Bucket,
    /// Lambda.
    Functions,
    /// The cache.
    Cache,
}

/// The calls made, each attempt counted; for the cache, round trips.
#[derive(Debug, Default)]
pub struct Calls([AtomicU32; 5]);

impl Calls {
    fn counter(&self, callee: Callee) -> &AtomicU32 {
        let Self([tables, queues, bucket, functions, cache]) = self;
        match callee {
            Callee::Tables => tables,
            Callee::Queues => queues,
            Callee::Bucket => bucket,
            Callee::Functions => functions,
            Callee::Cache => cache,
        }
    }

    /// Returns the count so far.
    pub fn of(&self, callee: Callee) -> u32 {
        self.counter(callee).load(Ordering::Relaxed)
    }
}

/// One invocation, or a part of it that belongs to a trace of its own.
#[derive(Debug, Default)]
pub struct Invocation {
    trace: Option<Trace>,
    caller: OnceLock<String>,
    calls: Arc<Calls>,
    deadline: Option<Instant>,
}

impl Invocation {
    /// Creates an invocation that belongs to a trace, if any, counts its calls in `calls`, and ends at the deadline.
    pub fn new(trace: Option<Trace>, calls: Arc<Calls>, deadline: Option<Instant>) -> Arc<Self> {
        Arc::new(Self {
            trace,
            caller: OnceLock::new(),
            calls,
            deadline,
        })
    }

    /// Returns the trace.
    pub const fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Returns the hash of the caller, once the caller is known.
    pub fn caller(&self) -> Option<&str> {
        self.caller.get().map(String::as_str)
    }

    /// Returns the calls so far.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Runs a future as a part of this invocation.
    pub async fn run<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        CURRENT.scope(Some(self), work).await
    }
}

fn current() -> Option<Arc<Invocation>> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Makes a future that is spawned as a task a part of the current invocation.
pub fn inherit_trace<F: Future>(work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current(), work)
}

/// Counts a call for the current invocation.
pub fn record_call(callee: Callee) {
    let count = |invocation: &Option<Arc<Invocation>>| {
        if let Some(invocation) = invocation {
            let counter = invocation.calls.counter(callee);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    };
    // Calls outside of invocations, such as during init, are not counted.
    let _ = CURRENT.try_with(count);
}

/// Returns the time at which the current invocation is given up, if it is known.
pub fn deadline() -> Option<Instant> {
    current()?.deadline
}

/// Records the caller of the current invocation.
pub fn record_caller(user: &UserId) {
    if let Some(invocation) = current() {
        invocation.caller.get_or_init(|| hash(user));
    }
}

/// Returns the trace of the current invocation.
pub fn trace() -> Option<Trace> {
    current()?.trace.clone()
}

/// Returns the first eight bytes of the SHA-256 of a user's id, in hexadecimal: enough to find a user's log lines, by
/// `printf %s <id> | sha256sum | cut -c1-16`.
fn hash(user: &UserId) -> String {
    let digest = Sha256::digest(user.as_str());
    let first = digest.as_slice().first_chunk().copied();
    format!("{:016x}", u64::from_be_bytes(first.unwrap_or_default()))
}

/// The trace of a request, as the load balancer names it in `X-Amzn-Trace-Id`: AWS's own trace id, `1-` with eight
/// hexadecimal digits of the time and 24 random ones.
///
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(String);

impl Trace {
    /// Parses the `Root` of a tracing header, if there is one. The client determines the fields before and after it.
    pub fn parse(header: &str) -> Option<Self> {
        let mut fields = header.split(';').map(str::trim);
        let root = fields.find_map(|field| field.strip_prefix("Root="))?;
        let (time, random) = root.strip_prefix("1-")?.split_once('-')?;
        let hex = |text: &str, digits| {
            text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        (hex(time, 8) && hex(random, 24)).then(|| Self(root.to_ascii_lowercase()))
    }

    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a tracing header with this trace.
    pub fn header(&self) -> String {
        format!("Root={}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "1-67891233-abcdef012345678912345678";

    #[test]
    fn trace_is_read_from_the_root_of_its_header() {
        for header in [
            format!("Root={ROOT}"),
            format!("Self=1-67891234-12456789abcdef012345678;Root={ROOT};Sampled=1"),
            // As queues take it.
            format!("Root={}", ROOT.to_ascii_uppercase()),
        ] {
            assert_eq!(Trace::parse(&header).unwrap().as_str(), ROOT);
        }
        let trace = Trace::parse(&format!("Root={ROOT}")).unwrap();
        assert_eq!(Trace::parse(&trace.header()), Some(trace));
    }

    #[test]
    fn malformed_trace_header_is_ignored() {
        for header in [
            "",
            "Root=",
            "Root=1-2-3",
            ROOT,
            "Root=1-67891233-abcdef01234567891234567",
            "Root=1-67891233-abcdef0123456789123456789",
            "Root=1-6789123x-abcdef012345678912345678",
            "Root=2-67891233-abcdef012345678912345678",
        ] {
            assert_eq!(Trace::parse(header), None, "{header}");
        }
    }

    #[tokio::test]
    async fn calls_are_counted_for_their_own_invocation() {
        record_call(Callee::Tables);
        let invocation = Invocation::new(None, Arc::default(), None);
        let work = async {
            record_call(Callee::Tables);
            tokio::spawn(inherit_trace(async { record_call(Callee::Cache) }))
                .await
                .unwrap();
            tokio::spawn(async { record_call(Callee::Cache) })
                .await
                .unwrap();
            record_caller(&UserId::parse("nabi").unwrap());
        };
        Arc::clone(&invocation).run(work).await;
        let calls = [Callee::Tables, Callee::Cache, Callee::Queues];
        assert_eq!(calls.map(|callee| invocation.calls().of(callee)), [1, 1, 0]);
        // printf %s nabi | sha256sum
        assert_eq!(invocation.caller(), Some("b047fc4e2d3fa838"));
    }
}
