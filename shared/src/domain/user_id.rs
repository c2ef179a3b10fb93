//! Users' ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Reason;

/// A user's id: the token's `sub`, `^[0-9A-Za-z_-]{1,40}$`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

impl UserId {
    /// Parses an id.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=40).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Reason::new("must be 1 to 40 of 0-9 A-Z a-z _ -"))
        }
    }

    /// Returns the id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserId {
    type Error = Reason;
    fn try_from(text: String) -> Result<Self, Reason> {
        Self::parse(&text)
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl FromStr for UserId {
    type Err = Reason;
    fn from_str(text: &str) -> Result<Self, Reason> {
        Self::parse(text)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_wrong_alphabet_or_length_are_refused() {
        for good in ["a", "A-z_9", &"x".repeat(40)] {
            assert!(UserId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", &"x".repeat(41), "a b", "a#b", "나비", "a/b", "@a"] {
            assert!(UserId::parse(bad).is_err(), "{bad}");
        }
    }
}
