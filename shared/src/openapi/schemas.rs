//! What the domain's texts and numbers look like in JSON.
//!
//! Each schema allows what its type's parser does; tests compare them on random texts. Where JSON Schema
//! can't say it all, the schema allows more, and the comment says what.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::domain::{
    Bio, BirthDate, CatId, CommentId, CommentText, ContentType, Cursor, Handle, IdempotencyKey,
    ImageKey, Limit, Name, PostId, PostText, SearchText, SearchType, Tag, Timestamp,
    UPLOAD_MAX_BYTES, UploadSize, UserId, UserRef,
};

/// As api.md has it: what is in an id is nobody's business.
const ID: &str = "^[0-9A-Za-z_-]{1,40}$";
/// Not U+0000.
const NO_NULL: &str = "^[^\\u0000]*$";
/// Not U+0000, and one character that is no white space of Unicode's, spelt so that every dialect of regular
/// expressions takes it for the same.
const NOT_BLANK: &str = "^[^\\u0000]*[^\\u0000\\t-\\r \\u0085\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000][^\\u0000]*$";
/// No control, bidirectional or line-break characters, and one character that is not blank.
const NAME: &str = "^[^\\u0000-\\u001F\\u007F-\\u009F\\u061C\\u200E\\u200F\\u2028-\\u202E\\u2066-\\u2069]*[^\\u0000- \\u007F-\\u00A0\\u061C\\u1680\\u2000-\\u200F\\u2028-\\u202F\\u205F\\u2066-\\u2069\\u3000][^\\u0000-\\u001F\\u007F-\\u009F\\u061C\\u200E\\u200F\\u2028-\\u202E\\u2066-\\u2069]*$";

/// A handle that somebody chooses: see [`Handle::choose`].
pub(super) enum ChosenHandle {}

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
    // None of the reserved ones, which are too many to list.
    ChosenHandle: { "type": "string", "pattern": "^[a-z0-9][a-z0-9_.]{1,28}[a-z0-9]$" }
    // Of the characters that show nothing by themselves, the schema knows the white space.
    Name: { "type": "string", "minLength": 1, "maxLength": Name::MAX_CHARS, "pattern": NAME }
    Bio: { "type": "string", "maxLength": Bio::MAX_CHARS, "pattern": NO_NULL }
    PostText: { "type": "string", "maxLength": PostText::MAX_CHARS, "pattern": NO_NULL }
    // As with names.
    CommentText: { "type": "string", "minLength": 1, "maxLength": CommentText::MAX_CHARS, "pattern": NOT_BLANK }
    // Letters, digits, marks and `_` of any script, not digits alone: not all dialects of regular expressions
    // know Unicode's categories, so this leaves out what of ASCII is none of these.
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
    // The white space around it doesn't count towards the length. As with names.
    SearchText: { "type": "string", "minLength": 1, "maxLength": SearchText::MAX_CHARS, "pattern": NOT_BLANK }
    SearchType: { "type": "string", "enum": SearchType::ALL.map(|(name, _)| name), "default": "posts" }
    ContentType: { "type": "string", "enum": ContentType::ALL.map(ContentType::as_str) }
    UploadSize: { "type": "integer", "minimum": 1, "maximum": UPLOAD_MAX_BYTES }
}
