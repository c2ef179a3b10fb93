//! Pushing a post onto many lists.
//!
//! `RPUSHX` touches only lists that are there, and tells how long they are then. Pushes go out in pipelines, one
//! for each node of the cluster, some at a time: a pipeline goes to one node, which refuses keys that are not
//! its own. Where the cluster has changed since it was asked, they go one by one, by the client's own routing.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, Slot, SlotAddr};
use redis::{Pipeline, Value, cmd};

use super::feeds::{feed_key, wrote_key};
use super::lists::{element, merged_mark};
use super::{Cache, Error};
use crate::domain::{PostId, UserId};
use crate::planted::planted;

/// How many lists one pipeline pushes onto.
const LISTS_PER_PIPELINE: usize = 500;
/// How many pipelines are under way at a time, and how many single commands.
const PIPELINES_AT_ONCE: usize = 3;
const COMMANDS_AT_ONCE: usize = 256;

/// What is pushed onto lists.
#[derive(Debug, Clone)]
pub struct Push {
    /// The post.
    pub post: PostId,
    /// Its author, if the author's own list is to be merged in from now on.
    pub merging: Option<UserId>,
    /// Whether some of the lists may have the post already: then each is looked at first.
    pub again: bool,
}

impl Push {
    /// A post, for the first time.
    pub const fn of(post: PostId) -> Self {
        Self {
            post,
            merging: None,
            again: false,
        }
    }
}

/// Which node of the cluster has which slot.
#[derive(Debug, Default)]
pub(super) struct Nodes(HashMap<Slot, usize>);

impl Nodes {
    /// As `CLUSTER SLOTS` answers: runs of slots, each with its first, its last, and the node that has them.
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

    fn of(&self, key: &str) -> Option<usize> {
        self.0.get(&Slot::for_key(key)).copied()
    }
}

impl Cache {
    /// Pushes a post onto the feeds of these users, as far as they are there; twice is once.
    pub async fn push(&self, push: &Push, feeds: &[UserId]) -> Result<(), Error> {
        self.push_onto(push, feeds.iter().map(feed_key).collect())
            .await
    }

    /// Pushes a post onto its author's own lists: the feed, and what the author wrote of late.
    pub async fn push_own(&self, post: PostId, author: &UserId) -> Result<(), Error> {
        let mut lists = vec![feed_key(author), wrote_key(author)];
        if planted("wrote-stays") {
            lists.truncate(1);
        }
        self.push_onto(&Push::of(post), lists).await
    }

    async fn push_onto(&self, push: &Push, lists: Vec<String>) -> Result<(), Error> {
        let pipelines = futures::stream::iter(self.by_node(lists).await?)
            .map(|lists| self.push_pipeline(push, lists))
            .buffer_unordered(PIPELINES_AT_ONCE);
        pipelines.try_collect().await
    }

    /// Parts of these lists that can be pushed onto together.
    async fn by_node(&self, lists: Vec<String>) -> Result<Vec<Vec<String>>, Error> {
        if lists.len() <= 1 {
            return Ok(vec![lists]);
        }
        let nodes = self.nodes().await?;
        let mut parts: HashMap<Option<usize>, Vec<Vec<String>>> = HashMap::new();
        for list in lists {
            let parts = parts.entry(nodes.of(&list)).or_default();
            match parts.last_mut() {
                Some(part) if part.len() < LISTS_PER_PIPELINE => part.push(list),
                _ => parts.push(vec![list]),
            }
        }
        Ok(parts.into_values().flatten().collect())
    }

    async fn nodes(&self) -> Result<Arc<Nodes>, Error> {
        if let Some(nodes) = self.known_nodes() {
            return Ok(nodes);
        }
        self.count_trip();
        let mut connection = self.connection.clone();
        let mut ask = cmd("CLUSTER");
        ask.arg("SLOTS");
        let answer: Vec<Vec<Value>> = ask.query_async(&mut connection).await?;
        let nodes = Arc::new(Nodes::read(answer));
        self.know_nodes(Some(Arc::clone(&nodes)));
        Ok(nodes)
    }

    fn known_nodes(&self) -> Option<Arc<Nodes>> {
        self.nodes.lock().ok()?.clone()
    }

    fn know_nodes(&self, nodes: Option<Arc<Nodes>>) {
        if let Ok(mut known) = self.nodes.lock() {
            *known = nodes;
        }
    }

    /// Pushes onto lists of one node.
    async fn push_pipeline(&self, push: &Push, lists: Vec<String>) -> Result<(), Error> {
        // A list that has the post may still not know that the author is merged in.
        let lists = if push.again && (push.merging.is_none() || planted("mark-skipped")) {
            self.without(push.post, lists).await?
        } else {
            lists
        };
        let post = element(push.post);
        let mark = push.merging.as_ref().map(merged_mark);
        let elements: Vec<Vec<u8>> = mark.into_iter().chain([post]).collect();
        let add = |pipeline: &mut Pipeline, list: &String| {
            pipeline.cmd("RPUSHX").arg(list).arg(&elements);
        };
        let lengths: Vec<usize> = self.each_of_node(&lists, add).await?;
        let mut long = lists;
        let mut lengths = lengths.into_iter();
        long.retain(|_| lengths.next().is_some_and(|length| length >= self.cut_at()));
        futures::stream::iter(long)
            .map(|list| async move { self.cut(&list).await })
            .buffer_unordered(COMMANDS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Those of these lists, of one node, that don't have the post.
    async fn without(&self, post: PostId, lists: Vec<String>) -> Result<Vec<String>, Error> {
        let post = element(post);
        let ask = |pipeline: &mut Pipeline, list: &String| {
            // From the end: it was pushed of late.
            let ask = pipeline.cmd("LPOS").arg(list).arg(&post);
            ask.arg("RANK").arg(-1);
        };
        let places: Vec<Option<usize>> = self.each_of_node(&lists, ask).await?;
        let without = lists.into_iter().zip(places);
        let without = without.filter(|(_, place)| place.is_none());
        Ok(without.map(|(list, _)| list).collect())
    }

    /// The answers to one command for each of these lists of one node.
    async fn each_of_node<T: redis::FromRedisValue>(
        &self,
        lists: &[String],
        command: impl Fn(&mut Pipeline, &String),
    ) -> Result<Vec<T>, Error> {
        let Some(first) = lists.first() else {
            return Ok(Vec::new());
        };
        self.count_trip();
        let mut pipeline = Pipeline::with_capacity(lists.len());
        for list in lists {
            command(&mut pipeline, list);
        }
        let route = Route::with_key(first, SlotAddr::Master);
        let route = SingleNodeRoutingInfo::SpecificNode(route);
        let mut connection = self.connection.clone();
        let sent = connection.route_pipeline(pipeline, 0, lists.len(), route);
        if let Ok(answers) = sent.await {
            let answers = answers.into_iter().map(redis::from_redis_value);
            return Ok(answers
                .collect::<Result<_, _>>()
                .map_err(redis::RedisError::from)?);
        }
        // The cluster is another by now, or a node was lost: one by one, as the client finds them.
        self.know_nodes(None);
        let alone = |list: &String| {
            let mut pipeline = Pipeline::new();
            command(&mut pipeline, list);
            pipeline
        };
        futures::stream::iter(lists.iter().map(alone).collect::<Vec<_>>())
            .map(|pipeline| {
                let mut connection = self.connection.clone();
                async move {
                    let (answer,): (T,) = pipeline.query_async(&mut connection).await?;
                    Ok(answer)
                }
            })
            .buffered(COMMANDS_AT_ONCE)
            .try_collect()
            .await
    }
}
