//! The consumer of a queue of edges, likes or follows: applies the queued changes to the store, then updates the cache.
//!
//! All changes of a batch are applied together, so that the counter of a popular post or user is written once. Every
//! edge of the batch is refreshed in the cache, even one that the message doesn't change: the process that first
//! applied the message may have died before it reached the cache. While the cache is unreachable, the store keeps a
//! pending invalidation, which `sweep` carries out once the cache answers, and the messages count as handled.

use std::collections::HashSet;
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;

use crate::cache::{self, Cache};
use crate::consumer::{self, Consumer, Failed, Received};
use crate::domain::{Change, EdgeMessage, Invalidation, UserId};
use crate::store::{self, Applied, Store};
use crate::{aws, log};

/// The changes of a batch, each to an edge.
pub type Changes<K> = [(EdgeOf<K>, Change)];

/// The edges of a kind.
pub type EdgeOf<K> = <<K as EdgeKind>::Message as EdgeMessage>::Edge;

/// A kind of edge: the parts of its consumer that differ from others'.
pub trait EdgeKind: Send + Sync + 'static {
    /// The message that the queue carries.
    type Message: EdgeMessage<Edge: Clone + Debug + Eq + Hash + Send + Sync>
        + serde::de::DeserializeOwned
        + Clone
        + Send
        + Sync;

    /// The plural that names the edges in log lines.
    const NAME: &'static str;

    /// Returns whether such an edge can exist. A change of one that can't is dropped: the endpoint refuses it, so the
    /// message is a mistake.
    fn can_exist(_edge: &EdgeOf<Self>) -> bool {
        true
    }

    /// Applies changes to the store.
    fn apply(
        store: &Store,
        changes: Vec<(EdgeOf<Self>, Change)>,
    ) -> impl Future<Output = Applied<EdgeOf<Self>>> + Send;

    /// Updates the cache for these edges, whose current state is in the store.
    fn refresh(
        store: &Store,
        cache: &Cache,
        edges: &HashSet<EdgeOf<Self>>,
    ) -> impl Future<Output = Result<(), cache::Error>> + Send;

    /// Returns what the cache must forget if it can't be updated for these edges.
    fn invalidation(edges: HashSet<EdgeOf<Self>>) -> Invalidation;

    /// Does what remains once the cache is up to date; `at_limit` are the users who have the maximum number of edges.
    fn after_refresh(
        _cache: &Cache,
        _changes: &Changes<Self>,
        _at_limit: &HashSet<UserId>,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Counts the messages that were handled.
    fn count(handled: usize);
}

/// The consumer of a kind of edge.
struct EdgeConsumer<K> {
    store: Store,
    cache: Cache,
    kind: std::marker::PhantomData<K>,
}

/// Runs the consumer of a kind of edge until the platform ends the process.
pub async fn run<K: EdgeKind>() -> Result<(), lambda_runtime::Error> {
    log::init();
    let store = Store::from_env(&aws::config().await)?;
    consumer::run(EdgeConsumer::<K> {
        store,
        cache: Cache::from_env()?,
        kind: std::marker::PhantomData,
    })
    .await
}

impl<K: EdgeKind> Consumer for EdgeConsumer<K> {
    type Message = K::Message;
    const MAX_GROUP_SIZE: usize = usize::MAX;

    async fn handle(&self, batch: Vec<Received<K::Message>>) -> Vec<Failed> {
        let batch: Vec<_> = batch
            .into_iter()
            .filter(|received| K::can_exist(&received.message.edge()))
            .collect();
        let change = |received: &Received<K::Message>| {
            let Received { message, sent, .. } = received;
            (message.edge(), message.change(*sent))
        };
        let changes: Vec<_> = batch.iter().map(change).collect();
        let Applied { failures, at_limit } = K::apply(&self.store, changes.clone()).await;
        match self.refresh(&changes).await {
            Ok(true) => K::after_refresh(&self.cache, &changes, &at_limit).await,
            // Does not wait for an unreachable cache a second time.
            Ok(false) => {}
            Err(error) => return consumer::all_failed(&batch, &error),
        }
        let failed = consumer::failed(&batch, |message| {
            failures.get(&message.edge()).map(ToString::to_string)
        });
        K::count(batch.len() - failed.len());
        failed
    }
}

impl<K: EdgeKind> EdgeConsumer<K> {
    /// Updates the cache, or defers the update. Returns whether the cache is up to date.
    async fn refresh(&self, changes: &Changes<K>) -> Result<bool, store::Error> {
        let edges: HashSet<_> = changes.iter().map(|(edge, _)| edge.clone()).collect();
        let Err(error) = K::refresh(&self.store, &self.cache, &edges).await else {
            return Ok(true);
        };
        let error = log::chain(&error);
        let kind = K::NAME;
        let count = edges.len();
        tracing::warn!(error, kind, count, "the invalidation of the cache waits");
        let invalidation = K::invalidation(edges);
        self.store.defer_invalidation(&invalidation).await?;
        Ok(false)
    }
}
