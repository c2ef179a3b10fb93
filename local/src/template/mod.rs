//! Reads template.yaml, so that what runs locally is what is deployed.
//!
//! [`Template::parse`] reads the YAML, [`Template::plan`] evaluates it against the local values of
//! parameters and resources into a typed [`Plan`]. What the local stack has no part for (roles,
//! networks, alarms) is passed over; what it has one for but can't do, or doesn't know, is an error
//! that names the line and the place, never silently ignored.

mod evaluate;
mod node;
mod parameters;
mod plan;
mod read_delivery;
mod read_functions;
mod read_routing;
mod read_storage;
mod reader;

use std::collections::BTreeMap;

pub use evaluate::LocalValues;
pub use parameters::BadParameters;
pub use plan::{
    Action, Bucket, Cors, Distribution, Expiry, Function, Index, Key, Listener, Mapping, Plan,
    Queue, Redrive, Rule, Schedule, ScheduleKind, Table,
};

use evaluate::Evaluator;
use node::Node;

/// Where and why the template is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template, line {line}, {place}: {problem}")]
pub struct TemplateError {
    /// The line, from 1; 0 where none is known.
    pub line: usize,
    /// The path within the template, such as `Resources.LikesQueue.Properties.RedrivePolicy`.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl TemplateError {
    pub(crate) fn new(line: usize, place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            line,
            place: place.into(),
            problem: problem.into(),
        }
    }
}

/// A template that was read but not yet evaluated.
#[derive(Debug, Clone)]
pub struct Template {
    root: Node,
}

impl Template {
    /// Reads a template from its text.
    ///
    /// # Errors
    /// The text isn't YAML, or isn't one document with a `Resources` mapping.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let root = Node::parse(text)?;
        if root
            .get("Resources")
            .is_none_or(|node| node.entries().is_none())
        {
            return Err(TemplateError::new(1, "Resources", "there are none"));
        }
        Ok(Self { root })
    }

    /// The names of the parameters that the template declares.
    pub fn parameters(&self) -> Vec<&str> {
        self.root
            .get("Parameters")
            .and_then(Node::entries)
            .map(|entries| entries.iter().map(|(name, _)| name.as_str()).collect())
            .unwrap_or_default()
    }

    /// Evaluates the template. What holds for parameters is [`Template::problems_of`]'s to say.
    ///
    /// # Errors
    /// An intrinsic, a property or a value that the local stack doesn't know, a name that isn't
    /// there, or a parameter in `parameters` that the template doesn't declare.
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
