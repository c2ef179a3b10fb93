//! Bodies of requests: each is a struct, declared once by [`body!`].
//!
//! The struct's fields are those that a request may have: [`FromFields::read`] parses them, and the API's document
//! describes them by the same types and doc comments. A field's type tells whether it may be omitted (`Option`),
//! emptied ([`Clearable`]) or is a list ([`List`]).

use std::collections::HashSet;
use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use serde_json::Value;

use super::{BadField, Fields, Problem};
use crate::domain::{
    Alt, Bio, BirthDate, CommentText, Handle, ImageKey, MAX_IMAGES, Name, PostText, Reason,
};

/// Extracts a JSON body; 400 names every field that is bad or unknown. See [`Fields`] for the other answers.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Sync, T: FromFields> FromRequestParts<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let mut fields = Fields::from_request_parts(parts, state).await?;
        let body = T::read(&mut fields);
        fields.finish(body).map(Self)
    }
}

/// A body that is read from the fields of a JSON object.
pub trait FromFields: Sized {
    /// Takes the body's fields out of `fields`, which records every bad one.
    fn read(fields: &mut Fields) -> Result<Self, BadField>;
}

/// Declares a request's body: a struct that is read from [`Fields`] and described in the API's document.
macro_rules! body {
    ($(#[$about:meta])* pub struct $Name:ident { $($(#[$doc:meta])* pub $field:ident: $Type:ty,)* }) => {
        #[derive(Debug)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "openapi", schemars(deny_unknown_fields))]
        $(#[$about])*
        pub struct $Name { $($(#[$doc])* pub $field: $Type,)* }

        impl $crate::http::FromFields for $Name {
            fn read(fields: &mut $crate::http::Fields) -> Result<Self, $crate::http::BadField> {
                $(let $field = $crate::http::body::Field::take(fields, stringify!($field));)*
                Ok(Self { $($field: $field?,)* })
            }
        }
    };
}
pub(super) use body;

/// The type of a body's field.
pub(super) trait Field: Sized {
    /// Takes the field out of `fields`.
    fn take(fields: &mut Fields, name: &str) -> Result<Self, BadField>;
}

/// The type of a field that is a JSON string.
pub(super) trait Text: Sized {
    /// Parses the string.
    fn from_text(text: &str) -> Result<Self, Reason>;
}

impl<T: Text> Field for T {
    fn take(fields: &mut Fields, name: &str) -> Result<Self, BadField> {
        fields.required(name, T::from_text)
    }
}

impl<T: Text> Field for Option<T> {
    fn take(fields: &mut Fields, name: &str) -> Result<Self, BadField> {
        fields.optional(name, T::from_text)
    }
}

macro_rules! texts {
    ($($Type:ident)*) => {$(
        impl Text for $Type {
            fn from_text(text: &str) -> Result<Self, Reason> {
                Self::parse(text)
            }
        }
    )*};
}
texts! { Bio BirthDate CommentText Name PostText }

/// A handle that a user chooses: see [`Handle::choose`].
#[derive(Debug)]
pub struct ChosenHandle(pub Handle);

impl Text for ChosenHandle {
    fn from_text(text: &str) -> Result<Self, Reason> {
        Handle::choose(text).map(Self)
    }
}

/// A text of an edit; `None` for an empty one, which clears the field.
#[derive(Debug)]
pub struct Clearable<T>(pub Option<T>);

impl<T: Text> Text for Clearable<T> {
    fn from_text(text: &str) -> Result<Self, Reason> {
        match text {
            "" => Ok(Self(None)),
            text => T::from_text(text).map(|value| Self(Some(value))),
        }
    }
}

/// A text that the document describes as a `T`, but that the handler checks, because an invalid one has another answer
/// than 400. For example, a key that this service never issued is an image that was never uploaded: 422.
#[derive(Debug)]
pub struct Unchecked<T> {
    /// The text as it was sent.
    pub text: String,
    kind: PhantomData<fn() -> T>,
}

impl<T> Unchecked<T> {
    fn new(text: &str) -> Self {
        let (text, kind) = (text.to_owned(), PhantomData);
        Self { text, kind }
    }
}

impl<T> Text for Unchecked<T> {
    fn from_text(text: &str) -> Result<Self, Reason> {
        Ok(Self::new(text))
    }
}

/// A list of at most `MAX` texts.
#[derive(Debug)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T: Text, const MAX: usize> Field for Option<List<T, MAX>> {
    fn take(fields: &mut Fields, name: &str) -> Result<Self, BadField> {
        let items = fields.list(name, MAX, T::from_text)?;
        Ok(items.map(List))
    }
}

/// An image of a post to be: the key of an upload, or an object with the key and a description.
#[derive(Debug)]
pub struct NewImage {
    /// The upload's key.
    pub key: Unchecked<ImageKey>,
    /// The description for those who can't see the image.
    pub alt: Option<Alt>,
}

/// The images of a post to be: at most ten, each once.
#[derive(Debug)]
pub struct NewImages(pub Vec<NewImage>);

impl Field for Option<NewImages> {
    fn take(fields: &mut Fields, name: &str) -> Result<Self, BadField> {
        let images = fields.items(name, MAX_IMAGES, |fields, pointer, item| match item {
            Value::Object(object) => fields.object(&pointer, object, |fields| {
                let key = fields.required("key", Unchecked::from_text);
                let alt = fields.optional("alt", Alt::parse);
                Ok(NewImage {
                    key: key?,
                    alt: alt?.flatten(),
                })
            }),
            Value::String(key) => Ok(NewImage {
                key: Unchecked::new(key),
                alt: None,
            }),
            _ => fields.bad(pointer, "must be a key, or an object with a key"),
        })?;
        let Some(images) = images else {
            return Ok(None);
        };
        let mut before = HashSet::new();
        let mut twice = Ok(());
        for (at, image) in images.iter().enumerate() {
            if !before.insert(&image.key.text) {
                twice = fields.bad(format!("/{name}/{at}"), "is in the list already");
            }
        }
        twice?;
        Ok(Some(NewImages(images)))
    }
}

/// A number of bytes, which the handler checks: too many have another answer than 400.
#[derive(Debug, Clone, Copy)]
pub struct ByteCount(pub u64);

impl Field for ByteCount {
    fn take(fields: &mut Fields, name: &str) -> Result<Self, BadField> {
        fields.number(name).map(Self)
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{ByteCount, ChosenHandle, Clearable, List, NewImages, Unchecked};
    use crate::domain::{Alt, ImageKey, MAX_IMAGES, UploadSize};

    macro_rules! inline {
        ($(($($generics:tt)*) $Type:ty = $schema:expr;)*) => {$(
            impl<$($generics)*> JsonSchema for $Type {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($Type).into()
                }

                fn schema_id() -> Cow<'static, str> {
                    std::any::type_name::<Self>().into()
                }

                fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
                    let schema: fn(&mut SchemaGenerator) -> Schema = $schema;
                    schema(schemas)
                }
            }
        )*};
    }

    inline! {
        // The pattern doesn't exclude reserved handles, which are too many to list.
        () ChosenHandle = |_| json_schema!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_.]{1,28}[a-z0-9]$" });
        () ByteCount = UploadSize::json_schema;
        (T: JsonSchema) Unchecked<T> = T::json_schema;
        (T: JsonSchema) Clearable<T> = |schemas| json_schema!({
            "anyOf": [schemas.subschema_for::<T>(), { "const": "" }],
        });
        (T: JsonSchema, const MAX: usize) List<T, MAX> = |schemas| json_schema!({
            "type": "array", "maxItems": MAX, "items": schemas.subschema_for::<T>(),
        });
        () NewImages = |schemas| json_schema!({
            "type": "array", "maxItems": MAX_IMAGES, "uniqueItems": true,
            "items": { "anyOf": [schemas.subschema_for::<ImageKey>(), {
                "type": "object",
                "properties": {
                    "key": schemas.subschema_for::<ImageKey>(),
                    "alt": schemas.subschema_for::<Option<Alt>>(),
                },
                "required": ["key"],
                "additionalProperties": false,
            }] },
        });
    }
}
