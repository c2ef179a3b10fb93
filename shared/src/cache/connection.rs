//! The connections to the cache's nodes, replaced where the client would not replace them, or not in time.
//!
//! * A node that shuts down closes its connections, and the client finds its successor. A node that falls silent (its
//!   machine is lost, its network partitioned, its process hangs) does not close them: the client would keep waiting
//!   long after a replica has taken over.
//! * When all connections were closed after a long idle time, the client reports that they ended, or that there are
//!   none, until it has opened a new one, which may take longer than its retries last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection as Connection;
#[cfg(feature = "audit")]
use redis::cluster_routing::RoutingInfo;
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::time::Instant;

/// The number of calls without an answer after which the connections are replaced. Each has waited for the full
/// timeout, all its retries included.
const MAX_TIMEOUTS: u32 = 2;
/// The minimum time between two epochs: new connections do not help a cache that is merely slow.
const MIN_EPOCH: Duration = Duration::from_secs(1);

/// The connections to the nodes of the cluster. Cheap to clone.
#[derive(Clone)]
pub(super) struct ClusterConnection(Arc<Shared>);

struct Shared {
    client: ClusterClient,
    epoch: Mutex<Epoch>,
}

/// The connections to all nodes, from one replacement to the next.
#[derive(Clone)]
struct Epoch {
    connection: Connection,
    began: Instant,
    timeouts: u32,
}

impl ClusterConnection {
    /// Connects in the background. Needs a running executor.
    pub(super) fn open(client: ClusterClient) -> Self {
        let epoch = Mutex::new(Epoch::begin(&client));
        Self(Arc::new(Shared { client, epoch }))
    }

    #[cfg(feature = "audit")]
    pub(super) async fn route_command(
        &self,
        command: Cmd,
        route: RoutingInfo,
    ) -> RedisResult<Value> {
        let send = |mut connection: Connection| {
            let (command, route) = (command.clone(), route.clone());
            async move { connection.route_command(command, route).await }
        };
        self.call(send).await
    }

    /// Sends a pipeline once, without a retry: it may be long, and the caller can build it again.
    pub(super) async fn route_pipeline(
        &self,
        pipeline: Pipeline,
        offset: usize,
        count: usize,
        route: SingleNodeRoutingInfo,
    ) -> RedisResult<Vec<Value>> {
        let mut used = self.epoch().clone();
        let sent = used
            .connection
            .route_pipeline(pipeline, offset, count, route);
        let outcome = sent.await;
        let _ = self.replacement(used.began, outcome.as_ref().err());
        outcome
    }

    async fn call<T, F>(&self, send: impl Fn(Connection) -> F) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let used = self.epoch().clone();
        let outcome = send(used.connection).await;
        match self.replacement(used.began, outcome.as_ref().err()) {
            Some(connection) => send(connection).await,
            None => outcome,
        }
    }

    /// Records an error on the connections of an epoch. Returns the connections to use instead, if those are lost.
    fn replacement(&self, began: Instant, error: Option<&RedisError>) -> Option<Connection> {
        match error {
            Some(error) if error.is_timeout() => {
                self.record_timeout(began);
                None
            }
            Some(error) if is_unconnected(error) => self.reconnect(began),
            _ => None,
        }
    }

    fn epoch(&self) -> MutexGuard<'_, Epoch> {
        let epoch = self.0.epoch.lock();
        epoch.unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a call on the connections of an epoch got no answer.
    fn record_timeout(&self, began: Instant) {
        let mut epoch = self.epoch();
        if epoch.began != began {
            return;
        }
        epoch.timeouts = epoch.timeouts.saturating_add(1);
        if epoch.timeouts >= MAX_TIMEOUTS && epoch.began.elapsed() >= MIN_EPOCH {
            tracing::warn!("the cache has fallen silent, it is connected to anew");
            *epoch = Epoch::begin(&self.0.client);
        }
    }

    /// Returns connections that replace the lost ones of an epoch; `None` if it is too soon for that.
    fn reconnect(&self, began: Instant) -> Option<Connection> {
        let mut epoch = self.epoch();
        if epoch.began == began {
            if epoch.began.elapsed() < MIN_EPOCH {
                return None;
            }
            *epoch = Epoch::begin(&self.0.client);
        }
        Some(epoch.connection.clone())
    }
}

/// Returns true if there was no connection to send on, or the connection ended. The command may then be sent again, as
/// the client itself does: every command is safe to repeat.
pub(super) fn is_unconnected(error: &RedisError) -> bool {
    error.kind() == ErrorKind::ClusterConnectionNotFound || error.is_connection_dropped()
}

impl Epoch {
    fn begin(client: &ClusterClient) -> Self {
        Self {
            connection: client.get_pending_async_connection_with_config(ClusterConfig::new()),
            began: Instant::now(),
            timeouts: 0,
        }
    }
}

impl ConnectionLike for ClusterConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let send = move |mut connection: Connection| async move {
            connection.req_packed_command(command).await
        };
        Box::pin(self.call(send))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let send = move |mut connection: Connection| async move {
            let sent = connection.req_packed_commands(pipeline, offset, count);
            sent.await
        };
        Box::pin(self.call(send))
    }

    fn get_db(&self) -> i64 {
        0
    }
}
