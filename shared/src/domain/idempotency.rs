//! Idempotency keys: a request that is sent again is answered again, not done again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Reason;
use super::text::text_type;

/// An `Idempotency-Key`: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Parses the header's value.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Reason::new("must be 1 to 64 visible ASCII characters"))
        }
    }
}

text_type!(IdempotencyKey);

/// The request that a key stands for: a SHA-256 over method, path and body, as base64url text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Computes the fingerprint of a request.
    pub fn of(method: &str, path: &str, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        Self(URL_SAFE_NO_PAD.encode(hasher.finalize()))
    }
}

text_type!(Fingerprint);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_1_to_64_visible_ascii_characters() {
        assert!(IdempotencyKey::parse("a").is_ok());
        assert!(IdempotencyKey::parse(&"~".repeat(64)).is_ok());
        for bad in ["", &"a".repeat(65), "a b", "é", "a\t"] {
            assert!(IdempotencyKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn different_requests_have_different_fingerprints() {
        let one = Fingerprint::of("POST", "/v1/posts", b"{}");
        assert_eq!(one, Fingerprint::of("POST", "/v1/posts", b"{}"));
        assert_ne!(one, Fingerprint::of("POST", "/v1/posts", b"{ }"));
        assert_ne!(one, Fingerprint::of("POST", "/v1/post", b"s{}"));
    }
}
