//! Tables, queues and buckets.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::TemplateError;
use super::evaluate::Evaluator;
use super::plan::{Bucket, Cors, Expiry, Index, Key, Plan, Queue, Redrive, Table};
use super::read_delivery;
use super::read_notifications;
use super::reader::Reader;

type Result<T> = std::result::Result<T, TemplateError>;

/// The properties of a queue that are attributes of `CreateQueue`.
const QUEUE_ATTRIBUTES: [&str; 7] = [
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
    "FifoQueue",
    "ContentBasedDeduplication",
];

pub(super) fn read(evaluator: &Evaluator<'_>, plan: &mut Plan) -> Result<()> {
    for (id, node) in evaluator.resources("AWS::DynamoDB::Table")? {
        let properties = evaluator.properties(id, node)?;
        plan.tables.push(table(
            id,
            evaluator.physical_name(id, "TableName")?,
            &properties,
        )?);
    }
    for (id, node) in evaluator.resources("AWS::SQS::Queue")? {
        let properties = evaluator.properties(id, node)?;
        plan.queues.push(queue(
            id,
            evaluator.physical_name(id, "QueueName")?,
            &properties,
            evaluator,
        )?);
    }
    for (id, node) in evaluator.resources("AWS::S3::Bucket")? {
        let properties = evaluator.properties(id, node)?;
        let name = evaluator.physical_name(id, "BucketName")?.to_lowercase();
        plan.buckets.push(Bucket {
            logical_id: id.to_owned(),
            name,
            cors: cors(&properties)?,
            expiry: expiry(&properties)?,
            notifications: read_notifications::read(evaluator, id, &properties, &plan.queues)?,
        });
    }
    for kind in ["ServerlessCache", "ReplicationGroup", "CacheCluster"] {
        plan.has_cache |= !evaluator
            .resources(&format!("AWS::ElastiCache::{kind}"))?
            .is_empty();
    }
    plan.media = read_delivery::read(evaluator, &plan.buckets)?;
    Ok(())
}

fn queue(id: &str, name: String, properties: &Reader, evaluator: &Evaluator<'_>) -> Result<Queue> {
    let local = evaluator.local();
    let mut attributes = BTreeMap::new();
    for attribute in QUEUE_ATTRIBUTES {
        if let Some(value) = properties.optional(attribute) {
            attributes.insert(attribute.to_owned(), value.text()?);
        }
    }
    let redrive = properties
        .optional("RedrivePolicy")
        .map(|policy| {
            let count = policy.field("maxReceiveCount")?;
            Ok::<_, TemplateError>(Redrive {
                target_arn: policy.field("deadLetterTargetArn")?.text()?,
                max_receive_count: u32::try_from(count.integer()?)
                    .map_err(|_| count.wrong("is too large"))?,
            })
        })
        .transpose()?;
    Ok(Queue {
        logical_id: id.to_owned(),
        arn: format!("arn:aws:sqs:{}:{}:{name}", local.region, local.account),
        url: format!("{}/{}/{name}", local.queues_url, local.account),
        name,
        attributes,
        redrive,
    })
}

fn table(id: &str, name: String, properties: &Reader) -> Result<Table> {
    if let Some(stream) = properties.optional("StreamSpecification") {
        return Err(stream.wrong("the local stack doesn't support streams"));
    }
    let mut attributes = BTreeMap::new();
    for definition in properties.field("AttributeDefinitions")?.items() {
        attributes.insert(
            definition.field("AttributeName")?.text()?,
            definition.field("AttributeType")?.text()?,
        );
    }
    let ttl = properties.optional("TimeToLiveSpecification");
    let ttl_attribute = match ttl {
        Some(ttl) if ttl.field("Enabled")?.boolean()? => Some(ttl.field("AttributeName")?.text()?),
        _ => None,
    };
    let indexes = |field: &str| {
        properties
            .list(field)
            .iter()
            .map(index)
            .collect::<Result<Vec<_>>>()
    };
    let table = Table {
        logical_id: id.to_owned(),
        name,
        key: key(&properties.field("KeySchema")?)?,
        global_indexes: indexes("GlobalSecondaryIndexes")?,
        local_indexes: indexes("LocalSecondaryIndexes")?,
        attributes,
        ttl_attribute,
    };
    let keys = table
        .global_indexes
        .iter()
        .chain(&table.local_indexes)
        .map(|index| &index.key)
        .chain([&table.key]);
    for attribute in keys
        .flat_map(|key| [Some(&key.partition), key.sort.as_ref()])
        .flatten()
    {
        if !table.attributes.contains_key(attribute) {
            return Err(properties.wrong(format!("AttributeDefinitions must define {attribute}")));
        }
    }
    Ok(table)
}

fn key(schema: &Reader) -> Result<Key> {
    let (mut partition, mut sort) = (None, None);
    for part in schema.items() {
        let name = part.field("AttributeName")?.text()?;
        match part.field("KeyType")?.text()?.as_str() {
            "HASH" => partition = Some(name),
            "RANGE" => sort = Some(name),
            _ => return Err(part.wrong("KeyType must be HASH or RANGE")),
        }
    }
    Ok(Key {
        partition: partition.ok_or_else(|| schema.wrong("must have a HASH key"))?,
        sort,
    })
}

fn index(reader: &Reader) -> Result<Index> {
    let projection = reader.field("Projection")?;
    Ok(Index {
        name: reader.field("IndexName")?.text()?,
        key: key(&reader.field("KeySchema")?)?,
        projection: projection.field("ProjectionType")?.text()?,
        included: projection.texts("NonKeyAttributes")?,
    })
}

fn cors(properties: &Reader) -> Result<Vec<Cors>> {
    let Some(configuration) = properties.optional("CorsConfiguration") else {
        return Ok(Vec::new());
    };
    configuration
        .list("CorsRules")
        .iter()
        .map(|rule| {
            Ok(Cors {
                origins: rule.texts("AllowedOrigins")?,
                methods: rule.texts("AllowedMethods")?,
                headers: rule.texts("AllowedHeaders")?,
                exposed: rule.texts("ExposedHeaders")?,
                max_age: rule
                    .optional("MaxAge")
                    .map(|field| field.seconds())
                    .transpose()?,
            })
        })
        .collect()
}

/// Reads the lifecycle rules that remove objects. Other rules have no local counterpart.
fn expiry(properties: &Reader) -> Result<Vec<Expiry>> {
    let Some(configuration) = properties.optional("LifecycleConfiguration") else {
        return Ok(Vec::new());
    };
    let mut rules = Vec::new();
    for rule in configuration.list("Rules") {
        let enabled = rule.field("Status")?.text()? == "Enabled";
        let Some(days) = rule.optional("ExpirationInDays").filter(|_| enabled) else {
            continue;
        };
        let mut tags = BTreeMap::new();
        for tag in rule.list("TagFilters") {
            tags.insert(tag.field("Key")?.text()?, tag.field("Value")?.text()?);
        }
        rules.push(Expiry {
            prefix: rule
                .optional("Prefix")
                .map_or(Ok(String::new()), |field| field.text())?,
            tags,
            after: Duration::from_secs(days.integer()?.saturating_mul(86_400)),
        });
    }
    Ok(rules)
}
