//! The cache as `ElastiCache` describes it, found by its name.

use std::error::Error;

use aws_config::SdkConfig;
use aws_sdk_elasticache::Client;
use aws_sdk_elasticache::types::{Endpoint, ReplicationGroup, ServerlessCache};

use super::kind::Kind;

/// A cache on AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Serverless, or made of nodes.
    pub kind: Kind,
    /// The state, such as `available`.
    pub status: String,
    /// The address as in `CACHE_URL`; `None` while AWS is creating the cache, or if its cluster mode is off.
    pub url: Option<String>,
    /// Engine, size and limits, each with its name.
    pub details: Vec<(&'static str, String)>,
}

/// The reason why AWS did not describe a cache.
#[derive(Debug, thiserror::Error)]
pub enum NoDescription {
    /// AWS can't be reached, or refuses.
    #[error("can't be asked for at AWS")]
    Call(#[source] Box<dyn Error + Send + Sync>),
    /// There is no cache with this name.
    #[error("names no cache of this account and region")]
    NoSuchCache,
}

impl NoDescription {
    fn call(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Call(Box::new(error))
    }
}

impl Description {
    /// Asks AWS for the cache of this name, among caches of one kind, or of both if `kind` is `None`.
    pub async fn of(
        aws: &SdkConfig,
        name: &str,
        kind: Option<Kind>,
    ) -> Result<Self, NoDescription> {
        let client = Client::new(aws);
        if kind != Some(Kind::Nodes)
            && let Some(cache) = serverless(&client, name).await?
        {
            return Ok(Self::of_serverless(&cache));
        }
        if kind != Some(Kind::Serverless)
            && let Some(group) = nodes(&client, name).await?
        {
            return Ok(Self::of_nodes(&group));
        }
        Err(NoDescription::NoSuchCache)
    }

    fn of_serverless(cache: &ServerlessCache) -> Self {
        let limits = cache.cache_usage_limits();
        let data = limits.and_then(|limits| limits.data_storage());
        let data = data.map(|data| {
            let unit = data.unit().map_or("", |unit| unit.as_str());
            limit(data.minimum(), data.maximum(), unit)
        });
        let work = limits.and_then(|limits| limits.ecpu_per_second());
        let work = work.map(|work| limit(work.minimum(), work.maximum(), "ECPU a second"));
        let version = cache.full_engine_version();
        let details = [
            ("engine", engine(cache.engine(), version)),
            ("data", data),
            ("work", work),
            ("user group", cache.user_group_id().map(str::to_owned)),
        ];
        Self {
            kind: Kind::Serverless,
            status: cache.status().unwrap_or("unknown").to_owned(),
            // A serverless cache accepts only TLS.
            url: cache.endpoint().and_then(|endpoint| url(endpoint, true)),
            details: known(details),
        }
    }

    fn of_nodes(group: &ReplicationGroup) -> Self {
        let tls = group.transit_encryption_enabled().unwrap_or_default();
        let failover = group.automatic_failover().map(|it| it.as_str().to_owned());
        let details = [
            ("engine", engine(group.engine(), None)),
            ("node type", group.cache_node_type().map(str::to_owned)),
            ("shards", Some(group.node_groups().len().to_string())),
            ("nodes", Some(group.member_clusters().len().to_string())),
            ("failover", failover),
            ("user groups", Some(group.user_group_ids().join(", "))),
        ];
        // Without one, cluster mode is off, which the client does not support.
        let endpoint = group.configuration_endpoint();
        Self {
            kind: Kind::Nodes,
            status: group.status().unwrap_or("unknown").to_owned(),
            url: endpoint.and_then(|endpoint| url(endpoint, tls)),
            details: known(details),
        }
    }
}

async fn serverless(client: &Client, name: &str) -> Result<Option<ServerlessCache>, NoDescription> {
    let asked = client.describe_serverless_caches();
    match asked.serverless_cache_name(name).send().await {
        Ok(found) => Ok(found
            .serverless_caches
            .unwrap_or_default()
            .into_iter()
            .next()),
        Err(error) => match error.as_service_error() {
            Some(error) if error.is_serverless_cache_not_found_fault() => Ok(None),
            _ => Err(NoDescription::call(error)),
        },
    }
}

async fn nodes(client: &Client, name: &str) -> Result<Option<ReplicationGroup>, NoDescription> {
    let asked = client.describe_replication_groups();
    match asked.replication_group_id(name).send().await {
        Ok(found) => Ok(found
            .replication_groups
            .unwrap_or_default()
            .into_iter()
            .next()),
        Err(error) => match error.as_service_error() {
            Some(error) if error.is_replication_group_not_found_fault() => Ok(None),
            _ => Err(NoDescription::call(error)),
        },
    }
}

fn url(endpoint: &Endpoint, tls: bool) -> Option<String> {
    let scheme = if tls { "rediss" } else { "redis" };
    let (address, port) = (endpoint.address()?, endpoint.port()?);
    Some(format!("{scheme}://{address}:{port}"))
}

fn engine(name: Option<&str>, version: Option<&str>) -> Option<String> {
    let name = name?;
    Some(version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}")))
}

/// Formats a range with its unit, such as `at most 10 GB`.
fn limit(least: Option<i32>, most: Option<i32>, unit: &str) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most} {unit}"),
        (Some(least), None) => format!("at least {least} {unit}"),
        (None, Some(most)) => format!("at most {most} {unit}"),
        (None, None) => "no limit".to_owned(),
    }
}

fn known<const N: usize>(
    details: [(&'static str, Option<String>); N],
) -> Vec<(&'static str, String)> {
    let known = details.into_iter();
    known
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
        .collect()
}
