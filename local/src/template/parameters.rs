//! Checks parameters as `CloudFormation` does before it creates anything: each against its own constraints, and all
//! against the template's rules.

use std::collections::BTreeMap;
use std::fmt;

use fancy_regex::Regex;

use super::error::TemplateError;
use super::evaluate::Evaluator;
use super::local_values::LocalValues;
use super::node::{Kind, Node};
use super::suggestion::unknown_parameter;

type Result<T> = std::result::Result<T, TemplateError>;

/// The maximum size of a value in bytes, as on AWS.
const MAX_BYTES: usize = 4096;

/// All problems with a template's parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidParameters(Vec<String>);

impl InvalidParameters {
    /// Returns the problems, one sentence each.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for InvalidParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "parameter {only}"),
            all => {
                write!(f, "the parameters are invalid:")?;
                all.iter().try_for_each(|one| write!(f, "\n  {one}"))
            }
        }
    }
}

/// Checks parameters: their names, the constraints of each, and the template's rules.
pub(super) fn check(
    root: &Node,
    given: &BTreeMap<String, String>,
    local: &LocalValues,
) -> Result<Option<InvalidParameters>> {
    let declared = root.get("Parameters").and_then(Node::entries);
    let declared = declared.unwrap_or_default();
    let (known, unknown): (BTreeMap<_, _>, BTreeMap<_, _>) = given
        .clone()
        .into_iter()
        .partition(|(name, _)| declared.iter().any(|(other, _)| other == name));
    let names: Vec<&str> = declared.iter().map(|(name, _)| name.as_str()).collect();
    let unknown = unknown.keys();
    let mut problems: Vec<String> = unknown
        .map(|name| unknown_parameter(name, &names))
        .collect();
    for (name, node) in declared {
        let parameter = Parameter { name, node };
        problems.extend(parameter.problem(known.get(name).map(String::as_str))?);
    }
    problems.extend(broken_rules(root, &Evaluator::new(root, &known, local)?)?);
    Ok((!problems.is_empty()).then_some(InvalidParameters(problems)))
}

/// Returns the descriptions of the assertions that don't hold.
fn broken_rules(root: &Node, evaluator: &Evaluator<'_>) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let rules = root.get("Rules").and_then(Node::entries);
    for (name, rule) in rules.unwrap_or_default() {
        let place = format!("Rules.{name}");
        if let Some(condition) = rule.get("RuleCondition")
            && !evaluator.holds_at(condition, &place)?
        {
            continue;
        }
        let Some(Kind::List(assertions)) = rule.get("Assertions").map(|node| &node.kind) else {
            let problem = "must have a list of Assertions";
            return Err(TemplateError::new(rule.line, place, problem));
        };
        for assertion in assertions {
            let assert = assertion.get("Assert").ok_or_else(|| {
                TemplateError::new(assertion.line, place.as_str(), "Assert is missing")
            })?;
            if !evaluator.holds_at(assert, &place)? {
                let description = assertion.get("AssertDescription").and_then(Node::text);
                broken.push(description.unwrap_or_else(|| format!("the rule {name} is broken")));
            }
        }
    }
    Ok(broken)
}

/// A parameter as the template declares it.
struct Parameter<'a> {
    name: &'a str,
    node: &'a Node,
}

