//! The resources of a template, as the local stack's own types.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::error::TemplateError;

/// The resources that the local stack runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The functions by name.
    pub functions: BTreeMap<String, Function>,
    /// The load balancer's listener, if there is one.
    pub listener: Option<Listener>,
    /// The queues, in the order in which they can be created: dead-letter queues first.
    pub queues: Vec<Queue>,
    /// The event source mappings.
    pub mappings: Vec<Mapping>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The buckets.
    pub buckets: Vec<Bucket>,
    /// The content delivery network, if it has a bucket.
    pub media: Option<Distribution>,
    /// Whether there is a cache.
    pub has_cache: bool,
    /// The schedules.
    pub schedules: Vec<Schedule>,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The logical id: the name in the template's `Resources`.
    pub logical_id: String,
    /// `FunctionName`, or the name of the binary without one.
    pub name: String,
    /// The binary's file name.
    pub binary: String,
    /// Memory in MB.
    pub memory_mb: u64,
    /// The timeout of an invocation.
    pub timeout: Duration,
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// The maximum number of processes, if the template limits them.
    pub reserved_concurrency: Option<usize>,
}

/// The load balancer's listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The rules in rising order of priority.
    pub rules: Vec<Rule>,
    /// The action for requests that no rule matches.
    pub default: Action,
    /// The headers set on every response. They replace headers of the same name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A rule of the listener. It matches if all its conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The logical id.
    pub logical_id: String,
    /// The priority: of the matching rules, the one with the lowest number applies.
    pub priority: u32,
    /// Patterns of which one must match the path; empty for any path. `*` stands for any number of characters, `?` for one.
    pub paths: Vec<String>,
    /// The allowed methods; empty for any method.
    pub methods: Vec<String>,
    /// The action for matching requests.
    pub action: Action,
}

/// An action of the load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Forwards the request to a function.
    Forward {
        /// The function's name.
        function: String,
        /// The target group's ARN, which is part of the event.
        target_group_arn: String,
        /// Whether events contain all values of headers and query parameters, or only the last.
        multi_value: bool,
    },
    /// Answers the request itself.
    Fixed {
        /// The status code.
        status: u16,
        /// The content type, if there is one.
        content_type: Option<String>,
        /// The body.
        body: String,
    },
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The logical id.
    pub logical_id: String,
    /// The name in AWS.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The URL, which depends on the running stack's port.
    pub url: String,
    /// The attributes for `CreateQueue`, without the redrive policy.
    pub attributes: BTreeMap<String, String>,
    /// The redrive policy, if the queue has one.
    pub redrive: Option<Redrive>,
}

/// A queue's redrive policy: the destination of messages that fail repeatedly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The dead-letter queue's ARN.
    pub target_arn: String,
    /// The number of times that a message is received before it is moved.
    pub max_receive_count: u32,
}

/// An event source mapping, which invokes a function with a queue's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The queue's ARN.
    pub queue_arn: String,
    /// The function's name.
    pub function: String,
    /// The maximum number of messages per invocation.
    pub batch_size: usize,
    /// The time to wait for a batch to fill.
    pub window: Duration,
    /// Whether the function reports the messages that failed (`ReportBatchItemFailures`).
    pub reports_failures: bool,
    /// The maximum number of concurrent invocations, if the template limits them.
    pub maximum_concurrency: Option<usize>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The logical id.
    pub logical_id: String,
    /// The name in AWS.
    pub name: String,
    /// The types (`S`, `N`, `B`) of the attributes that keys use.
    pub attributes: BTreeMap<String, String>,
    /// The key.
    pub key: Key,
    /// The global secondary indexes.
    pub global_indexes: Vec<Index>,
    /// The local secondary indexes.
    pub local_indexes: Vec<Index>,
    /// The attribute that holds an item's expiry in epoch seconds, if the table has TTL.
    pub ttl_attribute: Option<String>,
}

/// A primary key: a partition key and perhaps a sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The partition key's attribute.
    pub partition: String,
    /// The sort key's attribute.
    pub sort: Option<String>,
}

/// An index of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The name.
    pub name: String,
    /// The key.
    pub key: Key,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// The attributes of the projection `INCLUDE`.
    pub included: Vec<String>,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The logical id.
    pub logical_id: String,
    /// The name in AWS.
    pub name: String,
    /// The CORS rules. The first that matches applies.
    pub cors: Vec<Cors>,
    /// The lifecycle rules that remove objects.
    pub expiry: Vec<Expiry>,
    /// The notifications of created objects.
    pub notifications: Vec<Notification>,
}

