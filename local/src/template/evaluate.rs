//! Evaluates CloudFormation's intrinsics against local values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::TemplateError;
use super::node::{Kind, Node};
use super::reader::Reader;

type Result<T> = std::result::Result<T, TemplateError>;

/// What resources and pseudo parameters are called locally.
#[derive(Debug, Clone)]
pub struct LocalValues {
    /// The region; also part of every ARN.
    pub region: String,
    /// The account, 12 digits.
    pub account: String,
    /// What queue URLs start with, without a slash at the end.
    pub queues_url: String,
    /// The load balancer's host and port.
    pub load_balancer: String,
    /// The cache's host.
    pub cache_host: String,
    /// The cache's port.
    pub cache_port: u16,
}

impl Default for LocalValues {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            queues_url: "http://127.0.0.1:9324".to_owned(),
            load_balancer: "127.0.0.1:8080".to_owned(),
            cache_host: "127.0.0.1".to_owned(),
            cache_port: 6379,
        }
    }
}

/// The deepest that one resource's name may depend on others'.
const MAX_DEPTH: usize = 32;

/// Evaluates values of one template.
pub(crate) struct Evaluator<'a> {
    root: &'a Node,
    parameters: BTreeMap<String, Value>,
    local: &'a LocalValues,
}

/// A value being evaluated: where it is, and through how many references it was reached.
#[derive(Clone)]
struct Place {
    path: String,
    depth: usize,
}

