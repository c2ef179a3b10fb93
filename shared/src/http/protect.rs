//! Headers that protect every answer: from caches, from guesses at its type, and from an unencrypted connection.

use axum::http::header::{CACHE_CONTROL, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};

/// One year, as in the content delivery network's answers for the pictures.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Adds the headers. An answer belongs to its caller, so no cache keeps it, unless it is no error and its handler set
/// how long it is valid for everybody. Browsers ignore `Strict-Transport-Security` in unencrypted answers.
pub(super) fn protect(status: StatusCode, headers: &mut HeaderMap, https: bool) {
    if status.is_client_error() || status.is_server_error() {
        headers.insert(CACHE_CONTROL, NO_STORE);
    } else {
        headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
}
