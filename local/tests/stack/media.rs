use purrline_local::Stack;
use reqwest::{Method, Response};

use super::{bucket_client, start};

const KEY: &str = "uploads/nabi/1.jpg";
const BODY: &[u8] = b"\xff\xd8 a cat";

async fn start_with_picture() -> Stack {
    let stack = start().await;
    let client = bucket_client(&stack, &stack.endpoints().bucket);
    let put = client.put_object().bucket("pictures").key(KEY);
    let put = put.content_type("image/jpeg").body(BODY.to_vec().into());
    put.send().await.unwrap();
    stack
}

async fn send(stack: &Stack, method: Method, key: &str, headers: &[(&str, &str)]) -> Response {
    let url = format!("{}/media/{key}", stack.url());
    let mut request = reqwest::Client::new().request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn pictures_have_the_distributions_headers() {
    let stack = start_with_picture().await;
    for (method, key, status) in [
        (Method::GET, KEY, 200),
        (Method::HEAD, KEY, 200),
        (Method::GET, "uploads/none", 404),
        (Method::PUT, KEY, 403),
        (Method::OPTIONS, KEY, 403),
    ] {
        let request = format!("{method} {key}");
        let answer = send(&stack, method.clone(), key, &[]).await;
        assert_eq!(answer.status(), status, "{request}");
        assert_eq!(
            header(&answer, "x-content-type-options"),
            Some("nosniff"),
            "{request}"
        );
        assert_eq!(
            header(&answer, "x-frame-options"),
            Some("SAMEORIGIN"),
            "{request}"
        );
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            None,
            "{request}"
        );
        let cross_origin = send(&stack, method, key, &[("origin", "https://any.example")]).await;
        assert_eq!(
            header(&cross_origin, "access-control-allow-origin"),
            Some("*"),
            "{request}"
        );
    }
    let answer = send(&stack, Method::HEAD, KEY, &[]).await;
    assert_eq!(header(&answer, "content-type"), Some("image/jpeg"));
    assert_eq!(header(&answer, "content-length"), Some("8"));
    assert_eq!(header(&answer, "accept-ranges"), Some("bytes"));
}

#[tokio::test]
async fn bucket_is_not_listed() {
    let stack = start_with_picture().await;
    for root in ["", "?list-type=2", "?prefix=uploads/"] {
        let answer = send(&stack, Method::GET, root, &[]).await;
        assert_eq!(answer.status(), 404, "{root}");
        assert!(!answer.text().await.unwrap().contains(KEY), "{root}");
    }
    let other = send(&stack, Method::GET, "..%2Fpictures%2Fuploads", &[]).await;
    assert_eq!(other.status(), 400);
}

#[tokio::test]
async fn current_copy_is_not_sent_again() {
    let stack = start_with_picture().await;
    let first = send(&stack, Method::GET, KEY, &[]).await;
    let tag = header(&first, "etag").unwrap().to_owned();
    let date = header(&first, "last-modified").unwrap().to_owned();
    let (weak, several) = (format!("W/{tag}"), format!("\"x\", {tag}"));
    let before = "Thu, 01 Jan 2026 00:00:00 GMT";
    for (headers, status) in [
        (vec![("if-none-match", tag.as_str())], 304),
        (vec![("if-none-match", &weak)], 304),
        (vec![("if-none-match", &several)], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"x\"")], 200),
        (vec![("if-modified-since", &date)], 304),
        (vec![("if-modified-since", before)], 200),
        (vec![("if-modified-since", "yesterday")], 200),
        // The tag takes precedence over the date.
        (
            vec![("if-none-match", "\"x\""), ("if-modified-since", &date)],
            200,
        ),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = send(&stack, method, KEY, &headers).await;
            assert_eq!(answer.status(), status, "{headers:?}");
            assert_eq!(header(&answer, "etag"), Some(tag.as_str()), "{headers:?}");
            assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
            if status == 304 {
                assert_eq!(answer.bytes().await.unwrap(), "");
            }
        }
    }
    let missing = send(
        &stack,
        Method::GET,
        "uploads/none",
        &[("if-none-match", "*")],
    )
    .await;
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn ranges_of_a_picture_can_be_read() {
    let stack = start_with_picture().await;
    let tag = send(&stack, Method::HEAD, KEY, &[]).await;
    let tag = header(&tag, "etag").unwrap().to_owned();
    for (headers, status, range, body) in [
        (
            vec![("range", "bytes=0-1")],
            206,
            Some("bytes 0-1/8"),
            &BODY[..2],
        ),
        (
            vec![("range", "bytes=-3")],
            206,
            Some("bytes 5-7/8"),
            &BODY[5..],
        ),
        (
            vec![("range", "bytes=2-1"), ("if-range", "\"x\"")],
            200,
            None,
            BODY,
        ),
        (
            vec![("range", "bytes=0-1"), ("if-range", "\"x\"")],
            200,
            None,
            BODY,
        ),
        (
            vec![("range", "bytes=0-1"), ("if-range", &tag)],
            206,
            Some("bytes 0-1/8"),
            &BODY[..2],
        ),
    ] {
        let answer = send(&stack, Method::GET, KEY, &headers).await;
        assert_eq!(answer.status(), status, "{headers:?}");
        assert_eq!(header(&answer, "content-range"), range, "{headers:?}");
        assert_eq!(answer.bytes().await.unwrap(), body, "{headers:?}");
    }
    let beyond = send(&stack, Method::GET, KEY, &[("range", "bytes=8-")]).await;
    assert_eq!(beyond.status(), 416);
}
