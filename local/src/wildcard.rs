//! Patterns with wildcards, as in the load balancer's rules and S3's CORS rules.

/// Returns whether a pattern matches the whole text. `*` stands for any number of characters, including slashes, and
/// `?` for exactly one.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0_usize, 0_usize);
    // The positions to backtrack to: after the last `*`, and at the text that this `*` hasn't yet consumed.
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
                Some((after, consumed)) => {
                    p = after;
                    t = consumed.saturating_add(1);
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
