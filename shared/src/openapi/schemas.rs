//! The schemas of the texts and numbers in requests and answers, and of pages of a search.
//!
//! Each schema allows what its type's parser does; tests compare them on random texts. Where JSON Schema can't express
//! a rule, the schema allows more, and the comment says what. Only that of `SearchText` allows less: no white space
//! around a text of the maximum length.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::domain::{
    Alt, BREEDS, Bio, BirthDate, CatId, CatView, CommentId, CommentText, ContentType, Cursor,
    Handle, IdempotencyKey, ImageKey, Limit, Name, PostId, PostText, PostView, SearchPage,
    SearchText, SearchType, Tag, TagView, Thumbhash, Timestamp, UPLOAD_MAX_BYTES, UploadSize,
    UserId, UserRef, UserView,
};
use crate::http::routes::{Sha256, Top};

/// As in api.md: the content of an id is opaque.
const ID: &str = "^[0-9A-Za-z_-]{1,40}$";
/// Not U+0000.
const NO_NULL: &str = "^[^\\u0000]*$";
/// Not U+0000, and at least one character that is not Unicode white space, spelt so that every dialect of regular
/// expressions reads it alike.
const NOT_BLANK: &str = "^[^\\u0000]*[^\\u0000\\t-\\r \\u0085\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000][^\\u0000]*$";
/// No control, bidirectional or line-break characters, and one character that is not blank.
const NAME: &str = "^[^\\u0000-\\u001F\\u007F-\\u009F\\u061C\\u200E\\u200F\\u2028-\\u202E\\u2066-\\u2069]*[^\\u0000- \\u007F-\\u00A0\\u061C\\u1680\\u2000-\\u200F\\u2028-\\u202F\\u205F\\u2066-\\u2069\\u3000][^\\u0000-\\u001F\\u007F-\\u009F\\u061C\\u200E\\u200F\\u2028-\\u202E\\u2066-\\u2069]*$";

macro_rules! schemas {
    ($($name:ident: $schema:tt)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schemas! {
    PostId: { "type": "string", "pattern": ID }
    CatId: { "type": "string", "pattern": ID }
    CommentId: { "type": "string", "pattern": ID }
    UserId: { "type": "string", "pattern": ID }
    // An id, or `@` and a handle in any case.
    UserRef: { "type": "string", "pattern": "^([0-9A-Za-z_-]{1,40}|@[A-Za-z0-9_.]{3,30})$" }
    Handle: { "type": "string", "pattern": "^[a-z0-9_.]{3,30}$" }
    // White space is the only invisible character that the schema knows.
    Name: { "type": "string", "minLength": 1, "maxLength": Name::MAX_CHARS, "pattern": NAME }
    // An empty one is none.
    Alt: { "type": "string", "maxLength": Alt::MAX_CHARS, "pattern": NO_NULL }
    Thumbhash: { "type": "string", "contentEncoding": "base64" }
    Bio: { "type": "string", "maxLength": Bio::MAX_CHARS, "pattern": NO_NULL }
    PostText: { "type": "string", "maxLength": PostText::MAX_CHARS, "pattern": NO_NULL }
    // As with names.
    CommentText: { "type": "string", "minLength": 1, "maxLength": CommentText::MAX_CHARS, "pattern": NOT_BLANK }
    // Letters, digits, marks and `_` of any script, not digits alone: not all dialects of regular expressions know
    // Unicode's categories, so the schema only excludes the ASCII characters that are none of these.
    Tag: {
        "type": "string", "minLength": 1, "maxLength": Tag::MAX_CHARS,
        "pattern": "^[^\\u0000-/:-@\\[-\\^`{-\\u007F]+$",
    }
    // Not in the future, which no schema can say.
    BirthDate: { "type": "string", "format": "date", "pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}$" }
    ImageKey: { "type": "string", "maxLength": 100 }
    Timestamp: {
        "type": "string", "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$",
    }
    Cursor: { "type": "string", "pattern": "^[0-9A-Za-z_-]+$" }
    Limit: { "type": "integer", "minimum": 1, "maximum": Limit::MAX, "default": Limit::default().get() }
    IdempotencyKey: { "type": "string", "pattern": "^[!-~]{1,64}$" }
    // The schema counts the surrounding white space towards the length, unlike the parser. As with names, white space
    // is the only invisible character that it knows.
    SearchText: { "type": "string", "minLength": 1, "maxLength": SearchText::MAX_CHARS, "pattern": NOT_BLANK }
    SearchType: { "type": "string", "enum": SearchType::ALL.map(|(name, _)| name), "default": "posts" }
    ContentType: { "type": "string", "enum": ContentType::ALL.map(ContentType::as_str) }
    UploadSize: { "type": "integer", "minimum": 1, "maximum": UPLOAD_MAX_BYTES }
    // 32 bytes in base64.
    Sha256: { "type": "string", "pattern": "^[0-9A-Za-z+/]{42}[048AEIMQUYcgkosw]=$" }
    Top: { "type": "integer", "minimum": 1, "maximum": BREEDS.len(), "default": Top::default().0 }
}

/// One schema for each kind, so that clients can tell them apart by `type`, without the request.
impl JsonSchema for SearchPage {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SearchPage".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let kinds = [
            ("posts", "FoundPosts", schemas.subschema_for::<PostView>()),
            ("users", "FoundUsers", schemas.subschema_for::<UserView>()),
            ("cats", "FoundCats", schemas.subschema_for::<CatView>()),
            ("tags", "FoundTags", schemas.subschema_for::<TagView>()),
        ];
        let mut next = schemas.subschema_for::<Option<Cursor>>();
        next.insert(
            "description".to_owned(),
            json!("`?cursor=` of the next page; null at the end of the list."),
        );
        let reference = |name: &str| format!("#/components/schemas/{name}");
        for (kind, name, item) in &kinds {
            let page = json!({
                "type": "object",
                "properties": {
                    "type": { "type": "string", "const": kind, "description": "The kind of the items." },
                    "items": { "type": "array", "items": item, "description": "The items of this page." },
                    "next": next,
                },
                "required": ["type", "items", "next"],
            });
            schemas.definitions_mut().insert((*name).to_owned(), page);
        }
        let each = kinds
            .each_ref()
            .map(|(_, name, _)| json!({ "$ref": reference(name) }));
        let mapping: Map<String, Value> = kinds
            .each_ref()
            .map(|(kind, name, _)| ((*kind).to_owned(), json!(reference(name))))
            .into_iter()
            .collect();
        json_schema!({
            "oneOf": each,
            "discriminator": { "propertyName": "type", "mapping": mapping },
        })
    }
}
