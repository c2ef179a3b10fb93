use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::Request;
use serde_json::json;

use super::*;
use crate::domain::UserId;

fn fields(body: &str) -> Fields {
    Fields::read(body.as_bytes()).unwrap()
}

fn pointers(problem: &Problem) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_slice(&problem.body("")).unwrap();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn present_fields_are_read() {
    let mut f = fields(r#"{"a": "x", "n": 5, "l": ["x", "y"]}"#);
    let all = (
        f.required("a", UserId::parse),
        f.optional("b", UserId::parse),
        f.number("n"),
        f.list("l", 2, UserId::parse),
    );
    let id = |text| UserId::parse(text).unwrap();
    let list = Some(vec![id("x"), id("y")]);
    let found = (id("x"), None, 5, list);
    assert_eq!(f.finish(all).unwrap(), found);
}

#[test]
fn null_counts_as_a_missing_field() {
    for body in ["{}", r#"{"a": null, "l": null, "c": null}"#] {
        let mut f = fields(body);
        let all = (
            f.optional("a", UserId::parse),
            f.list("l", 2, UserId::parse),
            f.clearable("c", UserId::parse),
        );
        assert_eq!(f.finish(all).unwrap(), (None, None, None), "{body}");
    }
    // Required fields are missing, and an unknown field is refused.
    let mut f = fields(r#"{"a": null, "n": null, "z": null}"#);
    let _ = (f.required("a", UserId::parse), f.number("n"));
    assert_eq!(pointers(&f.finish(()).unwrap_err()), ["/a", "/n", "/z"]);
    // A field that is given twice is bad, whatever its value.
    let mut f = fields(r#"{"a": null, "a": "x"}"#);
    let found = f.optional("a", UserId::parse);
    assert_eq!(pointers(&f.finish(found).unwrap_err()), ["/a"]);
}

#[test]
fn empty_text_clears_a_clearable_field() {
    let id = |text| UserId::parse(text).unwrap();
    for (body, expected) in [
        ("{}", None),
        (r#"{"a": ""}"#, Some(None)),
        (r#"{"a": "x"}"#, Some(Some(id("x")))),
    ] {
        let mut f = fields(body);
        let found = f.clearable("a", UserId::parse);
        assert_eq!(f.finish(found).unwrap(), expected, "{body}");
    }
    for bad in ["7", "\" \"", "[]"] {
        let mut f = fields(&format!("{{\"a\": {bad}}}"));
        let found = f.clearable("a", UserId::parse);
        assert_eq!(pointers(&f.finish(found).unwrap_err()), ["/a"], "{bad}");
    }
}

#[test]
fn every_bad_field_is_named_at_once() {
    let mut f = fields(
        r#"{"a": "?", "n": -1, "l": ["x", 1, "?"], "m": ["x", "y"], "o": 7, "d": "x", "d": "y", "e/~": 1, "f": {}}"#,
    );
    let _ = f.required("a", UserId::parse);
    let _ = f.required("b", UserId::parse);
    let _ = f.number("n");
    let _ = f.list("l", 10, UserId::parse);
    let _ = f.list("m", 1, UserId::parse);
    let _ = f.optional("o", UserId::parse);
    let d = f.optional("d", UserId::parse);
    let _ = f.list("f", 1, UserId::parse);
    let problem = f.finish(d).unwrap_err();
    assert_eq!(problem.status(), 400);
    assert_eq!(
        pointers(&problem),
        [
            "/d", "/a", "/b", "/n", "/l/1", "/l/2", "/m", "/o", "/f", "/e~1~0"
        ]
    );
}

#[test]
fn numbers_are_whole_and_not_negative() {
    for (text, number) in [
        ("0", 0),
        ("18446744073709551615", u64::MAX),
        ("5.0", 5),
        ("-0.0", 0),
        ("1e3", 1000),
        ("1e300", u64::MAX),
        ("18446744073709551616", u64::MAX),
    ] {
        assert_eq!(
            fields(&format!("{{\"n\": {text}}}")).number("n"),
            Ok(number),
            "{text}"
        );
    }
    for text in ["-1", "1.5", "\"1\"", "null", "true", "-1e300"] {
        assert!(
            fields(&format!("{{\"n\": {text}}}")).number("n").is_err(),
            "{text}"
        );
    }
}

#[test]
fn bodies_other_than_a_json_object_are_refused() {
    let deep = format!("{{\"a\": {}}}", "[".repeat(10_000));
    for bad in [
        "",
        " ",
        "nope",
        "[]",
        "1",
        "null",
        "\"x\"",
        "{",
        "{}{}",
        "{\"a\":}",
        "{'a': 1}",
        r#"{"a": "\ud800"}"#,
        &deep,
    ] {
        assert_eq!(
            Fields::read(bad.as_bytes()).unwrap_err().status(),
            400,
            "{bad:.20}"
        );
    }
    assert_eq!(
        Fields::read(b"{\"a\": \"\xff\"}").unwrap_err().status(),
        400
    );
    assert!(Fields::read("\u{feff}{}".as_bytes()).is_err());
}

#[test]
fn at_most_100_bad_fields_are_named() {
    let many: serde_json::Map<_, _> = (0..5000).map(|n| (n.to_string(), json!(1))).collect();
    let problem = fields(&json!(many).to_string()).finish(()).unwrap_err();
    assert_eq!(pointers(&problem).len(), 100);
}

#[tokio::test]
async fn only_json_in_utf_8_is_accepted() {
    let read = async |kind: Option<&str>| {
        let mut request = Request::new(());
        if let Some(kind) = kind {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        request
            .extensions_mut()
            .insert(RawBody(Bytes::from_static(b"{}")));
        let (mut parts, ()) = request.into_parts();
        Fields::from_request_parts(&mut parts, &())
            .await
            .map(|_| ())
            .map_err(|problem| problem.status().as_u16())
    };
    for good in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
        "application/json; v=1",
    ] {
        assert_eq!(read(Some(good)).await, Ok(()), "{good}");
    }
    for bad in [
        "",
        "text/plain",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
    ] {
        assert_eq!(read(Some(bad)).await, Err(415), "{bad}");
    }
    assert_eq!(read(None).await, Err(415));
}
