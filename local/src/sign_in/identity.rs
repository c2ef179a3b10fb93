//! The user who signs in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The default lifetime of an access token.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_hours(24);
/// The longest lifetime that may be requested.
const MAX_LIFETIME: Duration = Duration::from_hours(30 * 24);
const MAX_USER_LENGTH: usize = 40;
const MAX_GROUPS: usize = 20;
const MAX_GROUP_LENGTH: usize = 128;

/// A user and the properties of their access tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    /// The lifetime of an access token, in seconds.
    pub(crate) lifetime: u64,
}

impl Identity {
    /// Parses text input: a user's id, groups separated by commas, and a lifetime in seconds. Groups and lifetime may be
    /// empty.
    ///
    /// # Errors
    /// Describes the invalid input.
    pub(crate) fn parse(user: &str, groups: &str, lifetime: &str) -> Result<Self, String> {
        if !is_id(user, MAX_USER_LENGTH) {
            return Err(format!(
                "a user must be 1 to {MAX_USER_LENGTH} of 0-9 A-Z a-z _ -"
            ));
        }
        let groups = groups.split(',').map(str::trim);
        let groups: Vec<String> = groups
            .filter(|group| !group.is_empty())
            .map(str::to_owned)
            .collect();
        let valid = groups.iter().all(|group| is_id(group, MAX_GROUP_LENGTH));
        if groups.len() > MAX_GROUPS || !valid {
            return Err(format!(
                "groups must be at most {MAX_GROUPS}, separated by commas, each 1 to {MAX_GROUP_LENGTH} of 0-9 A-Z a-z _ -"
            ));
        }
        let longest = MAX_LIFETIME.as_secs();
        let lifetime = match lifetime {
            "" => Some(TOKEN_LIFETIME.as_secs()),
            text => text
                .parse()
                .ok()
                .filter(|seconds| (1..=longest).contains(seconds)),
        };
        Ok(Self {
            user: user.to_owned(),
            groups,
            lifetime: lifetime
                .ok_or_else(|| format!("expires_in must be 1 to {longest} seconds"))?,
        })
    }
}

fn is_id(text: &str, max_length: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=max_length).contains(&text.len()) && text.bytes().all(allowed)
}
