//! Evaluates the template with local values: its sections, the resources whose condition holds, and their values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::TemplateError;
use super::local_values::LocalValues;
use super::node::{Kind, Node};
use super::reader::Reader;
use super::suggestion::unknown_parameter;

mod intrinsics;
mod names;

type Result<T> = std::result::Result<T, TemplateError>;

/// The maximum number of references through which a value is reached. It stops circular references.
const MAX_DEPTH: usize = 32;

/// Evaluates values of one template.
pub(crate) struct Evaluator<'a> {
    root: &'a Node,
    parameters: BTreeMap<String, Value>,
    local: &'a LocalValues,
}

/// The path of a value being evaluated, and the number of references through which it was reached.
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
            let names: Vec<&str> = declared.iter().map(|(name, _)| name.as_str()).collect();
            let problem = unknown_parameter(unknown, &names);
            return Err(TemplateError::new(0, "Parameters", problem));
        }
        let mut parameters = BTreeMap::new();
        for (name, node) in declared {
            // Networks and certificates have no local counterpart, so any name will do.
            let text = given
                .get(name)
                .cloned()
                .or_else(|| node.get("Default").and_then(Node::text))
                .unwrap_or_else(|| format!("local-{name}"));
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

    /// Returns the resources of a type whose condition holds, with their logical ids.
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

    /// Evaluates a resource's properties.
    pub(crate) fn properties(&self, id: &str, node: &Node) -> Result<Reader> {
        let place = format!("Resources.{id}.Properties");
        let value = match node.get("Properties") {
            None => Value::Object(Map::new()),
            Some(properties) => self.value_at(properties, &place)?,
        };
        Ok(Reader::new(value, node.line, place))
    }

    /// Evaluates a section such as `Globals.Function`.
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

    /// Evaluates any part of the template.
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

    /// Evaluates a condition anywhere in the template.
    pub(crate) fn holds_at(&self, node: &Node, path: &str) -> Result<bool> {
        let place = Place {
            path: path.to_owned(),
            depth: 0,
        };
        self.truth(node, &place)
    }

    /// Returns the values of all parameters of a type.
    fn all_of_type(&self, kind: &str) -> Vec<Value> {
        let declared = self.root.get("Parameters").and_then(Node::entries);
        let of_type = declared
            .unwrap_or_default()
            .iter()
            .filter(|(_, node)| node.get("Type").and_then(Node::text).as_deref() == Some(kind));
        of_type
            .filter_map(|(name, _)| self.parameters.get(name).cloned())
            .collect()
    }

    /// Evaluates a value. Returns `None` for `AWS::NoValue`, which removes the value.
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
}

fn wrong(node: &Node, place: &Place, problem: &str) -> TemplateError {
    TemplateError::new(node.line, place.path.clone(), problem)
}

fn nested_place(path: &str, at: &Node, place: &Place) -> Result<Place> {
    if place.depth >= MAX_DEPTH {
        return Err(wrong(at, place, "refers to itself"));
    }
    Ok(Place {
        path: path.to_owned(),
        depth: place.depth + 1,
    })
}
