//! Answers cross-origin requests by a bucket's rules, as S3 does.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use crate::http_server::{Body, answer};
use crate::template::Cors;
use crate::wildcard::matches;

const FORBIDDEN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessForbidden</Code>\
    <Message>CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, \
    request method / Access-Control-Request-Method or Access-Control-Request-Headers is not allowed by \
    the resource's CORS configuration.</Message></Error>";

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the headers that a preflight asks for, in lower case.
fn requested(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(','));
    let names = names.map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

fn allows(rule: &Cors, origin: &str, method: &str, headers: &[String]) -> bool {
    let is_allowed = |header: &String| {
        let mut allowed = rule.headers.iter();
        allowed.any(|pattern| matches(&pattern.to_ascii_lowercase(), header))
    };
    rule.origins.iter().any(|pattern| matches(pattern, origin))
        && rule.methods.iter().any(|allowed| allowed == method)
        && headers.iter().all(is_allowed)
}

/// Answers a preflight. Returns `None` for any other request.
pub(super) fn preflight<B>(rules: &[Cors], request: &Request<B>) -> Option<Response<Body>> {
    if *request.method() != Method::OPTIONS {
        return None;
    }
    let headers = request.headers();
    let requested = requested(headers);
    let found = text(headers, &ORIGIN)
        .zip(text(headers, &ACCESS_CONTROL_REQUEST_METHOD))
        .and_then(|(origin, method)| {
            let rule = rules
                .iter()
                .find(|rule| allows(rule, origin, method, &requested))?;
            Some((rule, origin))
        });
    let Some((rule, origin)) = found else {
        return Some(answer(StatusCode::FORBIDDEN, "application/xml", FORBIDDEN));
    };
    let mut response = answer(StatusCode::OK, "application/xml", "");
    let headers = response.headers_mut();
    set(headers, ACCESS_CONTROL_ALLOW_HEADERS, &requested.join(", "));
    permit(headers, rule, origin);
    Some(response)
}

/// Adds the headers that let the requesting page read the response, if a rule allows that.
pub(super) fn expose(
    rules: &[Cors],
    method: &Method,
    origin: Option<&str>,
    headers: &mut HeaderMap,
) {
    let Some(origin) = origin else { return };
    let rule = rules
        .iter()
        .find(|rule| allows(rule, origin, method.as_str(), &[]));
    if let Some(rule) = rule {
        permit(headers, rule, origin);
    }
}

/// Returns the origin of the page that sent the request.
pub(super) fn origin<B>(request: &Request<B>) -> Option<String> {
    text(request.headers(), &ORIGIN).map(str::to_owned)
}

fn permit(headers: &mut HeaderMap, rule: &Cors, origin: &str) {
    let any = rule.origins.iter().any(|pattern| pattern == "*");
    set(
        headers,
        ACCESS_CONTROL_ALLOW_ORIGIN,
        if any { "*" } else { origin },
    );
    set(
        headers,
        ACCESS_CONTROL_ALLOW_METHODS,
        &rule.methods.join(", "),
    );
    set(
        headers,
        ACCESS_CONTROL_EXPOSE_HEADERS,
        &rule.exposed.join(", "),
    );
    if let Some(age) = rule.max_age {
        set(headers, ACCESS_CONTROL_MAX_AGE, &age.as_secs().to_string());
    }
    let vary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
    set(headers, VARY, vary);
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if value.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
