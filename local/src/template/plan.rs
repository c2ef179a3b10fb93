//! What the template asks for, in the local stack's own words.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::TemplateError;

/// Everything the local stack runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The functions by name.
    pub functions: BTreeMap<String, Function>,
    /// The load balancer's listener, if there is one.
    pub listener: Option<Listener>,
    /// The queues, dead-letter queues first, so that they can be created in this order.
    pub queues: Vec<Queue>,
    /// Which queue feeds which function.
    pub mappings: Vec<Mapping>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The buckets.
    pub buckets: Vec<Bucket>,
    /// The content delivery network, if there is a bucket behind it.
    pub media: Option<Distribution>,
    /// Whether there is a cache.
    pub has_cache: bool,
    /// What runs by the clock.
    pub schedules: Vec<Schedule>,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name in the template's `Resources`.
    pub logical_id: String,
    /// Its own name: `FunctionName`, else the binary's.
    pub name: String,
    /// The binary's file name.
    pub binary: String,
    /// Memory in MB.
    pub memory_mb: u64,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Environment variables from the template.
    pub environment: BTreeMap<String, String>,
    /// The most instances at a time, if the template bounds them.
    pub reserved_concurrency: Option<usize>,
}

/// The load balancer's listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The rules by rising priority.
    pub rules: Vec<Rule>,
    /// What happens to a request that no rule matches.
    pub default: Action,
    /// Headers that every answer gets, its own or a function's, in place of those of these names.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// One rule: all its conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name in the template.
    pub logical_id: String,
    /// The lowest matching one wins.
    pub priority: u32,
    /// One of these must match the path; empty for any path. `*` is any number of characters, `?` one.
    pub paths: Vec<String>,
    /// One of these must be the method; empty for any method.
    pub methods: Vec<String>,
    /// What happens then.
    pub action: Action,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A function answers it.
    Forward {
        /// The function's name.
        function: String,
        /// The target group's ARN, as events name it.
        target_group_arn: String,
        /// Whether events have every value of headers and query parameters, or only the last.
        multi_value: bool,
    },
    /// It is answered at once.
    Fixed {
        /// The status.
        status: u16,
        /// The content type, if any.
        content_type: Option<String>,
        /// The body.
        body: String,
    },
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name in the template.
    pub logical_id: String,
    /// Its own name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its URL, which is only known once the stack runs.
    pub url: String,
    /// The attributes that `CreateQueue` takes, without the redrive policy.
    pub attributes: BTreeMap<String, String>,
    /// Where messages go that failed too often.
    pub redrive: Option<Redrive>,
}

/// Where messages go that failed too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The dead-letter queue's ARN.
    pub target_arn: String,
    /// How often a message is received before it goes there.
    pub max_receive_count: u32,
}

/// Feeds a function from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The queue's ARN.
    pub queue_arn: String,
    /// The function's name.
    pub function: String,
    /// The most messages of an invocation.
    pub batch_size: usize,
    /// How long to wait for a batch to fill.
    pub window: Duration,
    /// Whether the function names the messages that failed.
    pub reports_failures: bool,
    /// The most invocations at a time.
    pub maximum_concurrency: Option<usize>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name in the template.
    pub logical_id: String,
    /// Its own name.
    pub name: String,
    /// The type (`S`, `N`, `B`) of each attribute that a key names.
    pub attributes: BTreeMap<String, String>,
    /// Its key.
    pub key: Key,
    /// Global secondary indexes.
    pub global_indexes: Vec<Index>,
    /// Local secondary indexes.
    pub local_indexes: Vec<Index>,
    /// The attribute with an item's expiry in epoch seconds.
    pub ttl_attribute: Option<String>,
}

/// A partition key and, where there is one, a sort key.
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
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: Key,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// With `INCLUDE`: which attributes.
    pub included: Vec<String>,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name in the template.
    pub logical_id: String,
    /// Its own name.
    pub name: String,
    /// Rules for requests of other origins, first match wins.
    pub cors: Vec<Cors>,
    /// What is removed by itself.
    pub expiry: Vec<Expiry>,
}

/// A CORS rule of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins, each with at most one `*`.
    pub origins: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Headers a request may bring, each with at most one `*`.
    pub headers: Vec<String>,
    /// Headers a page may read.
    pub exposed: Vec<String>,
    /// How long a preflight's answer holds.
    pub max_age: Option<Duration>,
}

/// The content delivery network in front of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The bucket's name.
    pub bucket: String,
    /// Methods that it answers.
    pub methods: Vec<String>,
    /// Headers that it sets on every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers that it sets on answers to pages of other origins.
    pub cors: Vec<(HeaderName, HeaderValue)>,
}

/// A lifecycle rule that removes objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What the key starts with.
    pub prefix: String,
    /// All of these tags must be on the object.
    pub tags: BTreeMap<String, String>,
    /// How old the object must be.
    pub after: Duration,
}

/// Invokes a function by the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// The function's name.
    pub function: String,
    /// How often.
    pub every: Duration,
    /// Which service it is of, which decides the event's shape.
    pub kind: ScheduleKind,
    /// What is sent instead of the service's own event.
    pub input: Option<String>,
}

/// Which service a schedule is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleKind {
    /// An `EventBridge` rule (`Schedule`).
    Rule,
    /// `EventBridge` Scheduler (`ScheduleV2`).
    Scheduler,
}

impl Plan {
    /// Checks what only shows across resources, and puts dead-letter queues first.
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
                    format!("{} is no queue here", redrive.target_arn),
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
                    format!("{} is no queue here", mapping.queue_arn),
                ));
            };
            // Lambda refuses this too: messages would come again while they are worked on.
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
                    "{} is visible again before the function times out",
                    queue.logical_id
                );
                return Err(TemplateError::new(0, place(), problem));
            }
        }
        self.queues.sort_by_key(|queue| queue.redrive.is_some());
        Ok(())
    }

    /// The function of this name or logical id.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.get(name).or_else(|| {
            self.functions
                .values()
                .find(|function| function.logical_id == name)
        })
    }

    /// The queue of this name or logical id.
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues
            .iter()
            .find(|queue| queue.name == name || queue.logical_id == name)
    }

    /// Whether some queue's failed messages go to this one.
    pub fn is_dead_letter_queue(&self, queue: &Queue) -> bool {
        self.queues.iter().any(|other| {
            other
                .redrive
                .as_ref()
                .is_some_and(|redrive| redrive.target_arn == queue.arn)
        })
    }
}
