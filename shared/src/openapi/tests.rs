//! The schemas against the parsers.

use jsonschema::Validator;
use proptest::prelude::*;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::json;

use crate::domain::{
    Bio, BirthDate, CommentText, Handle, IdempotencyKey, ImageKey, Limit, Name, PostId, PostText,
    SearchText, Tag, UserId, UserRef, is_visible,
};
use crate::http::ChosenHandle;

fn validator<T: JsonSchema>() -> Validator {
    let schema = SchemaGenerator::default().root_schema_for::<T>().to_value();
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).unwrap()
}

/// Returns texts of all kinds: those that parsers distinguish, those of various lengths, and any others.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9_.]{0,40}",
        "@?[0-9A-Za-z_.-]{0,42}",
        "[ -~]{0,70}",
        "\\PC{0,12}",
        "[ \t\n\u{85}\u{a0}\u{3000}\u{1c}\u{1f}x]{0,4}",
        "[가-힣ㄱ-ㅎ#_0-9\u{301}]{0,60}",
        "x{0,120}",
        "x{495,505}",
        "고{995,1005}",
        "\u{1f408}{1995,2005}",
    ]
}

macro_rules! agree {
    ($($test:ident: $type:ty, $parse:expr;)*) => { proptest! { $(
        #[test]
        fn $test(text in texts()) {
            let allowed = validator::<$type>().is_valid(&json!(text));
            prop_assert_eq!(allowed, $parse(&text).is_ok(), "{:?}", text);
        }
    )* } };
}

agree! {
    user_id_schema_agrees_with_its_parser: UserId, UserId::parse;
    user_ref_schema_agrees_with_its_parser: UserRef, UserRef::parse;
    handle_schema_agrees_with_its_parser: Handle, Handle::parse;
    bio_schema_agrees_with_its_parser: Bio, Bio::parse;
    post_text_schema_agrees_with_its_parser: PostText, PostText::parse;
    idempotency_key_schema_agrees_with_its_parser: IdempotencyKey, IdempotencyKey::parse;
}

/// Returns texts with a visible character: the schemas don't know all texts without one.
fn visible_texts() -> impl Strategy<Value = String> {
    let out_of_line = "x?[\0\t\u{7f}\u{85}\u{9f}\u{61c}\u{200e}\u{200f}\u{2028}-\u{202e}\u{2066}-\u{2069}]{0,2}x?";
    prop_oneof![3 => texts(), 1 => out_of_line]
        .prop_filter("nothing is seen", |text| is_visible(text))
}

proptest! {
    #[test]
    fn name_schema_agrees_with_its_parser(text in visible_texts()) {
        let allowed = validator::<Name>().is_valid(&json!(text));
        prop_assert_eq!(allowed, Name::parse(&text).is_ok(), "{:?}", text);
    }

    #[test]
    fn comment_text_schema_agrees_with_its_parser(text in visible_texts()) {
        let allowed = validator::<CommentText>().is_valid(&json!(text));
        prop_assert_eq!(allowed, CommentText::parse(&text).is_ok(), "{:?}", text);
    }

    /// The schema allows a chosen handle, and what it allows besides is reserved.
    #[test]
    fn chosen_handle_schema_allows_reserved_handles_besides(text in prop_oneof![texts(), "[a-z0-9_.]{2,31}", "admin|a\\.p\\.i"]) {
        let allowed = validator::<ChosenHandle>().is_valid(&json!(text));
        match Handle::choose(&text) {
            Ok(_) => prop_assert!(allowed, "{:?}", text),
            Err(reason) => prop_assert_eq!(allowed, reason.to_string().contains("reserved"), "{:?}", text),
        }
    }

    /// The schema allows the texts that can be parsed, but counts the white space around them, unlike the parser.
    #[test]
    fn search_text_schema_counts_surrounding_white_space(text in visible_texts()) {
        let allowed = validator::<SearchText>().is_valid(&json!(text));
        prop_assert_eq!(allowed, SearchText::parse(&text).is_ok() && text.chars().count() <= SearchText::MAX_CHARS);
    }

    #[test]
    fn every_tag_is_allowed(text in texts()) {
        if let Ok(tag) = Tag::parse(&text) {
            prop_assert!(validator::<Tag>().is_valid(&json!(tag)), "{tag}");
        }
    }

    #[test]
    fn every_date_of_birth_is_allowed(text in "(19[67][0-9]|20[0-9]{2})-[01][0-9]-[0-3][0-9]|[0-9-]{9,11}") {
        if BirthDate::parse(&text).is_ok() {
            prop_assert!(validator::<BirthDate>().is_valid(&json!(text)), "{text}");
        }
    }

    #[test]
    fn limit_schema_agrees_with_its_parser(limit in 0..200_u64) {
        let allowed = validator::<Limit>().is_valid(&json!(limit));
        prop_assert_eq!(allowed, Limit::parse(&limit.to_string()).is_ok());
    }

    #[test]
    fn every_id_and_key_is_allowed(bits in 0..u64::MAX >> 1, owner in "[0-9A-Za-z_-]{1,40}") {
        let id = crate::domain::Id::from_u64(bits).unwrap();
        prop_assert!(validator::<PostId>().is_valid(&json!(PostId(id))));
        let key = ImageKey::mint(&UserId::parse(&owner).unwrap(), crate::domain::ContentType::Webp);
        prop_assert!(validator::<ImageKey>().is_valid(&json!(key)));
    }
}