/// A notification: a message to a queue about each object that is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The id, which is part of the messages.
    pub id: String,
    /// The type of event, such as `s3:ObjectCreated:Put`, perhaps with a `*` at the end.
    pub event: String,
    /// The prefix of the objects' keys.
    pub prefix: String,
    /// The suffix of the objects' keys.
    pub suffix: String,
    /// The queue.
    pub queue: Queue,
}

/// A CORS rule of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// The allowed origins, each with at most one `*`.
    pub origins: Vec<String>,
    /// The allowed methods.
    pub methods: Vec<String>,
    /// The allowed request headers, each with at most one `*`.
    pub headers: Vec<String>,
    /// The response headers that pages may read.
    pub exposed: Vec<String>,
    /// The time for which browsers may cache a preflight response.
    pub max_age: Option<Duration>,
}

/// The content delivery network in front of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The bucket's name.
    pub bucket: String,
    /// The key of the object served at the root, if there is one.
    pub root: Option<String>,
    /// Whether a missing object is answered with 404; else with 403, as S3 does where the bucket can't be listed.
    pub missing_is_404: bool,
    /// The allowed methods.
    pub methods: Vec<String>,
    /// The headers set on every response.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The headers set on responses to cross-origin requests.
    pub cors: Vec<(HeaderName, HeaderValue)>,
}

/// A lifecycle rule that removes objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The prefix of the objects' keys.
    pub prefix: String,
    /// The tags that objects must have.
    pub tags: BTreeMap<String, String>,
    /// The age at which objects are removed.
    pub after: Duration,
}

/// A schedule, which invokes a function at intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The name.
    pub name: String,
    /// The function's name.
    pub function: String,
    /// The interval.
    pub every: Duration,
    /// The service, which determines the event's format.
    pub kind: ScheduleKind,
    /// The input that replaces the service's own event.
    pub input: Option<String>,
}

/// The service of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleKind {
    /// An `EventBridge` rule (`Schedule`).
    Rule,
    /// `EventBridge` Scheduler (`ScheduleV2`).
    Scheduler,
}

impl Plan {
    /// Checks the relations between resources, and puts dead-letter queues first.
    pub(super) fn check(&mut self) -> Result<(), TemplateError> {
        let arns: BTreeSet<_> = self.queues.iter().map(|queue| queue.arn.clone()).collect();
        for queue in &self.queues {
            if let Some(redrive) = &queue.redrive
                && !arns.contains(&redrive.target_arn)
            {
                let place = format!("Resources.{}.Properties.RedrivePolicy", queue.logical_id);
                return Err(TemplateError::new(
                    0,
                    place,
                    format!("{} must be a queue of this template", redrive.target_arn),
                ));
            }
        }
        for mapping in &self.mappings {
            let place = || format!("the queue of function {}", mapping.function);
            let Some(queue) = self
                .queues
                .iter()
                .find(|queue| queue.arn == mapping.queue_arn)
            else {
                return Err(TemplateError::new(
                    0,
                    place(),
                    format!("{} must be a queue of this template", mapping.queue_arn),
                ));
            };
            // Lambda refuses this too: messages would be redelivered while they are being handled.
            let visible = queue
                .attributes
                .get("VisibilityTimeout")
                .and_then(|text| text.parse().ok())
                .unwrap_or(30);
            let timeout = self
                .functions
                .get(&mapping.function)
                .map(|function| function.timeout);
            if timeout.is_some_and(|timeout| timeout > Duration::from_secs(visible)) {
                let problem = format!(
                    "the visibility timeout of {} must not be shorter than the function's timeout",
                    queue.logical_id
                );
                return Err(TemplateError::new(0, place(), problem));
            }
        }
        self.queues.sort_by_key(|queue| queue.redrive.is_some());
        Ok(())
    }

    /// Finds a function by its name or logical id.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.get(name).or_else(|| {
            self.functions
                .values()
                .find(|function| function.logical_id == name)
        })
    }

    /// Finds a queue by its name or logical id.
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues
            .iter()
            .find(|queue| queue.name == name || queue.logical_id == name)
    }

    /// Returns the dead-letter queue of a queue, if there is one.
    pub fn dead_letter_queue(&self, queue: &Queue) -> Option<&Queue> {
        let target = &queue.redrive.as_ref()?.target_arn;
        self.queues.iter().find(|other| other.arn == *target)
    }

    /// Returns whether a queue is the dead-letter queue of another.
    pub fn is_dead_letter_queue(&self, queue: &Queue) -> bool {
        self.queues.iter().any(|other| {
            other
                .redrive
                .as_ref()
                .is_some_and(|redrive| redrive.target_arn == queue.arn)
        })
    }
}
