//! Reads the fields of an evaluated value. Errors name the place of a missing or mistyped field.

use std::time::Duration;

use serde_json::Value;

use super::error::TemplateError;

/// A value of the template and its place.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    value: Value,
    line: usize,
    place: String,
}

type Result<T> = std::result::Result<T, TemplateError>;

impl Reader {
    pub(crate) fn new(value: Value, line: usize, place: impl Into<String>) -> Self {
        Self {
            value,
            line,
            place: place.into(),
        }
    }

    pub(crate) fn wrong(&self, problem: impl Into<String>) -> TemplateError {
        TemplateError::new(self.line, self.place.clone(), problem)
    }

    /// Returns a field, if it is present.
    pub(crate) fn optional(&self, name: &str) -> Option<Self> {
        match self.value.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => Some(self.child(name, value)),
        }
    }

    /// Returns a required field.
    pub(crate) fn field(&self, name: &str) -> Result<Self> {
        self.optional(name)
            .ok_or_else(|| self.wrong(format!("{name} is missing")))
    }

    fn child(&self, name: &str, value: &Value) -> Self {
        Self::new(value.clone(), self.line, format!("{}.{name}", self.place))
    }

    /// Returns the items of a list. A value that isn't a list counts as a list of one item.
    pub(crate) fn items(&self) -> Vec<Self> {
        match &self.value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| self.child(&at.to_string(), item))
                .collect(),
            _ => vec![self.clone()],
        }
    }

    /// Returns a field's items, or none if the field is absent.
    pub(crate) fn list(&self, name: &str) -> Vec<Self> {
        self.optional(name)
            .map(|field| field.items())
            .unwrap_or_default()
    }

    /// Returns a field's items as text.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>> {
        self.list(name).iter().map(Self::text).collect()
    }

    /// Returns a mapping's entries.
    pub(crate) fn entries(&self) -> Result<Vec<(String, Self)>> {
        let map = self
            .value
            .as_object()
            .ok_or_else(|| self.wrong("must be a mapping"))?;
        Ok(map
            .iter()
            .map(|(name, value)| (name.clone(), self.child(name, value)))
            .collect())
    }

    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    pub(crate) fn text(&self) -> Result<String> {
        match &self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            _ => Err(self.wrong("must be text")),
        }
    }

    pub(crate) fn integer(&self) -> Result<u64> {
        self.text()?
            .parse()
            .map_err(|_| self.wrong("must be a whole number"))
    }

    pub(crate) fn boolean(&self) -> Result<bool> {
        match self.text()?.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.wrong("must be true or false")),
        }
    }

    pub(crate) fn seconds(&self) -> Result<Duration> {
        self.integer().map(Duration::from_secs)
    }

    pub(crate) fn count(&self) -> Result<usize> {
        usize::try_from(self.integer()?).map_err(|_| self.wrong("is too large"))
    }
}
