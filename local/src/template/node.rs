//! YAML as a tree that preserves lines and CloudFormation's tags.

use saphyr::{LoadableYamlNode, MarkedYamlOwned, ScalarOwned, YamlDataOwned};

use super::error::TemplateError;

/// A value of the template and its line.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// The kind of a value.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// A call of an intrinsic function: its long name (`Ref`, `Condition`, `Fn::Sub`) and its argument.
    Call(String, Box<Node>),
}

impl Node {
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let documents = MarkedYamlOwned::load_from_str(text).map_err(|error| {
            TemplateError::new(error.marker().line(), "not YAML", error.info().to_owned())
        })?;
        match documents.as_slice() {
            [document] => Self::from_yaml(document, 1),
            _ => Err(TemplateError::new(
                1,
                "the file",
                "must be one YAML document",
            )),
        }
    }

    /// Converts a YAML node. `line` is used for nodes without a line of their own.
    fn from_yaml(yaml: &MarkedYamlOwned, line: usize) -> Result<Self, TemplateError> {
        let line = yaml.span.start.line().max(line);
        let wrong = |problem: &str| TemplateError::new(line, "YAML", problem);
        let kind = match &yaml.data {
            YamlDataOwned::Value(ScalarOwned::Null) => Kind::Null,
            YamlDataOwned::Value(ScalarOwned::Boolean(value)) => Kind::Bool(*value),
            YamlDataOwned::Value(ScalarOwned::Integer(value)) => Kind::Integer(*value),
            YamlDataOwned::Value(ScalarOwned::FloatingPoint(value)) => {
                Kind::Float(value.into_inner())
            }
            YamlDataOwned::Value(ScalarOwned::String(value)) => Kind::Text(value.clone()),
            YamlDataOwned::Sequence(items) => Kind::List(
                items
                    .iter()
                    .map(|item| Self::from_yaml(item, line))
                    .collect::<Result<_, _>>()?,
            ),
            YamlDataOwned::Mapping(entries) => {
                let mut map = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let name = match Self::from_yaml(key, line)?.kind {
                        Kind::Text(name) => name,
                        Kind::Integer(name) => name.to_string(),
                        Kind::Bool(name) => name.to_string(),
                        _ => return Err(wrong("a mapping's key must be text")),
                    };
                    map.push((name, Self::from_yaml(value, line)?));
                }
                Self::long_form(map)
            }
            YamlDataOwned::Tagged(tag, inner) if tag.handle == "!" => {
                let argument = Self::from_yaml(inner, line)?;
                let name = match tag.suffix.as_str() {
                    "Ref" | "Condition" => tag.suffix.clone(),
                    other => format!("Fn::{other}"),
                };
                Kind::Call(name, Box::new(argument))
            }
            YamlDataOwned::Tagged(tag, _) => {
                return Err(wrong(&format!("unknown tag {}{}", tag.handle, tag.suffix)));
            }
            YamlDataOwned::Alias(_) => return Err(wrong("aliases aren't supported")),
            YamlDataOwned::Representation(..) | YamlDataOwned::BadValue => {
                return Err(wrong("not a value"));
            }
        };
        Ok(Self { line, kind })
    }

    /// Recognises the long form of calls: `{ Ref: x }` and `{ Fn::Sub: x }` mean `!Ref x` and `!Sub x`.
    fn long_form(mut map: Vec<(String, Self)>) -> Kind {
        match map.as_slice() {
            [(name, _)] if name == "Ref" || name.starts_with("Fn::") => match map.pop() {
                Some((name, argument)) => Kind::Call(name, Box::new(argument)),
                None => Kind::Null,
            },
            _ => Kind::Map(map),
        }
    }

    /// Finds a mapping's value by its name.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.entries()?
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// Returns a mapping's entries, in order.
    pub(crate) fn entries(&self) -> Option<&[(String, Self)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns a scalar's text.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Integer(number) => Some(number.to_string()),
            Kind::Float(number) => Some(number.to_string()),
            Kind::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }
}
