//! The pages for people: the sign-in form, errors, and the end of a session.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};

use crate::http_server::{Body, answer};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem}\
    label{display:block;margin:1rem 0}input,select,button{font:inherit;width:100%;box-sizing:border-box;padding:.5rem}\
    .wrong{color:#b00020}";

/// Escapes text for HTML.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

fn page(status: StatusCode, title: &str, content: &str) -> Response<Body> {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n{content}\n</body></html>\n"
    );
    let mut response = answer(status, "text/html; charset=utf-8", html);
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// The values of the form's fields, and the error to show with them.
#[derive(Debug, Default)]
pub(super) struct FormValues<'a> {
    pub(super) user: &'a str,
    pub(super) groups: &'a str,
    pub(super) expires_in: &'a str,
    pub(super) error: Option<&'a str>,
}

/// Returns the sign-in form, which also submits these hidden fields.
pub(super) fn sign_in<'a>(
    hidden: impl Iterator<Item = (&'a str, &'a str)>,
    values: &FormValues<'_>,
) -> Response<Body> {
    let mut fields = String::new();
    for (name, value) in hidden {
        for part in [
            "<input type=\"hidden\" name=\"",
            &escape(name),
            "\" value=\"",
            &escape(value),
            "\">\n",
        ] {
            fields.push_str(part);
        }
    }
    let error = values.error.map_or(String::new(), |error| {
        format!("<p class=\"wrong\" role=\"alert\">{}</p>\n", escape(error))
    });
    let (user, groups, expires_in) = (
        escape(values.user),
        escape(values.groups),
        escape(values.expires_in),
    );
    let content = format!(
        "<p>This is a local stack: choose any name; there are no passwords.</p>\n{error}<form method=\"post\">\n{fields}\
         <label>Name <input name=\"user\" value=\"{user}\" list=\"users\" required maxlength=\"40\" \
         pattern=\"[0-9A-Za-z_\\-]+\" autocomplete=\"username\" autocapitalize=\"none\" autofocus></label>\n\
         <datalist id=\"users\"><option>nabi<option>coco</datalist>\n\
         <label>Groups, if any <input name=\"groups\" value=\"{groups}\" placeholder=\"moderators\"></label>\n\
         <label>Lifetime of access tokens, in seconds <input name=\"expires_in\" value=\"{expires_in}\" \
         type=\"number\" min=\"1\"></label>\n<button>Sign in</button>\n</form>"
    );
    let status = match values.error {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    page(status, "Sign in to Purrline", &content)
}

/// Returns the page for an error that can't be reported to the client.
pub(super) fn error(problem: &str) -> Response<Body> {
    let content = format!("<p class=\"wrong\">{}</p>", escape(problem));
    page(
        StatusCode::BAD_REQUEST,
        "This sign-in can't continue",
        &content,
    )
}

/// Returns the page for the end of a session, if the client names no URL.
pub(super) fn signed_out() -> Response<Body> {
    page(
        StatusCode::OK,
        "You are signed out",
        "<p>You can close this page.</p>",
    )
}
