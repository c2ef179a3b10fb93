//! Refuses requests with `x-amz-*` headers that the signature doesn't cover, as S3 does. Otherwise the holder of a
//! presigned URL could ask for more than its signer allowed.
//!
//! The query needs no such check, because a signature always covers the whole query.

use http::{HeaderMap, Request, Response, StatusCode};

use crate::http_server::{Body, answer};
use crate::ids;

/// Refuses a signed request with such headers. Returns `None` if there are none.
pub(super) fn refusal<B>(request: &Request<B>) -> Option<Response<Body>> {
    let signed = signed_headers(request)?;
    let unsigned = unsigned(request.headers(), &signed);
    (!unsigned.is_empty()).then(|| refused(&unsigned))
}

/// Returns the headers that a signature covers, in lower case, or `None` for an unsigned request.
fn signed_headers<B>(request: &Request<B>) -> Option<Vec<String>> {
    let query = request.uri().query().unwrap_or_default();
    let in_query = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "X-Amz-SignedHeaders")
        .map(|(_, names)| names.into_owned());
    let in_header = || {
        let value = request.headers().get(http::header::AUTHORIZATION)?;
        let (_, names) = value.to_str().ok()?.split_once("SignedHeaders=")?;
        Some(
            names
                .split([',', ' '])
                .next()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let names = in_query.or_else(in_header)?;
    Some(names.split(';').map(str::to_ascii_lowercase).collect())
}

fn unsigned<'a>(headers: &'a HeaderMap, signed: &[String]) -> Vec<&'a str> {
    let names = headers.keys().map(http::HeaderName::as_str);
    names
        .filter(|name| name.starts_with("x-amz-") && !signed.iter().any(|signed| signed == name))
        .collect()
}

fn refused(unsigned: &[&str]) -> Response<Body> {
    let (names, id) = (unsigned.join(", "), ids::uuid());
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
         <Message>There were headers present in the request which were not signed</Message>\
         <HeadersNotSigned>{names}</HeadersNotSigned><RequestId>{id}</RequestId></Error>"
    );
    answer(StatusCode::FORBIDDEN, "application/xml", body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn signed_headers_are_found_in_query_and_header() {
        let put = || Request::put("/b/k?X-Amz-SignedHeaders=host%3Bx-amz-acl&x=y");
        let in_query = put().body(()).unwrap();
        let expected = ["host", "x-amz-acl"].map(str::to_owned).to_vec();
        assert_eq!(signed_headers(&in_query), Some(expected.clone()));
        for separator in [", ", ","] {
            let value = [
                "AWS4-HMAC-SHA256 Credential=a/b/c",
                "SignedHeaders=host;X-Amz-Acl",
                "Signature=0",
            ];
            let request = Request::put("/b/k").header("authorization", value.join(separator));
            let request = request.body(()).unwrap();
            assert_eq!(signed_headers(&request), Some(expected.clone()));
        }
        assert_eq!(
            signed_headers(&Request::put("/b/k").body(()).unwrap()),
            None
        );
        let refused = refusal(&put().header("x-amz-tagging", "a=b").body(()).unwrap());
        assert_eq!(refused.unwrap().status(), StatusCode::FORBIDDEN);
        assert!(refusal(&put().header("x-amz-acl", "private").body(()).unwrap()).is_none());
        assert!(refusal(&put().header("x-amzn-trace-id", "1").body(()).unwrap()).is_none());
    }
}
