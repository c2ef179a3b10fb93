//! The limits that template.yaml sets. It is compiled in, so that no limit is stated twice.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde::Serialize;

use crate::Error;

const FILE: &str = include_str!("../../../template.yaml");

/// The settings of a queue and of its event source mapping.
#[derive(Debug, Clone, Serialize)]
pub struct Mapping {
    /// `BatchSize`.
    pub batch: f64,
    /// `MaximumBatchingWindowInSeconds`.
    pub window: f64,
    /// `MaximumConcurrency`.
    pub concurrency: f64,
    /// `Timeout` of the function, in seconds.
    pub timeout: f64,
    /// `VisibilityTimeout`, in seconds.
    pub visibility: f64,
    /// `maxReceiveCount`.
    pub tries: f64,
}

/// The settings that plans depend on.
#[derive(Debug, Clone)]
pub struct Template {
    /// `MemorySize` of each function, by its folder.
    pub memory_mb: BTreeMap<String, f64>,
    /// Mappings, by the queue's name without `Queue`.
    pub queues: BTreeMap<String, Mapping>,
    /// The cache's `DataStorage` limit, in GB.
    pub cache_gb: f64,
    /// The cache's `ECPUPerSecond` limit.
    pub cache_ecpus: f64,
    /// Rules of the load balancer.
    pub rules: f64,
    /// `MaxTTL` of pictures at the edges, in seconds.
    pub picture_seconds: f64,
    /// Metrics that alarms watch.
    pub alarm_metrics: f64,
    pub dashboards: f64,
    /// The number of followers from which an author's posts are merged when they are read.
    pub influencer_followers: f64,
}

/// The default if the template has no such parameter.
const INFLUENCER_FOLLOWERS: f64 = 10_000.0;

/// A node of the template, with the parameters that it may refer to.
#[derive(Clone, Copy)]
struct Node<'a> {
    yaml: Option<&'a YamlOwned>,
    parameters: Option<&'a YamlOwned>,
    mappings: Option<&'a YamlOwned>,
}

impl<'a> Node<'a> {
    fn get(self, name: &str) -> Self {
        let yaml = self.yaml.and_then(|yaml| yaml.as_mapping_get(name));
        Self { yaml, ..self }
    }

    fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let mapping = self.yaml.and_then(YamlOwned::as_mapping);
        let entries = mapping.into_iter().flatten();
        entries.filter_map(move |(name, yaml)| {
            let yaml = Some(yaml);
            Some((name.as_str()?, Self { yaml, ..self }))
        })
    }

    fn items(self) -> impl Iterator<Item = Self> {
        let items = self.yaml.and_then(YamlOwned::as_sequence);
        let items = items.into_iter().flatten();
        items.map(move |yaml| Self {
            yaml: Some(yaml),
            ..self
        })
    }

    fn text(self) -> Option<&'a str> {
        match self.yaml? {
            YamlOwned::Tagged(tag, inner) if tag.suffix == "Ref" => {
                let parameter = self.parameters?.as_mapping_get(inner.as_str()?)?;
                parameter.as_mapping_get("Default")?.as_str()
            }
            YamlOwned::Tagged(_, inner) => inner.as_str(),
            other => other.as_str(),
        }
    }

    /// Returns a number, taking a parameter's default and evaluating functions of defaults.
    fn number(self) -> Option<f64> {
        match self.yaml? {
            YamlOwned::Value(ScalarOwned::Integer(value)) => value.to_string().parse().ok(),
            YamlOwned::Value(ScalarOwned::FloatingPoint(value)) => Some(value.into_inner()),
            YamlOwned::Tagged(tag, inner) if tag.suffix == "Ref" => {
                let yaml = self.parameters?.as_mapping_get(inner.as_str()?)?;
                let yaml = yaml.as_mapping_get("Default");
                Self { yaml, ..self }.number()
            }
            // Plans are for the defaults, for which the conditions don't hold: take the last branch.
            YamlOwned::Tagged(tag, inner) if tag.suffix == "If" => {
                let yaml = inner.as_sequence()?.last();
                Self { yaml, ..self }.number()
            }
            YamlOwned::Tagged(tag, inner) if tag.suffix == "FindInMap" => {
                let [map, key, field] = inner.as_sequence()?.as_slice() else {
                    return None;
                };
                let key = Self {
                    yaml: Some(key),
                    ..self
                };
                let mapping = self.mappings?.as_mapping_get(map.as_str()?)?;
                let row = mapping.as_mapping_get(&key.number()?.to_string())?;
                let yaml = row.as_mapping_get(field.as_str()?);
                Self { yaml, ..self }.number()
            }
            _ => None,
        }
    }
}

fn needed(node: Node<'_>, what: &str) -> Result<f64, Error> {
    let missing = || Error::file("template.yaml", format!("{what} is missing"));
    node.number().ok_or_else(missing)
}

