use aws_sdk_s3::Client;
use purrline_local::Stack;
use reqwest::{Method, Response};

use super::{config, start};

const KEY: &str = "uploads/nabi/1.jpg";
const BODY: &[u8] = b"\xff\xd8 a cat";

async fn stored() -> Stack {
    let stack = start().await;
    let config =
        aws_sdk_s3::config::Builder::from(&config(&stack)).endpoint_url(&stack.endpoints().bucket);
    let client = Client::from_conf(config.force_path_style(true).build());
    let put = client.put_object().bucket("pictures").key(KEY);
    let put = put.content_type("image/jpeg").body(BODY.to_vec().into());
    put.send().await.unwrap();
    stack
}

async fn ask(stack: &Stack, method: Method, key: &str, headers: &[(&str, &str)]) -> Response {
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
async fn pictures_have_the_headers_that_the_distribution_sets() {
    let stack = stored().await;
    for (method, key, status) in [
        (Method::GET, KEY, 200),
        (Method::HEAD, KEY, 200),
        (Method::GET, "uploads/none", 404),
        (Method::PUT, KEY, 403),
        (Method::OPTIONS, KEY, 403),
    ] {
        let what = format!("{method} {key}");
        let answer = ask(&stack, method.clone(), key, &[]).await;
        assert_eq!(answer.status(), status, "{what}");
        assert_eq!(
            header(&answer, "x-content-type-options"),
            Some("nosniff"),
            "{what}"
        );
        assert_eq!(
            header(&answer, "x-frame-options"),
            Some("SAMEORIGIN"),
            "{what}"
        );
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            None,
            "{what}"
        );
        let of_page = ask(&stack, method, key, &[("origin", "https://any.example")]).await;
        assert_eq!(
            header(&of_page, "access-control-allow-origin"),
            Some("*"),
            "{what}"
        );
    }
    let answer = ask(&stack, Method::HEAD, KEY, &[]).await;
    assert_eq!(header(&answer, "content-type"), Some("image/jpeg"));
    assert_eq!(header(&answer, "content-length"), Some("8"));
    assert_eq!(header(&answer, "accept-ranges"), Some("bytes"));
}

#[tokio::test]
async fn whoever_has_a_picture_isnt_sent_it_again() {
    let stack = stored().await;
    let first = ask(&stack, Method::GET, KEY, &[]).await;
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
        // The tag counts where there are both.
        (
            vec![("if-none-match", "\"x\""), ("if-modified-since", &date)],
            200,
        ),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = ask(&stack, method, KEY, &headers).await;
            assert_eq!(answer.status(), status, "{headers:?}");
            assert_eq!(header(&answer, "etag"), Some(tag.as_str()), "{headers:?}");
            assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
            if status == 304 {
                assert_eq!(answer.bytes().await.unwrap(), "");
            }
        }
    }
    let missing = ask(
        &stack,
        Method::GET,
        "uploads/none",
        &[("if-none-match", "*")],
    )
    .await;
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn parts_of_a_picture_can_be_read() {
    let stack = stored().await;
    let tag = ask(&stack, Method::HEAD, KEY, &[]).await;
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
        let answer = ask(&stack, Method::GET, KEY, &headers).await;
        assert_eq!(answer.status(), status, "{headers:?}");
        assert_eq!(header(&answer, "content-range"), range, "{headers:?}");
        assert_eq!(answer.bytes().await.unwrap(), body, "{headers:?}");
    }
    let beyond = ask(&stack, Method::GET, KEY, &[("range", "bytes=8-")]).await;
    assert_eq!(beyond.status(), 416);
}
