//! The connections to the cache's nodes, which are made anew where the client would not, or not in time.
//!
//! * A node that ends closes its connections, and the client finds who has taken over. One that falls silent (its machine is
//!   lost, its network parted, its process hangs) does not: the client would go on waiting where nothing comes any more, long
//!   after a replica has taken over.
//! * When all connections were closed, because nobody used them for long, the client answers that they ended, or that there
//!   are none, until it has made one, which may be longer than its retries last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
#[cfg(feature = "audit")]
use redis::cluster_routing::RoutingInfo;
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::time::Instant;

/// After how many calls without an answer, since connections were made, they are made anew. Each has waited its whole
/// time, all its tries included.
const SILENCES: u32 = 2;
/// How soon they are made anew at most: a cache that is merely slow is not helped by greetings.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Line(Arc<Ends>);

struct Ends {
    client: ClusterClient,
    made: Mutex<Made>,
}

/// Connections to all nodes.
#[derive(Clone)]
struct Made {
    connection: ClusterConnection,
    at: Instant,
    silences: u32,
}

impl Line {
    /// Needs a running executor; connects in the background.
    pub(super) fn open(client: ClusterClient) -> Self {
        let made = Mutex::new(Made::by(&client));
        Self(Arc::new(Ends { client, made }))
    }

    #[cfg(feature = "audit")]
    pub(super) async fn route_command(
        &self,
        command: Cmd,
        route: RoutingInfo,
    ) -> RedisResult<Value> {
        let send = |mut connection: ClusterConnection| {
            let (command, route) = (command.clone(), route.clone());
            async move { connection.route_command(command, route).await }
        };
        self.call(send).await
    }

    /// Sends it once only: it may be long, and who has it can make it again.
    pub(super) async fn route_pipeline(
        &self,
        pipeline: Pipeline,
        offset: usize,
        count: usize,
        route: SingleNodeRoutingInfo,
    ) -> RedisResult<Vec<Value>> {
        let mut used = self.made().clone();
        let sent = used
            .connection
            .route_pipeline(pipeline, offset, count, route);
        let outcome = sent.await;
        let _ = self.instead(used.at, outcome.as_ref().err());
        outcome
    }

    async fn call<T, F>(&self, send: impl Fn(ClusterConnection) -> F) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let used = self.made().clone();
        let outcome = send(used.connection).await;
        match self.instead(used.at, outcome.as_ref().err()) {
            Some(connection) => send(connection).await,
            None => outcome,
        }
    }

    /// Takes note of what went wrong on the connections that were made then. The ones to be used instead, if those are gone.
    fn instead(&self, then: Instant, error: Option<&RedisError>) -> Option<ClusterConnection> {
        match error {
            Some(error) if error.is_timeout() => {
                self.was_silent(then);
                None
            }
            Some(error) if is_unconnected(error) => self.after(then),
            _ => None,
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        let made = self.0.made.lock();
        made.unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody answered a call on the connections that were made then.
    fn was_silent(&self, then: Instant) {
        let mut made = self.made();
        if made.at != then {
            return;
        }
        made.silences = made.silences.saturating_add(1);
        if made.silences >= SILENCES && made.at.elapsed() >= AT_MOST_EVERY {
            tracing::warn!("the cache has fallen silent, it is connected to anew");
            *made = Made::by(&self.0.client);
        }
    }

    /// Connections in place of those that were made then, and are gone; nothing if it is too soon.
    fn after(&self, then: Instant) -> Option<ClusterConnection> {
        let mut made = self.made();
        if made.at == then {
            if made.at.elapsed() < AT_MOST_EVERY {
                return None;
            }
            *made = Made::by(&self.0.client);
        }
        Some(made.connection.clone())
    }
}

/// Whether there was no connection to send anything on, or it ended. Then a command may be sent again, as the client does
/// itself: none does harm twice.
pub(super) fn is_unconnected(error: &RedisError) -> bool {
    error.kind() == ErrorKind::ClusterConnectionNotFound || error.is_connection_dropped()
}

impl Made {
    fn by(client: &ClusterClient) -> Self {
        Self {
            connection: client.get_pending_async_connection_with_config(ClusterConfig::new()),
            at: Instant::now(),
            silences: 0,
        }
    }
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let send = move |mut connection: ClusterConnection| async move {
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
        let send = move |mut connection: ClusterConnection| async move {
            let sent = connection.req_packed_commands(pipeline, offset, count);
            sent.await
        };
        Box::pin(self.call(send))
    }

    fn get_db(&self) -> i64 {
        0
    }
}