impl Place {
    fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            path: format!("{}.{name}", self.path),
            depth: self.depth,
        }
    }
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        root: &'a Node,
        given: &BTreeMap<String, String>,
        local: &'a LocalValues,
    ) -> Result<Self> {
        let declared = root
            .get("Parameters")
            .and_then(Node::entries)
            .unwrap_or_default();
        if let Some(unknown) = given
            .keys()
            .find(|name| !declared.iter().any(|(other, _)| other == *name))
        {
            return Err(TemplateError::new(
                0,
                "Parameters",
                format!("there is no parameter {unknown}"),
            ));
        }
        let mut parameters = BTreeMap::new();
        for (name, node) in declared {
            // A network or a certificate has no local counterpart: any name will do.
            let text = given
                .get(name)
                .cloned()
                .or_else(|| node.get("Default").and_then(Node::text))
                .unwrap_or_else(|| format!("local-{name}"));
            let allowed = node.get("AllowedValues").map(|node| match &node.kind {
                Kind::List(items) => items.iter().filter_map(Node::text).collect::<Vec<_>>(),
                _ => Vec::new(),
            });
            if let Some(allowed) = allowed
                && !allowed.contains(&text)
            {
                let problem = format!("{text} isn't one of {}", allowed.join(", "));
                return Err(TemplateError::new(
                    node.line,
                    format!("Parameters.{name}"),
                    problem,
                ));
            }
            let kind = node.get("Type").and_then(Node::text).unwrap_or_default();
            let value = if kind == "CommaDelimitedList" || kind.starts_with("List<") {
                Value::Array(
                    text.split(',')
                        .map(|item| Value::from(item.trim()))
                        .collect(),
                )
            } else {
                Value::from(text)
            };
            parameters.insert(name.clone(), value);
        }
        Ok(Self {
            root,
            parameters,
            local,
        })
    }

    pub(crate) fn local(&self) -> &LocalValues {
        self.local
    }

    /// The resources of a type whose condition holds: logical id and resource.
    pub(crate) fn resources(&self, kind: &str) -> Result<Vec<(&'a str, &'a Node)>> {
        let mut found = Vec::new();
        for (id, node) in self
            .root
            .get("Resources")
            .and_then(Node::entries)
            .unwrap_or_default()
        {
            if node.get("Type").and_then(Node::text).as_deref() == Some(kind)
                && self.exists(id, node)?
            {
                found.push((id.as_str(), node));
            }
        }
        Ok(found)
    }

    fn exists(&self, id: &str, node: &Node) -> Result<bool> {
        match node.get("Condition") {
            None => Ok(true),
            Some(name) => {
                let place = Place {
                    path: format!("Resources.{id}.Condition"),
                    depth: 0,
                };
                let text = name
                    .text()
                    .ok_or_else(|| wrong(name, &place, "must be a condition's name"))?;
                self.condition(&text, name, &place)
            }
        }
    }

    /// A resource's properties, evaluated.
    pub(crate) fn properties(&self, id: &str, node: &Node) -> Result<Reader> {
        let place = format!("Resources.{id}.Properties");
        let value = match node.get("Properties") {
            None => Value::Object(Map::new()),
            Some(properties) => self.value_at(properties, &place)?,
        };
        Ok(Reader::new(value, node.line, place))
    }

    /// A section such as `Globals.Function`, evaluated.
    pub(crate) fn section(&self, path: &[&str]) -> Result<Reader> {
        let mut node = Some(self.root);
        for name in path {
            node = node.and_then(|node| node.get(name));
        }
        let place = path.join(".");
        match node {
            None => Ok(Reader::new(Value::Object(Map::new()), 0, place)),
            Some(node) => Ok(Reader::new(self.value_at(node, &place)?, node.line, place)),
        }
    }

    /// Any part of the template, evaluated.
    pub(crate) fn value_at(&self, node: &Node, path: &str) -> Result<Value> {
        self.value(
            node,
            &Place {
                path: path.to_owned(),
                depth: 0,
            },
        )
        .map(Option::unwrap_or_default)
    }

    /// `None` is `AWS::NoValue`: as if it weren't there.
    fn value(&self, node: &Node, place: &Place) -> Result<Option<Value>> {
        Ok(Some(match &node.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::from(*value),
            Kind::Integer(value) => Value::from(*value),
            Kind::Float(value) => Value::from(*value),
            Kind::Text(value) => Value::from(value.as_str()),
            Kind::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    list.extend(self.value(item, &place.at(at))?);
                }
                Value::Array(list)
            }
            Kind::Map(entries) => {
                let mut map = Map::new();
                for (name, entry) in entries {
                    if let Some(value) = self.value(entry, &place.at(name))? {
                        map.insert(name.clone(), value);
                    }
                }
                Value::Object(map)
            }
            Kind::Call(name, argument) => return self.call(name, argument, place),
        }))
    }

    fn call(&self, name: &str, argument: &Node, place: &Place) -> Result<Option<Value>> {
        let one = |value: String| Ok(Some(Value::from(value)));
        match name {
            "Ref" => {
                let target = self.text(argument, place)?;
                if target == "AWS::NoValue" {
                    Ok(None)
                } else {
                    self.reference(&target, argument, place).map(Some)
                }
            }
            "Fn::GetAtt" => {
                let target = match self.value(argument, place)? {
                    Some(Value::String(text)) => text,
                    Some(Value::Array(parts)) => parts
                        .iter()
                        .filter_map(Value::as_str)
                        .collect::<Vec<_>>()
                        .join("."),
                    _ => {
                        return Err(wrong(
                            argument,
                            place,
                            "GetAtt takes a resource and an attribute",
                        ));
                    }
                };
                let (id, attribute) = target.split_once('.').ok_or_else(|| {
                    wrong(argument, place, "GetAtt takes a resource and an attribute")
                })?;
                one(self.attribute(id, attribute, argument, place)?)
            }
            "Fn::Sub" => one(self.substitute(argument, place)?),
            "Fn::If" => {
                let [condition, yes, no] = arguments(name, argument, place)?;
                let chosen = if self.condition(&self.text(condition, place)?, condition, place)? {
                    yes
                } else {
                    no
                };
                self.value(chosen, place)
            }
            "Fn::Join" => {
                let [separator, items] = arguments(name, argument, place)?;
                one(self
                    .texts(items, place)?
                    .join(&self.text(separator, place)?))
            }
            "Fn::Split" => {
                let [separator, text] = arguments(name, argument, place)?;
                let (separator, text) = (self.text(separator, place)?, self.text(text, place)?);
                Ok(Some(Value::Array(
                    text.split(&separator).map(Value::from).collect(),
                )))
            }
            "Fn::Select" => {
                let [index, items] = arguments(name, argument, place)?;
                let index = self
                    .text(index, place)?
                    .parse::<usize>()
                    .map_err(|_| wrong(index, place, "must be a number"))?;
                let items = self.texts(items, place)?;
                let item = items.into_iter().nth(index);
                one(item.ok_or_else(|| {
                    wrong(argument, place, &format!("the list has no item {index}"))
                })?)
            }
            "Fn::FindInMap" => {
                let [map, top, second] = arguments(name, argument, place)?;
                let mut found = self.root.get("Mappings");
                for part in [map, top, second] {
                    let part = self.text(part, place)?;
                    found = found.and_then(|node| node.get(&part));
                }
                let found =
                    found.ok_or_else(|| wrong(argument, place, "there is no such mapping"))?;
                self.value(found, place)
            }
            "Condition" | "Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or" => self
                .holds(name, argument, place)
                .map(|holds| Some(Value::from(holds))),
            other => Err(wrong(
                argument,
                place,
                &format!("the local stack doesn't know {other}"),
            )),
        }
    }

    fn holds(&self, name: &str, argument: &Node, place: &Place) -> Result<bool> {
        let all = || match &argument.kind {
            Kind::List(items) => items
                .iter()
                .map(|item| self.truth(item, place))
                .collect::<Result<Vec<_>>>(),
            _ => Err(wrong(argument, place, "must be a list of conditions")),
        };
        match name {
            "Fn::Equals" => {
                let [left, right] = arguments(name, argument, place)?;
                Ok(self.value(left, place)? == self.value(right, place)?)
            }
            "Fn::Not" => {
                let [condition] = arguments(name, argument, place)?;
                Ok(!self.truth(condition, place)?)
            }
            "Fn::And" => Ok(all()?.into_iter().all(|holds| holds)),
            "Fn::Or" => Ok(all()?.into_iter().any(|holds| holds)),
            _ => self.condition(&self.text(argument, place)?, argument, place),
        }
    }

    fn truth(&self, node: &Node, place: &Place) -> Result<bool> {
        // The long form of a condition's name looks like any mapping elsewhere.
        if let Some([(name, inner)]) = node.entries()
            && name == "Condition"
        {
            return self.condition(&self.text(inner, place)?, inner, place);
        }
        match self.value(node, place)? {
            Some(Value::Bool(holds)) => Ok(holds),
            _ => Err(wrong(node, place, "must be a condition")),
        }
    }

    fn condition(&self, name: &str, at: &Node, place: &Place) -> Result<bool> {
        let node = self
            .root
            .get("Conditions")
            .and_then(|conditions| conditions.get(name));
        let node =
            node.ok_or_else(|| wrong(at, place, &format!("there is no condition {name}")))?;
        let place = self.deeper(&format!("Conditions.{name}"), at, place)?;
        self.truth(node, &place)
    }

    fn deeper(&self, path: &str, at: &Node, place: &Place) -> Result<Place> {
        if place.depth >= MAX_DEPTH {
            return Err(wrong(at, place, "refers to itself"));
        }
        Ok(Place {
            path: path.to_owned(),
            depth: place.depth + 1,
        })
    }

    fn text(&self, node: &Node, place: &Place) -> Result<String> {
        match self.value(node, place)? {
            Some(Value::String(text)) => Ok(text),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(value)) => Ok(value.to_string()),
            _ => Err(wrong(node, place, "must be text")),
        }
    }

    fn texts(&self, node: &Node, place: &Place) -> Result<Vec<String>> {
        match self.value(node, place)? {
            Some(Value::Array(items)) => Ok(items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect()),
            _ => Err(wrong(node, place, "must be a list")),
        }
    }

    /// `${Name}`, `${Name.Attribute}`, `${!literal}`.
    fn substitute(&self, argument: &Node, place: &Place) -> Result<String> {
        let (pattern, names) = match &argument.kind {
            Kind::List(_) => {
                let [pattern, names] = arguments("Fn::Sub", argument, place)?;
                (self.text(pattern, place)?, Some(names))
            }
            _ => (self.text(argument, place)?, None),
        };
        let mut text = String::new();
        let mut rest = pattern.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| wrong(argument, place, "${ without }"))?;
            text.push_str(before);
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                text.push_str(&format!("${{{literal}}}"));
            } else if let Some(given) = names.and_then(|names| names.get(name)) {
                text.push_str(&self.text(given, place)?);
            } else if let Some((id, attribute)) = name.split_once('.') {
                text.push_str(&self.attribute(id, attribute, argument, place)?);
            } else {
                match self.reference(name, argument, place)? {
                    Value::String(value) => text.push_str(&value),
                    _ => return Err(wrong(argument, place, &format!("{name} isn't text"))),
                }
            }
        }
        text.push_str(rest);
        Ok(text)
    }

    fn reference(&self, name: &str, at: &Node, place: &Place) -> Result<Value> {
        let local = self.local;
        Ok(match name {
            "AWS::Region" => Value::from(local.region.as_str()),
            "AWS::AccountId" => Value::from(local.account.as_str()),
            "AWS::Partition" => Value::from("aws"),
            "AWS::URLSuffix" => Value::from("amazonaws.com"),
            "AWS::StackName" => Value::from("local"),
            "AWS::StackId" => Value::from(format!(
                "arn:aws:cloudformation:{}:{}:stack/local/00000000-0000-0000-0000-000000000000",
                local.region, local.account
            )),
            _ => match self.parameters.get(name) {
                Some(value) => value.clone(),
                None => Value::from(self.resource_name(name, at, place)?),
            },
        })
    }

    fn resource(&self, id: &str, at: &Node, place: &Place) -> Result<(&'a Node, String)> {
        let node = self
            .root
            .get("Resources")
            .and_then(|resources| resources.get(id));
        let node = node.ok_or_else(|| {
            wrong(
                at,
                place,
                &format!("there is no parameter or resource {id}"),
            )
        })?;
        let kind = node
            .get("Type")
            .and_then(Node::text)
            .ok_or_else(|| wrong(node, place, &format!("{id} has no Type")))?;
        Ok((node, kind))
    }

    /// The name a resource has by a property, else by its logical id.
    pub(crate) fn physical_name(&self, id: &str, property: &str) -> Result<String> {
        let place = Place {
            path: format!("Resources.{id}"),
            depth: 0,
        };
        self.name_by(id, property, self.root, &place)
            .map(|name| name.unwrap_or_else(|| id.to_owned()))
    }

    fn name_by(
        &self,
        id: &str,
        property: &str,
        at: &Node,
        place: &Place,
    ) -> Result<Option<String>> {
        let (node, _) = self.resource(id, at, place)?;
        match node
            .get("Properties")
            .and_then(|properties| properties.get(property))
        {
            None => Ok(None),
            Some(name) => {
                let place =
                    self.deeper(&format!("Resources.{id}.Properties.{property}"), at, place)?;
                Ok(match self.value(name, &place)? {
                    Some(Value::String(name)) => Some(name),
                    _ => None,
                })
            }
        }
    }

    /// What `Ref` gives for a resource.
    fn resource_name(&self, name: &str, at: &Node, place: &Place) -> Result<String> {
        // SAM names a function's version and alias so.
        let (id, suffix) = name.split_once('.').unwrap_or((name, ""));
        let (_, kind) = self.resource(id, at, place)?;
        let named = |property: &str| {
            Ok::<_, TemplateError>(
                self.name_by(id, property, at, place)?
                    .unwrap_or_else(|| id.to_owned()),
            )
        };
        let local = self.local;
        match kind.as_str() {
            "AWS::SQS::Queue" => Ok(format!(
                "{}/{}/{}",
                local.queues_url,
                local.account,
                named("QueueName")?
            )),
            "AWS::DynamoDB::Table" => named("TableName"),
            // A bucket's name may hold no capitals.
            "AWS::S3::Bucket" => Ok(named("BucketName")?.to_lowercase()),
            "AWS::Serverless::Function" if suffix.is_empty() => self.function_name(id, at, place),
            "AWS::Serverless::Function" => self.attribute(id, "Arn", at, place),
            "AWS::ElasticLoadBalancingV2::TargetGroup" => {
                Ok(self.balancer_arn(&format!("targetgroup/{id}/0000000000000000")))
            }
            "AWS::ElasticLoadBalancingV2::LoadBalancer" => {
                Ok(self.balancer_arn(&format!("loadbalancer/app/{id}/0000000000000000")))
            }
            "AWS::ElasticLoadBalancingV2::Listener" => {
                Ok(self.balancer_arn(&format!("listener/app/local/0/{id}")))
            }
            _ => Ok(format!("local-{id}")),
        }
    }

    fn balancer_arn(&self, resource: &str) -> String {
        format!(
            "arn:aws:elasticloadbalancing:{}:{}:{resource}",
            self.local.region, self.local.account
        )
    }

    /// A function's name: `FunctionName`, else its binary's.
    pub(crate) fn function_name_of(&self, id: &str) -> Result<String> {
        self.function_name(
            id,
            self.root,
            &Place {
                path: format!("Resources.{id}"),
                depth: 0,
            },
        )
    }

    fn function_name(&self, id: &str, at: &Node, place: &Place) -> Result<String> {
        match self.name_by(id, "FunctionName", at, place)? {
            Some(name) => Ok(name),
            None => self.binary_name(id, at, place),
        }
    }

    /// The file name of a function's binary: `Metadata`'s, else the last part of `CodeUri`.
    pub(crate) fn binary_name_of(&self, id: &str) -> Result<String> {
        self.binary_name(
            id,
            self.root,
            &Place {
                path: format!("Resources.{id}"),
                depth: 0,
            },
        )
    }

    fn binary_name(&self, id: &str, at: &Node, place: &Place) -> Result<String> {
        let (node, _) = self.resource(id, at, place)?;
        let metadata = node
            .get("Metadata")
            .and_then(|node| node.get("BuildProperties"))
            .and_then(|node| node.get("Binary"));
        if let Some(name) = metadata.and_then(Node::text) {
            return Ok(name);
        }
        let uri = self.name_by(id, "CodeUri", at, place)?.unwrap_or_default();
        match uri.trim_end_matches('/').rsplit('/').next() {
            Some(name) if !name.is_empty() && name != "." => Ok(name.to_owned()),
            _ => Err(wrong(
                node,
                place,
                "neither Metadata.BuildProperties.Binary nor CodeUri names the binary",
            )),
        }
    }

    /// What `GetAtt` gives.
    fn attribute(&self, id: &str, attribute: &str, at: &Node, place: &Place) -> Result<String> {
        let (_, kind) = self.resource(id, at, place)?;
        let local = self.local;
        let name = || self.resource_name(id, at, place);
        let arn = |service: &str, rest: String| {
            format!(
                "arn:aws:{service}:{}:{}:{rest}",
                local.region, local.account
            )
        };
        let queue = || {
            Ok::<_, TemplateError>(
                self.name_by(id, "QueueName", at, place)?
                    .unwrap_or_else(|| id.to_owned()),
            )
        };
        match (kind.as_str(), attribute) {
            ("AWS::SQS::Queue", "Arn") => Ok(arn("sqs", queue()?)),
            ("AWS::SQS::Queue", "QueueName") => queue(),
            ("AWS::SQS::Queue", "QueueUrl") => name(),
            ("AWS::DynamoDB::Table", "Arn") => Ok(arn("dynamodb", format!("table/{}", name()?))),
            ("AWS::Serverless::Function", "Arn") => {
                Ok(arn("lambda", format!("function:{}", name()?)))
            }
            ("AWS::S3::Bucket", "Arn") => Ok(format!("arn:aws:s3:::{}", name()?)),
            ("AWS::S3::Bucket", "DomainName" | "RegionalDomainName") => {
                Ok(bucket_domain(&name()?, &local.region))
            }
            ("AWS::ElasticLoadBalancingV2::LoadBalancer", "DNSName") => {
                Ok(local.load_balancer.clone())
            }
            (kind, attribute)
                if kind.starts_with("AWS::ElastiCache::")
                    && attribute.ends_with("ndpoint.Address") =>
            {
                Ok(local.cache_host.clone())
            }
            (kind, attribute)
                if kind.starts_with("AWS::ElastiCache::")
                    && attribute.ends_with("ndpoint.Port") =>
            {
                Ok(local.cache_port.to_string())
            }
            (
                "AWS::SQS::Queue"
                | "AWS::DynamoDB::Table"
                | "AWS::Serverless::Function"
                | "AWS::S3::Bucket",
                _,
            ) => Err(wrong(
                at,
                place,
                &format!("the local stack doesn't know {attribute} of {kind}"),
            )),
            // Parts that don't exist locally: a name that is easily recognised.
            _ => Ok(format!("local-{id}-{attribute}")),
        }
    }
}

/// The domain name that a bucket has in its region.
pub(crate) fn bucket_domain(name: &str, region: &str) -> String {
    format!("{name}.s3.{region}.amazonaws.com")
}

fn wrong(node: &Node, place: &Place, problem: &str) -> TemplateError {
    TemplateError::new(node.line, place.path.clone(), problem)
}

fn arguments<'n, const N: usize>(
    name: &str,
    node: &'n Node,
    place: &Place,
) -> Result<[&'n Node; N]> {
    match &node.kind {
        Kind::List(items) => items.iter().collect::<Vec<_>>().try_into().ok(),
        _ => None,
    }
    .ok_or_else(|| wrong(node, place, &format!("{name} takes a list of {N}")))
}
