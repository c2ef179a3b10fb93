//! JSON bodies and queries, field by field, so that one answer names every bad field.

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::Problem;
use super::raw_body::RawBody;
use super::settings::BODY_LIMIT;
use crate::domain::Invalid;

/// The fields of a request whose body is a JSON object, or the parameters of its query (see
/// [`Query`](super::Query)).
///
/// Each call takes a field out and returns `BadField` if it can't be used; [`Fields::finish`] returns the values, or a
/// 400 that names every bad field and every field that was not taken. A field that is `null` counts as omitted.
///
/// ```ignore
/// let text = fields.required("text", PostText::parse);
/// let images = fields.list("images", MAX_IMAGES, ImageKey::parse);
/// let (text, images) = fields.finish((text, images))?;
/// ```
///
/// As an extractor it answers 415 for another media type, 413 above 256 KiB, and 400 for anything but a JSON object.
#[derive(Debug, Default)]
pub struct Fields {
    values: BTreeMap<String, Value>,
    invalid: Invalid,
}

const NOT_WHOLE: &str = "must be a whole number from 0";

/// A field that can't be used; [`Fields`] has recorded it with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadField(());

impl Fields {
    /// Takes a required text.
    pub fn required<T, E: fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, BadField> {
        match self.optional(name, parse)? {
            Some(value) => Ok(value),
            None => self.bad(pointer(name), "is missing"),
        }
    }

    /// Takes an optional text.
    pub fn optional<T, E: fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, BadField> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        self.text(pointer(name), &value, parse).map(Some)
    }

    /// Takes an optional text of an edit; an empty one clears it: `Some(None)`.
    pub fn clearable<T, E: fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<Option<T>>, BadField> {
        self.optional(name, |text| match text {
            "" => Ok(None),
            text => parse(text).map(Some),
        })
    }

    /// Takes a required whole number of at least 0, which may be written as `5.0`. A number too large for 64 bits
    /// becomes the largest.
    pub fn number(&mut self, name: &str) -> Result<u64, BadField> {
        match self.take(name) {
            None => self.bad(pointer(name), "is missing"),
            Some(value) => match (value.as_u64(), value.as_f64()) {
                (Some(number), _) => Ok(number),
                // 2^64 as a float is exact, and larger floats are whole.
                (None, Some(float)) if float >= 18_446_744_073_709_551_616.0 => Ok(u64::MAX),
                (None, Some(float)) if float.fract() == 0.0 && float >= 0.0 => {
                    let digits = format!("{:.0}", float.abs());
                    digits
                        .parse()
                        .or_else(|_| self.bad(pointer(name), NOT_WHOLE))
                }
                _ => self.bad(pointer(name), NOT_WHOLE),
            },
        }
    }

    /// Takes an optional list of at most `max` texts.
    pub fn list<T, E: fmt::Display>(
        &mut self,
        name: &str,
        max: usize,
        mut parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, BadField> {
        self.items(name, max, |fields, pointer, item| {
            fields.text(pointer, item, &mut parse)
        })
    }

    /// Takes an optional list of at most `max` values, each of which is at a pointer.
    pub(super) fn items<T>(
        &mut self,
        name: &str,
        max: usize,
        mut parse: impl FnMut(&mut Self, String, &Value) -> Result<T, BadField>,
    ) -> Result<Option<Vec<T>>, BadField> {
        let items = match self.take(name) {
            None => return Ok(None),
            Some(Value::Array(items)) if items.len() <= max => items,
            Some(Value::Array(_)) => {
                return self.bad(pointer(name), format_args!("must hold at most {max}"));
            }
            Some(_) => return self.bad(pointer(name), "must be a list"),
        };
        let list = pointer(name);
        let parsed: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(at, item)| parse(self, format!("{list}/{at}"), item))
            .collect();
        parsed.into_iter().collect::<Result<_, _>>().map(Some)
    }

    /// Takes the fields of an object inside the body, and records those that are bad or unknown at its pointer.
    pub(super) fn object<T>(
        &mut self,
        at: &str,
        value: &Map<String, Value>,
        read: impl FnOnce(&mut Self) -> Result<T, BadField>,
    ) -> Result<T, BadField> {
        let mut inner = Self::default();
        for (name, value) in value {
            inner.insert(name.clone(), value.clone());
        }
        let found = read(&mut inner);
        let invalid = inner.into_invalid();
        if invalid.errors.is_empty() {
            return found;
        }
        for error in invalid.errors {
            self.invalid
                .push(format!("{at}{}", error.pointer), error.detail);
        }
        Err(BadField(()))
    }

    /// Adds the faults of other fields, whose useful values were all taken: for a request that has both a query and a
    /// body.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        let mut invalid = others.into_invalid();
        self.invalid.errors.append(&mut invalid.errors);
        self
    }

    /// Returns the values if no field was bad and none is left over; otherwise a 400.
    pub fn finish<T: All>(self, found: T) -> Result<T::Found, Problem> {
        self.into_invalid().into_result()?;
        // Each `BadField` was recorded with its reason, so none reaches this point.
        found
            .all()
            .map_err(|BadField(())| Problem::bad_request("Some of the input was refused."))
    }

    /// Returns every field that is bad or was not taken.
    fn into_invalid(mut self) -> Invalid {
        for name in self.values.into_keys() {
            self.invalid.push(pointer(&name), "is not known here");
        }
        self.invalid
    }

    /// Takes a field out; returns `None` if it is omitted or `null`.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    /// Adds a field. One given twice is bad.
    fn insert(&mut self, name: String, value: Value) {
        if self.values.contains_key(&name) {
            self.invalid.push(pointer(&name), "is given twice");
        }
        self.values.insert(name, value);
    }

    pub(super) fn text<T, E: fmt::Display>(
        &mut self,
        pointer: String,
        value: &Value,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, BadField> {
        let Some(text) = value.as_str() else {
            return self.bad(pointer, "must be a string");
        };
        parse(text).or_else(|reason| self.bad(pointer, reason))
    }

    /// Records that a field is bad.
    pub(super) fn bad<T>(
        &mut self,
        pointer: String,
        reason: impl fmt::Display,
    ) -> Result<T, BadField> {
        self.invalid.push(pointer, reason);
        Err(BadField(()))
    }

    /// Parses a body. A field given twice is recorded as bad, not returned as an error.
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let body = std::str::from_utf8(body)
            .map_err(|_| Problem::bad_request("The body is not UTF-8."))?;
        let mut fields = Self::default();
        let mut json = serde_json::Deserializer::from_str(body);
        (&mut fields)
            .deserialize(&mut json)
            .and_then(|()| json.end())
            .map_err(|error| {
                if error.is_data() {
                    return Problem::bad_request("The body is not a JSON object.");
                }
                Problem::bad_request(format!(
                    "The body is not JSON: line {}, column {}.",
                    error.line(),
                    error.column()
                ))
            })?;
        Ok(fields)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Fields {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Fields {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            self.insert(name, value);
        }
        Ok(())
    }
}