impl Parameter<'_> {
    fn text(&self, property: &str) -> Option<String> {
        self.node.get(property).and_then(Node::text)
    }

    fn number(&self, property: &str) -> Option<f64> {
        number(&self.text(property)?)
    }

    fn length(&self, property: &str) -> Option<usize> {
        self.text(property)?.parse().ok()
    }

    /// Returns the problem with the given value or, without one, with the default.
    fn problem(&self, given: Option<&str>) -> Result<Option<String>> {
        let kind = self.text("Type").unwrap_or_default();
        let default = self.text("Default");
        let Some(value) = given.or(default.as_deref()) else {
            // AWS's own types, such as networks, images and keys, have no local counterpart and need no value.
            let no_counterpart = kind.contains("AWS::");
            let problem = format!("{}: must have a value, since it has no default", self.name);
            return Ok((!no_counterpart).then_some(problem));
        };
        let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
        let items: Vec<&str> = if is_list {
            value.split(',').map(str::trim).collect()
        } else {
            vec![value]
        };
        let mut reason = (value.len() > MAX_BYTES)
            .then(|| format!("must have at most {MAX_BYTES} bytes"))
            .or_else(|| not_numbers(&kind, &items));
        if reason.is_none()
            && let Some(constraint) = self.constraint(&kind, &items)?
        {
            reason = Some(self.text("ConstraintDescription").unwrap_or(constraint));
        }
        Ok(reason.map(|reason| format!("{}: {reason}", self.assignment(value))))
    }

    /// Describes the first constraint that an item violates.
    fn constraint(&self, kind: &str, items: &[&str]) -> Result<Option<String>> {
        if let Some(allowed) = self.allowed_values()
            && !items
                .iter()
                .all(|item| allowed.iter().any(|one| one == item))
        {
            return Ok(Some(format!("must be one of {}", allowed.join(", "))));
        }
        if let Some(pattern) = self.text("AllowedPattern") {
            let regex = anchored(&pattern).map_err(|error| {
                let place = format!("Parameters.{}.AllowedPattern", self.name);
                TemplateError::new(self.node.line, place, error.to_string())
            })?;
            if !items
                .iter()
                .all(|item| regex.is_match(item).unwrap_or(false))
            {
                return Ok(Some(format!("must match {pattern}")));
            }
        }
        let any = |violates: &dyn Fn(&str) -> bool| items.iter().any(|item| violates(item));
        if kind == "String" {
            let length = |item: &str| item.chars().count();
            if let Some(least) = self.length("MinLength")
                && any(&|item| length(item) < least)
            {
                return Ok(Some(format!("must have at least {least} characters")));
            }
            if let Some(most) = self.length("MaxLength")
                && any(&|item| length(item) > most)
            {
                return Ok(Some(format!("must have at most {most} characters")));
            }
        }
        if let Some(least) = self.number("MinValue")
            && any(&|item| number(item).is_some_and(|item| item < least))
        {
            return Ok(Some(format!("must be at least {least}")));
        }
        if let Some(most) = self.number("MaxValue")
            && any(&|item| number(item).is_some_and(|item| item > most))
        {
            return Ok(Some(format!("must be at most {most}")));
        }
        Ok(None)
    }

    fn allowed_values(&self) -> Option<Vec<String>> {
        match &self.node.get("AllowedValues")?.kind {
            Kind::List(items) => Some(items.iter().filter_map(Node::text).collect()),
            _ => None,
        }
    }

    /// Returns the name and the value, or only the name if the value is secret.
    fn assignment(&self, value: &str) -> String {
        if self.text("NoEcho").as_deref() == Some("true") {
            return self.name.to_owned();
        }
        let short: String = value.chars().take(80).collect();
        let more = if short.len() < value.len() { "…" } else { "" };
        format!("{}={:?}{more}", self.name, short)
    }
}

fn not_numbers(kind: &str, items: &[&str]) -> Option<String> {
    let numeric = matches!(kind, "Number" | "List<Number>");
    let all = items.iter().all(|item| number(item).is_some());
    (numeric && !all).then(|| {
        if kind == "Number" {
            "must be a number".to_owned()
        } else {
            "must be numbers, comma separated".to_owned()
        }
    })
}

/// Parses a number as `CloudFormation` does, with or without a fraction.
fn number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    // Rust also parses `inf` and `nan`.
    number.is_finite().then_some(number)
}

/// Compiles a pattern with Java's semantics, so that it matches only the whole value.
fn anchored(pattern: &str) -> std::result::Result<Regex, fancy_regex::Error> {
    Regex::new(&format!(r"\A(?:{})\z", ascii_classes(pattern)))
}

/// Limits `\d`, `\w` and `\s` to ASCII, as in Java. In Rust they include Unicode.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('s') => out.push_str(r"[ \t\n\x0B\f\r]"),
            Some('S') => out.push_str(r"[^ \t\n\x0B\f\r]"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn patterns_match_as_in_java() {
        for (pattern, value, matches) in [
            ("off|[1-9]+", "off", true),
            ("off|[1-9]+", "offline", false),
            ("off|[1-9]+", "an off", false),
            (r"\d+", "12", true),
            (r"\d+", "١٢", false),
            (r"[\d.]+", "1.2", true),
            (r"[^\s]*", "a b", false),
            ("(https?://.+[^/])?", "", true),
            ("(https?://.+[^/])?", "https://a.example/", false),
            ("(?!.*/$).+", "a/", false),
            ("a", "a\n", false),
            (r"a\\d", r"a\d", true),
        ] {
            let regex = anchored(pattern).unwrap();
            assert_eq!(
                regex.is_match(value).unwrap(),
                matches,
                "{pattern} {value:?}"
            );
        }
    }
}
