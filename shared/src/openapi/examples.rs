//! An example of each answer. Tests check them against the schemas.

use serde_json::{Map, Value, json};

use crate::domain::BREEDS;

const POST: &str = "0apy9g1rzcd0v";
const COMMENT: &str = "0apy9hm8v5e1q";
const CAT: &str = "0apy9c40x2jw7";
const REGISTERED: &str = "2026-11-01T09:00:00.000Z";
const KEY: &str = "uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg";
const URL: &str = "https://images.purrline.example/Jt7kQ2mWv0aLr9sXe4bNyw/small.jpg";

/// Adds examples to the definitions of the domain's types. Those declared with a route have their own.
pub(super) fn add_to(definitions: &mut Map<String, Value>) {
    let examples = [
        ("Post", post()),
        ("Author", author()),
        ("User", user()),
        ("BlockedUser", blocked_user()),
        ("Cat", cat()),
        ("RegisteredCat", registered_cat()),
        ("Comment", comment()),
        ("Tag", json!({ "tag": "고양이", "posts": 12 })),
        ("Breed", breed()),
        ("Classification", classification()),
        ("Upload", upload()),
    ];
    for (name, example) in examples {
        if let Some(Value::Object(schema)) = definitions.get_mut(name) {
            schema.insert("examples".to_owned(), json!([example]));
        }
    }
}

/// Adds to each content in a node the examples of its schema's definition.
pub(super) fn add_to_contents(node: &mut Value, definitions: &Map<String, Value>) {
    match node {
        Value::Object(object) => {
            if let Some(Value::Object(content)) = object.get_mut("content") {
                content
                    .values_mut()
                    .for_each(|content| add_to_content(content, definitions));
            }
            object
                .values_mut()
                .for_each(|inner| add_to_contents(inner, definitions));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|inner| add_to_contents(inner, definitions)),
        _ => {}
    }
}

fn add_to_content(content: &mut Value, definitions: &Map<String, Value>) {
    let examples = of_schema(&content["schema"], definitions);
    let named = |(at, example)| (format!("example-{}", at + 1), json!({ "value": example }));
    let examples: Map<String, Value> = examples.into_iter().enumerate().map(named).collect();
    if let (Value::Object(content), false) = (content, examples.is_empty()) {
        content.insert("examples".to_owned(), json!(examples));
    }
}

/// Returns the examples of a schema: its own, those of any schema that it refers to, or pages with an item each.
fn of_schema(schema: &Value, definitions: &Map<String, Value>) -> Vec<Value> {
    if let Some(one_of) = schema["oneOf"].as_array() {
        let each = one_of.iter();
        return each
            .flat_map(|schema| of_schema(schema, definitions))
            .collect();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let definition = definitions.get(name);
        return definition.map_or_else(Vec::new, |schema| of_schema(schema, definitions));
    }
    if let Some(examples) = schema["examples"].as_array() {
        return examples.clone();
    }
    let Some(item) = schema.pointer("/properties/items/items") else {
        return Vec::new();
    };
    let item = of_schema(item, definitions);
    let kind = schema.pointer("/properties/type/const");
    let page = |item| {
        let mut page = json!({ "items": [item], "next": null });
        if let (Value::Object(page), Some(Value::String(kind))) = (&mut page, kind) {
            page.insert("type".to_owned(), json!(kind));
        }
        page
    };
    item.into_iter().map(page).collect()
}

fn author() -> Value {
    json!({ "id": "nabi", "handle": "nabi", "name": "나비 집사", "avatar_url": URL })
}

fn picture() -> Value {
    let size = |file: &str, width: u32| {
        let url = URL.replace("small", file);
        json!({ "url": url, "width": width, "height": width / 4 * 3 })
    };
    json!({
        "key": KEY,
        "url": URL.replace("small", "large"),
        "width": 1280,
        "height": 960,
        "alt": "잠자는 러시안 블루",
        "thumbhash": "1QcSHQRnh493V4dIh4eXh1h4kJUI",
        "sizes": [size("small", 320), size("medium", 640), size("large", 1280)],
    })
}

fn post() -> Value {
    json!({
        "id": POST,
        "author": author(),
        "text": "오늘의 #고양이",
        "tags": ["고양이"],
        "images": [picture()],
        "cats": [CAT],
        "created_at": "2026-11-21T08:30:00.123Z",
        "edited_at": null,
        "likes": 3,
        "comments": 1,
        "liked": false,
        "saved": true,
    })
}

fn comment() -> Value {
    json!({
        "id": COMMENT,
        "post_id": POST,
        "author": author(),
        "text": "귀여워!",
        "created_at": "2026-11-21T08:31:00.456Z",
    })
}

fn user() -> Value {
    json!({
        "id": "nabi",
        "handle": "nabi",
        "name": "나비 집사",
        "bio": "고양이 세 마리",
        "avatar_url": URL,
        "followers": 12,
        "following": 7,
        "posts": 34,
        "followed": true,
        "follows_me": false,
        "created_at": "2026-11-01T00:00:00.000Z",
    })
}

fn blocked_user() -> Value {
    json!({ "id": "kong", "handle": "kong", "name": "콩이", "blocked": true })
}

fn cat() -> Value {
    json!({
        "id": CAT,
        "owner": "nabi",
        "name": "나비",
        "breed": "russian-blue",
        "breed_name": { "en": "Russian Blue", "ko": "러시안 블루" },
        "birth_date": "2022-04-01",
        "photo_url": URL,
        "bio": null,
        "created_at": REGISTERED,
    })
}

/// Returns a cat that was registered with a photo and without a breed.
fn registered_cat() -> Value {
    json!({
        "id": CAT,
        "owner": "nabi",
        "name": "나비",
        "breed": null,
        "breed_name": null,
        "birth_date": "2022-04-01",
        "photo_url": URL,
        "bio": null,
        "created_at": REGISTERED,
        "breed_suggestions": probabilities(),
    })
}

fn breed() -> Value {
    json!(BREEDS.into_iter().find(|breed| breed.id == "russian-blue"))
}

fn probabilities() -> Value {
    let breed = BREEDS.into_iter().find(|breed| breed.id == "russian-blue");
    json!(
        [
            breed
                .map(|breed| json!({ "breed": breed.id, "name": breed.name, "probability": 0.93 }))
        ]
    )
}

fn classification() -> Value {
    json!({
        "breeds": probabilities(),
        "model": { "name": "resnet18-cats", "version": "2026-11-20" },
    })
}

fn upload() -> Value {
    json!({
        "key": KEY,
        "method": "PUT",
        "url": "https://purrline-media.s3.eu-west-1.amazonaws.com/uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "headers": {
            "content-type": "image/jpeg",
            "content-length": "123456",
            "if-none-match": "*",
            "x-amz-tagging": "state=unused",
        },
        "expires_at": "2026-11-21T08:45:00.000Z",
    })
}