/// Returns the JSON pointer to a field of the body.
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if !is_json(parts) {
            return Err(Problem::unsupported_media_type(
                "Send application/json in UTF-8.",
            ));
        }
        if is_encoded(parts) {
            return Err(Problem::unsupported_media_type(
                "Send the body as it is, without encoding.",
            ));
        }
        match parts.extensions.get() {
            // A function that takes larger bodies of other types takes no larger JSON.
            Some(RawBody(body)) if body.len() > BODY_LIMIT => {
                Err(Problem::body_too_large(BODY_LIMIT))
            }
            Some(RawBody(body)) => Self::read(body),
            None => Self::read(&[]),
        }
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        let mut fields = Self::default();
        for (name, value) in pairs {
            fields.insert(name, Value::String(value));
        }
        fields
    }
}

fn content_type(parts: &Parts) -> &str {
    let value = parts.headers.get(CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Returns the body's media type without its parameters, as spelt; empty without one.
pub(super) fn media_type(parts: &Parts) -> &str {
    content_type(parts)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}

/// Returns whether the body is compressed or otherwise encoded.
pub(super) fn is_encoded(parts: &Parts) -> bool {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    !parts.headers.get_all(CONTENT_ENCODING).iter().all(plain)
}

fn is_json(parts: &Parts) -> bool {
    let mut parameters = content_type(parts).split(';').skip(1).map(str::trim);
    media_type(parts).eq_ignore_ascii_case("application/json")
        && parameters.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => ["utf-8", "utf8"]
                .iter()
                .any(|it| value.trim().trim_matches('"').eq_ignore_ascii_case(it)),
            _ => true,
        })
}

/// Several fields together: a tuple of the results of [`Fields`]' methods.
pub trait All {
    /// The tuple of their values.
    type Found;
    /// Returns all values, or `BadField` if one is bad.
    fn all(self) -> Result<Self::Found, BadField>;
}

/// A body that has no fields.
impl All for () {
    type Found = ();
    fn all(self) -> Result<(), BadField> {
        Ok(())
    }
}

impl<A> All for Result<A, BadField> {
    type Found = A;
    fn all(self) -> Result<A, BadField> {
        self
    }
}

macro_rules! all {
    ($($name:ident)+) => {
        impl<$($name),+> All for ($(Result<$name, BadField>,)+) {
            type Found = ($($name,)+);
            #[allow(non_snake_case)]
            fn all(self) -> Result<Self::Found, BadField> {
                let ($($name,)+) = self;
                Ok(($($name?,)+))
            }
        }
    };
}
all!(A);
all!(A B);
all!(A B C);
all!(A B C D);
all!(A B C D E);
all!(A B C D E F);

#[cfg(test)]
#[path = "tests/fields.rs"]
mod tests;
