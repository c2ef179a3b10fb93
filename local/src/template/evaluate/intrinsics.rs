//! CloudFormation's intrinsics.

use serde_json::Value;

use super::{Evaluator, Kind, Node, Place, Result, nested_place, wrong};

impl Evaluator<'_> {
    pub(super) fn call(&self, name: &str, argument: &Node, place: &Place) -> Result<Option<Value>> {
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
            "Fn::RefAll" => {
                let kind = self.text(argument, place)?;
                Ok(Some(Value::Array(self.all_of_type(&kind))))
            }
            "Condition"
            | "Fn::Equals"
            | "Fn::Not"
            | "Fn::And"
            | "Fn::Or"
            | "Fn::Contains"
            | "Fn::EachMemberEquals"
            | "Fn::EachMemberIn" => self
                .holds(name, argument, place)
                .map(|holds| Some(Value::from(holds))),
            other => Err(wrong(
                argument,
                place,
                &format!("the local stack doesn't support {other}"),
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
                let (left, right) = (self.value(left, place)?, self.value(right, place)?);
                Ok(left.map(as_text) == right.map(as_text))
            }
            "Fn::Contains" => {
                let [texts, text] = arguments(name, argument, place)?;
                let (texts, text) = (self.texts(texts, place)?, self.text(text, place)?);
                Ok(texts.contains(&text))
            }
            "Fn::EachMemberEquals" => {
                let [texts, text] = arguments(name, argument, place)?;
                let (texts, text) = (self.texts(texts, place)?, self.text(text, place)?);
                Ok(texts.iter().all(|one| *one == text))
            }
            "Fn::EachMemberIn" => {
                let [texts, allowed] = arguments(name, argument, place)?;
                let (texts, allowed) = (self.texts(texts, place)?, self.texts(allowed, place)?);
                Ok(texts.iter().all(|one| allowed.contains(one)))
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

    pub(super) fn truth(&self, node: &Node, place: &Place) -> Result<bool> {
        // `Node` doesn't recognise the long form `{ Condition: name }`, an ordinary mapping outside of conditions.
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

    pub(super) fn condition(&self, name: &str, at: &Node, place: &Place) -> Result<bool> {
        let node = self
            .root
            .get("Conditions")
            .and_then(|conditions| conditions.get(name));
        let node =
            node.ok_or_else(|| wrong(at, place, &format!("there is no condition {name}")))?;
        let place = nested_place(&format!("Conditions.{name}"), at, place)?;
        self.truth(node, &place)
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

    /// Replaces `${Name}`, `${Name.Attribute}` and `${!literal}`.
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
                text.extend(["${", literal, "}"]);
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
}

/// Converts scalars to text for comparison, as on AWS: a parameter's `10` equals the template's 10.
fn as_text(value: Value) -> Value {
    match value {
        Value::Number(_) | Value::Bool(_) => Value::from(value.to_string()),
        other => other,
    }
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
