//! Reads template.yaml, so that the local stack runs the same resources that are deployed.
//!
//! [`Template::parse`] reads the YAML, and [`Template::plan`] evaluates it into a typed [`Plan`], using
//! the local values of parameters and resources. Resources without a local counterpart (roles, networks,
//! alarms) are ignored. Features of other resources that the local stack knows but doesn't support, such
//! as a table's stream, are errors that name the line and the place.

mod error;
mod evaluate;
mod local_values;
mod node;
mod parameters;
mod plan;
mod read_delivery;
mod read_functions;
mod read_notifications;
mod read_policies;
mod read_routing;
mod read_storage;
mod reader;
mod suggestion;

use std::collections::BTreeMap;

pub use error::TemplateError;
pub use local_values::LocalValues;
pub use parameters::InvalidParameters;
pub use plan::{
    Action, Bucket, Cors, Distribution, Expiry, Function, Index, Key, Listener, Mapping,
    Notification, Plan, Queue, Redrive, Rule, Schedule, ScheduleKind, Table,
};

use evaluate::Evaluator;
use node::Node;

/// A template that has been parsed but not evaluated.
#[derive(Debug, Clone)]
pub struct Template {
    root: Node,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Fails if the text isn't YAML, or isn't one document with a `Resources` mapping.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let root = Node::parse(text)?;
        if root
            .get("Resources")
            .is_none_or(|node| node.entries().is_none())
        {
            return Err(TemplateError::new(1, "Resources", "must be a mapping"));
        }
        Ok(Self { root })
    }

    /// Returns the names of the declared parameters.
    pub fn parameters(&self) -> Vec<&str> {
        self.root
            .get("Parameters")
            .and_then(Node::entries)
            .map(|entries| entries.iter().map(|(name, _)| name.as_str()).collect())
            .unwrap_or_default()
    }

    /// Checks parameters as `CloudFormation` does: their names, the constraints of each, and the template's rules. Returns
    /// the problems, if there are any.
    ///
    /// # Errors
    /// Fails if the template itself is invalid: a pattern isn't a regular expression, or a rule can't be evaluated.
    pub fn check_parameters(
        &self,
        given: &BTreeMap<String, String>,
        local: &LocalValues,
    ) -> Result<Option<InvalidParameters>, TemplateError> {
        parameters::check(&self.root, given, local)
    }

    /// Evaluates the template. Doesn't check the parameters' constraints; see [`Template::check_parameters`].
    ///
    /// # Errors
    /// Fails if the template has an unsupported intrinsic, property or value, or refers to an unknown name, or if
    /// `parameters` contains an undeclared one.
    pub fn plan(
        &self,
        parameters: &BTreeMap<String, String>,
        local: &LocalValues,
    ) -> Result<Plan, TemplateError> {
        let evaluator = Evaluator::new(&self.root, parameters, local)?;
        let mut plan = Plan::default();
        read_functions::read(&evaluator, &mut plan)?;
        read_storage::read(&evaluator, &mut plan)?;
        plan.listener = read_routing::read(&evaluator, &plan)?;
        plan.check()?;
        Ok(plan)
    }
}
