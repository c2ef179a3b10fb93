//! Finds the rule that a request matches, as the load balancer does: lowest priority first, every
//! condition of a rule, any value of a condition. Paths are compared undecoded and by case.

use http::Method;

use crate::template::{Action, Listener};

/// What is to happen to a request.
pub(crate) fn route<'a>(listener: &'a Listener, method: &Method, path: &str) -> &'a Action {
    listener
        .rules
        .iter()
        .find(|rule| {
            (rule.methods.is_empty()
                || rule
                    .methods
                    .iter()
                    .any(|allowed| allowed == method.as_str()))
                && (rule.paths.is_empty()
                    || rule.paths.iter().any(|pattern| matches(pattern, path)))
        })
        .map_or(&listener.default, |rule| &rule.action)
}

/// Whether a pattern matches: `*` is any number of characters, slashes too, `?` exactly one.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0_usize, 0_usize);
    // Where to go back to: after the last *, and the text it hasn't swallowed yet.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p.saturating_add(1), t));
                p = p.saturating_add(1);
            }
            Some(expected) if *expected == b'?' || expected == byte => {
                p = p.saturating_add(1);
                t = t.saturating_add(1);
            }
            _ => match retry {
                Some((after, swallowed)) => {
                    p = after;
                    t = swallowed.saturating_add(1);
                    retry = Some((after, t));
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match_as_the_load_balancer_does() {
        for (pattern, path, expected) in [
            ("/v1/posts", "/v1/posts", true),
            ("/v1/posts", "/v1/posts/", false),
            ("/v1/posts", "/V1/posts", false),
            ("/v1/posts/*", "/v1/posts/", true),
            ("/v1/posts/*", "/v1/posts/a/b", true),
            ("/v1/posts/*/like", "/v1/posts/a/like", true),
            ("/v1/posts/*/like", "/v1/posts/like", false),
            ("/v1/posts/*/like", "/v1/posts/a/like/like", true),
            ("/v1/posts/*/like", "/v1/posts/a/likes", false),
            ("/v?/me", "/v1/me", true),
            ("/v?/me", "/v/me", false),
            ("*", "", true),
            ("", "", true),
            ("", "/", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
