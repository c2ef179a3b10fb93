//! Reads the cache's content for operators, without changing it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Value, cmd, from_redis_value};

use super::keys::{
    author_key, counts_key, feed_key, following_key, post_key, timeline_key, viewer_key,
};
use super::{Cache, Error};
use crate::domain::{PostId, UserId};

/// A key, and the type, size and lifetime of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// The key.
    pub key: String,
    /// The type: `list`, `set`, `hash`, `string`; `None` if there is no such key.
    pub kind: Option<String>,
    /// The number of entries; of a string, the number of bytes.
    pub length: u64,
    /// The memory that the key takes in total, in bytes.
    pub bytes: u64,
    /// The time until it expires; `None` if it doesn't.
    pub expires_in: Option<Duration>,
}

impl Cache {
    /// Returns the keys of a user's feed, timeline, follows, likes and saves, and profile.
    pub async fn keys_of_user(&self, user: &UserId) -> Result<Vec<KeyInfo>, Error> {
        let keys = [
            feed_key,
            timeline_key,
            following_key,
            viewer_key,
            author_key,
        ];
        self.inspect_keys(keys.map(|key| key(user))).await
    }

    /// Returns the keys of a post and of its counts.
    pub async fn keys_of_post(&self, post: PostId) -> Result<Vec<KeyInfo>, Error> {
        self.inspect_keys([post_key(post), counts_key(post)]).await
    }

    async fn inspect_keys(
        &self,
        keys: impl IntoIterator<Item = String>,
    ) -> Result<Vec<KeyInfo>, Error> {
        try_join_all(keys.into_iter().map(|key| self.inspect_key(key))).await
    }

    async fn inspect_key(&self, key: String) -> Result<KeyInfo, Error> {
        let ask = |words: &[&str]| {
            let mut ask = cmd(words.first().copied().unwrap_or_default());
            ask.arg(words.get(1..)).arg(&key);
            ask
        };
        let (kind, bytes, millis): (String, Option<u64>, i64) = futures::try_join!(
            self.send(ask(&["TYPE"])),
            self.send(ask(&["MEMORY", "USAGE"])),
            self.send(ask(&["PTTL"])),
        )?;
        let length = match kind.as_str() {
            "list" => "LLEN",
            "set" => "SCARD",
            "hash" => "HLEN",
            _ => "STRLEN",
        };
        let length = match kind.as_str() {
            "none" => 0,
            _ => self.send(ask(&[length])).await?,
        };
        Ok(KeyInfo {
            kind: (kind != "none").then_some(kind),
            length,
            bytes: bytes.unwrap_or_default(),
            expires_in: u64::try_from(millis).ok().map(Duration::from_millis),
            key,
        })
    }

    /// Returns each node's `INFO`, by the node's address.
    pub async fn node_info(&self) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllNodes, None));
        let info = self.connection.route_command(cmd("INFO"), all).await?;
        let info: BTreeMap<String, Value> =
            from_redis_value(info).map_err(redis::RedisError::from)?;
        let read = |(node, info)| {
            let info: String = from_redis_value(info).map_err(redis::RedisError::from)?;
            let lines = info.lines().filter_map(|line| line.trim().split_once(':'));
            let lines = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Ok((node, lines.collect()))
        };
        info.into_iter().map(read).collect()
    }
}
