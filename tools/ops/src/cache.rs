//! A look into the cache.

use clap::Args;
use purrline::cache::{Cache, Description, KeyInfo, Kind};
use purrline::domain::{PostId, UserId};
use purrline::{aws, env};

use crate::error::Error;

/// The fields of `INFO` that show whether a node is well.
const INFO_FIELDS: [&str; 10] = [
    "redis_version",
    "valkey_version",
    "role",
    "uptime_in_seconds",
    "connected_clients",
    "used_memory_human",
    "maxmemory_human",
    "keyspace_hits",
    "keyspace_misses",
    "evicted_keys",
];

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// Show the keys of this user, without the token buckets.
    #[arg(long, value_parser = UserId::parse, conflicts_with = "post")]
    user: Option<UserId>,
    /// Show the keys of this post.
    #[arg(long, value_parser = PostId::parse)]
    post: Option<PostId>,
}

impl Command {
    pub(crate) async fn run(self, on_aws: bool) -> Result<(), Error> {
        // AWS comes first, since it answers from anywhere, whereas the cache answers only from inside its network.
        if on_aws && self.user.is_none() && self.post.is_none() {
            describe().await?;
        }
        let cache = Cache::from_env()?;
        match (self.user, self.post) {
            (Some(user), _) => print(&cache.keys_of_user(&user).await?),
            (_, Some(post)) => print(&cache.keys_of_post(post).await?),
            (None, None) => nodes(&cache).await?,
        }
        Ok(())
    }
}

/// Prints the cache's state and limits, as AWS reports them.
async fn describe() -> Result<(), Error> {
    let name = env::required("CACHE_NAME")?;
    let described = Description::of(&aws::config().await, &name, Kind::from_env()?).await;
    let described = described.map_err(|error| Error::NoDescription(name.clone(), error))?;
    let kind = match described.kind {
        Kind::Serverless => "serverless",
        Kind::Nodes => "nodes",
    };
    println!("{name}");
    let url = described.url.map(|url| ("address", url));
    let first = [("kind", kind.to_owned()), ("status", described.status)];
    for (name, value) in first.into_iter().chain(url).chain(described.details) {
        println!("  {name:18} {value}");
    }
    Ok(())
}

async fn nodes(cache: &Cache) -> Result<(), Error> {
    for (node, info) in cache.node_info().await? {
        println!("{node}");
        let shown = INFO_FIELDS
            .into_iter()
            .filter_map(|name| Some((name, info.get(name)?)));
        for (name, value) in shown {
            println!("  {name:18} {value}");
        }
        for (database, keys) in info.iter().filter(|(name, _)| is_database(name)) {
            println!("  {database:18} {keys}");
        }
    }
    Ok(())
}

/// Returns whether a line of `INFO` is about a database's keys: `db0`.
fn is_database(name: &str) -> bool {
    let number = name.strip_prefix("db").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Prints a table of keys.
pub(crate) fn print(keys: &[KeyInfo]) {
    for info in keys {
        let Some(kind) = &info.kind else {
            println!("  {:44} nothing", info.key);
            continue;
        };
        let goes = info.expires_in.map_or_else(
            || "stays".to_owned(),
            |left| format!("goes in {} s", left.as_secs()),
        );
        println!(
            "  {:44} {kind:6} {:>6} {:>8} bytes, {goes}",
            info.key, info.length, info.bytes
        );
    }
}