impl Template {
    /// Returns the compiled-in settings.
    pub fn built_in() -> Result<Self, Error> {
        Self::parse(FILE)
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let documents = YamlOwned::load_from_str(text);
        let documents = documents.map_err(|error| Error::file("template.yaml", error))?;
        let yaml = documents.first();
        let parameters = yaml.and_then(|yaml| yaml.as_mapping_get("Parameters"));
        let mappings = yaml.and_then(|yaml| yaml.as_mapping_get("Mappings"));
        let root = Node {
            yaml,
            parameters,
            mappings,
        };
        let resources = root.get("Resources");
        let usual = root.get("Globals").get("Function");
        let usual_memory = needed(usual.get("MemorySize"), "Globals.Function.MemorySize")?;
        let mut template = Self {
            memory_mb: BTreeMap::new(),
            queues: BTreeMap::new(),
            cache_gb: f64::INFINITY,
            cache_ecpus: f64::INFINITY,
            rules: 0.0,
            picture_seconds: 0.0,
            alarm_metrics: 0.0,
            dashboards: 0.0,
            influencer_followers: root
                .get("Parameters")
                .get("InfluencerFollowers")
                .get("Default")
                .number()
                .unwrap_or(INFLUENCER_FOLLOWERS),
        };
        for (name, resource) in resources.entries() {
            let properties = resource.get("Properties");
            match resource.get("Type").text() {
                Some("AWS::Serverless::Function") => {
                    let folder = properties.get("CodeUri").text().unwrap_or(name);
                    let folder = folder.rsplit('/').next().unwrap_or(folder);
                    let memory = properties.get("MemorySize").number();
                    let memory = memory.unwrap_or(usual_memory);
                    template.memory_mb.insert(folder.to_owned(), memory);
                    for (_, event) in properties.get("Events").entries() {
                        template.add_mapping(properties, event, resources)?;
                    }
                }
                Some("AWS::ElasticLoadBalancingV2::ListenerRule") => template.rules += 1.0,
                Some("AWS::CloudFront::CachePolicy") => {
                    let policy = properties.get("CachePolicyConfig");
                    template.picture_seconds = needed(policy.get("MaxTTL"), "MaxTTL")?;
                }
                Some("AWS::CloudWatch::Dashboard") => template.dashboards += 1.0,
                Some("AWS::CloudWatch::Alarm") => {
                    let metrics = properties.get("Metrics").items();
                    let watched = metrics.filter(|metric| metric.get("MetricStat").yaml.is_some());
                    // An alarm without a list names its one metric itself.
                    template.alarm_metrics += watched.map(|_| 1.0).sum::<f64>().max(1.0);
                }
                Some("AWS::ElastiCache::ServerlessCache") => {
                    let limits = properties.get("CacheUsageLimits");
                    let most = |of: &str| limits.get(of).get("Maximum").number();
                    template.cache_gb = most("DataStorage").unwrap_or(f64::INFINITY);
                    template.cache_ecpus = most("ECPUPerSecond").unwrap_or(f64::INFINITY);
                }
                _ => {}
            }
        }
        Ok(template)
    }

    fn add_mapping(
        &mut self,
        function: Node<'_>,
        event: Node<'_>,
        resources: Node<'_>,
    ) -> Result<(), Error> {
        if event.get("Type").text() != Some("SQS") {
            return Ok(());
        }
        let says = event.get("Properties");
        // `!GetAtt LikesQueue.Arn`
        let queue = says.get("Queue").text().unwrap_or_default();
        let queue = queue.split('.').next().unwrap_or_default();
        let itself = resources.get(queue).get("Properties");
        let needed = |node: Node<'_>, what: &str| needed(node, &format!("{queue}: {what}"));
        let mapping = Mapping {
            batch: needed(says.get("BatchSize"), "BatchSize")?,
            window: says
                .get("MaximumBatchingWindowInSeconds")
                .number()
                .unwrap_or(0.0),
            concurrency: needed(
                says.get("ScalingConfig").get("MaximumConcurrency"),
                "MaximumConcurrency",
            )?,
            timeout: needed(function.get("Timeout"), "Timeout")?,
            visibility: needed(itself.get("VisibilityTimeout"), "VisibilityTimeout")?,
            tries: needed(
                itself.get("RedrivePolicy").get("maxReceiveCount"),
                "maxReceiveCount",
            )?,
        };
        let name = queue.strip_suffix("Queue").unwrap_or(queue);
        self.queues.insert(name.to_owned(), mapping);
        Ok(())
    }

    /// Returns a function's memory in megabytes.
    pub fn memory(&self, function: &str) -> Result<f64, Error> {
        let found = self.memory_mb.get(function).copied();
        found.ok_or_else(|| Error::file("template.yaml", format!("no function {function}")))
    }

    /// Returns a queue's mapping.
    pub fn queue(&self, name: &str) -> Result<&Mapping, Error> {
        let found = self.queues.get(name);
        found.ok_or_else(|| Error::file("template.yaml", format!("no queue {name}Queue")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_has_every_setting_of_the_plan() {
        let template = Template::built_in().unwrap();
        for queue in ["Likes", "Follows", "FanOut", "Index"] {
            let mapping = template.queue(queue).unwrap();
            assert!(
                mapping.batch >= 1.0 && mapping.concurrency >= 2.0,
                "{queue}"
            );
            let shortest = 6.0 * mapping.timeout + mapping.window;
            assert!(mapping.visibility >= shortest, "{queue}");
        }
        // The queue hides a message for longer than its consumer can work on it.
        let photos = template.queue("Photos").unwrap();
        assert!(photos.visibility > photos.timeout && photos.batch >= 1.0);
        assert!(template.picture_seconds >= 60.0);
        assert!(template.memory("classify").unwrap() >= 128.0);
        assert!(template.memory("feed").unwrap() >= 128.0);
        assert!(template.rules > 10.0);
        assert!(template.alarm_metrics > 10.0);
        assert!((template.dashboards - 1.0).abs() < f64::EPSILON);
        assert!(template.cache_ecpus.is_finite());
    }

    #[test]
    fn every_measured_function_and_queue_is_in_the_template() {
        let template = Template::built_in().unwrap();
        let measured = crate::measured::Measured::built_in().unwrap();
        for (name, queue) in &measured.queue {
            assert!(template.queue(name).is_ok(), "{name}");
            assert!(template.memory(&queue.function).is_ok(), "{name}");
        }
    }
}
