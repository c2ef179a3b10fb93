//! The local names of resources: `Ref`, `GetAtt` and the pseudo parameters.

use serde_json::Value;

use super::{Evaluator, Node, Place, Result, TemplateError, nested_place, wrong};

impl<'a> Evaluator<'a> {
    pub(super) fn reference(&self, name: &str, at: &Node, place: &Place) -> Result<Value> {
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

    /// Returns a resource's name: the value of a property, or the logical id without one.
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
                    nested_place(&format!("Resources.{id}.Properties.{property}"), at, place)?;
                Ok(match self.value(name, &place)? {
                    Some(Value::String(name)) => Some(name),
                    _ => None,
                })
            }
        }
    }

    /// Returns the value of `Ref` for a resource.
    fn resource_name(&self, name: &str, at: &Node, place: &Place) -> Result<String> {
        // In SAM, `Function.Version` and `Function.Alias` are resources.
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
            // A bucket's name must be in lower case.
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

    /// Returns a function's name: `FunctionName`, or the name of its binary without one.
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

    /// Returns the file name of a function's binary, from `Metadata`, or from the last part of `CodeUri`.
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
                "Metadata.BuildProperties.Binary or CodeUri must name the binary",
            )),
        }
    }

    /// Returns the value of `GetAtt`.
    pub(super) fn attribute(
        &self,
        id: &str,
        attribute: &str,
        at: &Node,
        place: &Place,
    ) -> Result<String> {
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
                Ok(local.bucket_domain(&name()?))
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
                &format!("the local stack doesn't support {attribute} of {kind}"),
            )),
            // Resources without a local counterpart get a recognisable name.
            _ => Ok(format!("local-{id}-{attribute}")),
        }
    }
}
