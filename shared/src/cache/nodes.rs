//! Sends many commands at once, in a pipeline for each node of the cluster.
//!
//! Sending commands one by one costs the client more than executing them costs the server. A pipeline goes to one node,
//! which refuses keys of other nodes, so commands are grouped here by the nodes of their keys.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::try_join_all;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, Slot, SlotAddr};
use redis::{Arg, Cmd, Pipeline, RedisError, Value, cmd};

use super::connection::is_unconnected;
use super::{Cache, Error, count_round_trip};

/// The maximum number of commands in a pipeline, so that it is answered in time and the server can serve others in
/// between.
const COMMANDS_PER_PIPELINE: usize = 500;

/// The nodes of the cluster, by their slots.
#[derive(Debug, Default)]
pub(super) struct Nodes(HashMap<Slot, usize>);

impl Nodes {
    /// Reads the answer to `CLUSTER SLOTS`: runs of slots, each with its first slot, its last, and its node.
    fn read(answer: Vec<Vec<Value>>) -> Self {
        let mut names: Vec<Value> = Vec::new();
        let mut slots = HashMap::new();
        for run in answer {
            let mut run = run.into_iter();
            let mut slot = || redis::from_redis_value::<u16>(run.next()?).ok();
            let (Some(first), Some(last)) = (slot(), slot()) else {
                continue;
            };
            let node = run.next().unwrap_or(Value::Nil);
            let known = names.iter().position(|name| *name == node);
            let number = known.unwrap_or_else(|| {
                names.push(node);
                names.len() - 1
            });
            let run = (first..=last).filter_map(Slot::new);
            slots.extend(run.map(|slot| (slot, number)));
        }
        Self(slots)
    }
}

/// Commands for one node.
struct NodePipeline {
    route: Route,
    places: Vec<usize>,
    pipeline: Pipeline,
}

/// Returns a command's key: its first argument.
fn key(command: &Cmd) -> &[u8] {
    match command.args_iter().nth(1) {
        Some(Arg::Simple(key)) => key,
        _ => &[],
    }
}

impl Cache {
    /// Returns the answers to these commands, in their order. Each command must use one key, or keys of one slot. The
    /// caller counts the round trip.
    pub(super) async fn send_each(
        &self,
        commands: impl Fn() -> Vec<Cmd> + Send + Sync,
    ) -> Result<Vec<Value>, Error> {
        match self.send_by_node(commands()).await {
            // Some slots have moved to another node: send the commands one by one, so that the client finds it.
            Err(Error(error)) if error.redirect_node().is_some() => {
                self.set_known_nodes(None);
                try_join_all(commands().into_iter().map(|command| self.send(command))).await
            }
            // Try again on the connections that replaced the lost ones.
            Err(Error(error)) if is_unconnected(&error) => self.send_by_node(commands()).await,
            answers => answers,
        }
    }

    async fn send_by_node(&self, commands: Vec<Cmd>) -> Result<Vec<Value>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let nodes = self.nodes().await?;
        let mut pipelines: HashMap<Option<usize>, Vec<NodePipeline>> = HashMap::new();
        for (place, command) in commands.into_iter().enumerate() {
            let slot = Slot::for_key(key(&command));
            let pipelines = pipelines.entry(nodes.0.get(&slot).copied()).or_default();
            if pipelines
                .last()
                .is_none_or(|batch| batch.places.len() == COMMANDS_PER_PIPELINE)
            {
                pipelines.push(NodePipeline {
                    route: Route::with_slot(slot, SlotAddr::Master),
                    places: Vec::new(),
                    pipeline: Pipeline::new(),
                });
            }
            if let Some(batch) = pipelines.last_mut() {
                batch.places.push(place);
                batch.pipeline.add_command(command);
            }
        }
        let pipelines = pipelines.into_values().flatten();
        let mut answers = try_join_all(pipelines.map(|batch| self.send_to_node(batch)))
            .await?
            .concat();
        answers.sort_unstable_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Returns the answers to one node's commands, with their places.
    async fn send_to_node(&self, batch: NodePipeline) -> Result<Vec<(usize, Value)>, Error> {
        let NodePipeline {
            route,
            places,
            pipeline,
        } = batch;
        let route = SingleNodeRoutingInfo::SpecificNode(route);
        let sent = self
            .connection
            .route_pipeline(pipeline, 0, places.len(), route);
        let answers = sent.await?.into_iter().map(Value::extract_error);
        let answers = answers.collect::<Result<Vec<_>, RedisError>>()?;
        Ok(places.into_iter().zip(answers).collect())
    }

    pub(super) async fn nodes(&self) -> Result<Arc<Nodes>, Error> {
        if let Some(nodes) = self.known_nodes() {
            return Ok(nodes);
        }
        count_round_trip();
        let mut ask = cmd("CLUSTER");
        ask.arg("SLOTS");
        let nodes = Arc::new(Nodes::read(self.send(ask).await?));
        self.set_known_nodes(Some(Arc::clone(&nodes)));
        Ok(nodes)
    }

    fn known_nodes(&self) -> Option<Arc<Nodes>> {
        self.nodes.lock().ok()?.clone()
    }

    fn set_known_nodes(&self, nodes: Option<Arc<Nodes>>) {
        if let Ok(mut known) = self.nodes.lock() {
            *known = nodes;
        }
    }
}

/// Converts answers to Rust values.
pub(super) fn read<T: redis::FromRedisValue>(answers: Vec<Value>) -> Result<Vec<T>, Error> {
    let answers = answers.into_iter().map(redis::from_redis_value);
    Ok(answers
        .collect::<Result<_, _>>()
        .map_err(RedisError::from)?)
}
