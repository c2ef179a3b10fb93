//! The page on which somebody says who they are, and those that say what is wrong.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};

use crate::http_server::{Body, answer};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem}\
    label{display:block;margin:1rem 0}input,select,button{font:inherit;width:100%;box-sizing:border-box;padding:.5rem}\
    .wrong{color:#b00020}";

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
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

/// A typed value, and the reason it was refused.
#[derive(Debug, Default)]
pub(super) struct Typed<'a> {
    pub(super) user: &'a str,
    pub(super) groups: &'a str,
    pub(super) expires_in: &'a str,
    pub(super) wrong: Option<&'a str>,
}

/// The form, which sends `hidden` along.
pub(super) fn sign_in<'a>(
    hidden: impl Iterator<Item = (&'a str, &'a str)>,
    typed: &Typed<'_>,
) -> Response<Body> {
    let mut fields = String::new();
    for (name, value) in hidden {
        for part in [
            "<input type=\"hidden\" name=\"",
            &escaped(name),
            "\" value=\"",
            &escaped(value),
            "\">\n",
        ] {
            fields.push_str(part);
        }
    }
    let wrong = typed.wrong.map_or(String::new(), |wrong| {
        format!("<p class=\"wrong\" role=\"alert\">{}</p>\n", escaped(wrong))
    });
    let (user, groups, expires_in) = (
        escaped(typed.user),
        escaped(typed.groups),
        escaped(typed.expires_in),
    );
    let content = format!(
        "<p>This is a local stack: pick any name, there are no passwords.</p>\n{wrong}<form method=\"post\">\n{fields}\
         <label>Name <input name=\"user\" value=\"{user}\" list=\"users\" required maxlength=\"40\" \
         pattern=\"[0-9A-Za-z_\\-]+\" autocomplete=\"username\" autocapitalize=\"none\" autofocus></label>\n\
         <datalist id=\"users\"><option>nabi<option>coco</datalist>\n\
         <label>Groups, if any <input name=\"groups\" value=\"{groups}\" placeholder=\"moderators\"></label>\n\
         <label>Access tokens hold for so many seconds <input name=\"expires_in\" value=\"{expires_in}\" \
         type=\"number\" min=\"1\"></label>\n<button>Sign in</button>\n</form>"
    );
    let status = match typed.wrong {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    page(status, "Sign in to Purrline", &content)
}

/// A sign-in that can't be answered to whoever began it.
pub(super) fn refused(problem: &str) -> Response<Body> {
    let content = format!("<p class=\"wrong\">{}</p>", escaped(problem));
    page(
        StatusCode::BAD_REQUEST,
        "This sign-in can't go on",
        &content,
    )
}

/// The end of a session, where nobody is to be sent back to.
pub(super) fn signed_out() -> Response<Body> {
    page(
        StatusCode::OK,
        "You are signed out",
        "<p>You can close this page.</p>",
    )
}
