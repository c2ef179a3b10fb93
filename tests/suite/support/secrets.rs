//! Secrets that no function may log: tokens, users' texts, and mail addresses. Every line of every function in every
//! test is inspected. After a leak, the next test that sends a request or waits for the queues fails. A line logged
//! after a test's last request can fail only other tests that are still running.

use std::sync::{Mutex, PoisonError};

/// The lines that revealed a secret.
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Marks of a line that reveals too much: beginnings of tokens, signatures and signed URLs, and words that only tests write.
const SECRETS: [&str; 8] = [
    "eyJ",
    "Bearer ",
    "X-Amz-",
    purrline_local::SECRET_KEY,
    "meow",
    "#cat",
    "오늘",
    SECRET,
];
/// A secret for tests that need one of their own.
pub(crate) const SECRET: &str = "zeugma";

/// Records a function's line if it reveals too much.
pub(crate) fn check_line(function: &str, line: &str) {
    if reveals_secret(line) {
        let mut leaks = LEAKS.lock().unwrap_or_else(PoisonError::into_inner);
        leaks.push(format!("{function}: {line}"));
    }
}

/// Fails if any function of any test has revealed a secret so far.
pub(crate) fn assert_nothing_leaked() {
    let leaks = LEAKS.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(leaks.is_empty(), "logged: {leaks:#?}");
}

fn reveals_secret(line: &str) -> bool {
    SECRETS.iter().any(|secret| line.contains(secret)) || has_mail_address(line)
}

/// Returns whether a line contains something like `nabi@example.com`.
fn has_mail_address(line: &str) -> bool {
    let mut around = line.split('@');
    let mut before = around.next().unwrap_or_default();
    around.any(|after| {
        let name = before.ends_with(|c: char| c.is_ascii_alphanumeric());
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)));
        let host = &after[..end.unwrap_or(after.len())];
        before = after;
        let (domain, country) = host
            .trim_end_matches('.')
            .rsplit_once('.')
            .unwrap_or_default();
        name && !domain.is_empty() && country.starts_with(|c: char| c.is_ascii_alphabetic())
    })
}

#[test]
fn secrets_in_log_lines_are_found() {
    for line in [
        "token eyJhbGciOiJSUzI1NiJ9.e30.x",
        "authorization: Bearer x",
        "from nabi@example.com",
        "a post: meow",
    ] {
        assert!(reveals_secret(line), "{line}");
    }
    for line in [
        r#"{"level":"INFO","message":"request","status":200}"#,
        "tokio@1.54 at @home",
        "a@b",
    ] {
        assert!(!reveals_secret(line), "{line}");
    }
}
