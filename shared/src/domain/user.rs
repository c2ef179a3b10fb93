//! Users: handles, profiles, and what others see of them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text::text_type;
use super::{Bio, Id, Name, Picture, Reason, Timestamp, UserId};

const GENERATED: &str = "cat_";

/// Handles that nobody may choose, with or without dots and underscores: those that seem to speak for the service,
/// those with another meaning to programs, and the first segments of paths. Sorted.
const RESERVED: [&str; 93] = [
    "about",
    "abuse",
    "account",
    "accounts",
    "admin",
    "administrator",
    "admins",
    "all",
    "anonymous",
    "api",
    "app",
    "auth",
    "billing",
    "blog",
    "breeds",
    "cats",
    "channel",
    "classify",
    "comments",
    "contact",
    "deleted",
    "discover",
    "dmca",
    "docs",
    "everyone",
    "explore",
    "false",
    "feed",
    "feedback",
    "followers",
    "following",
    "guest",
    "health",
    "help",
    "helpdesk",
    "here",
    "home",
    "hostmaster",
    "index",
    "info",
    "interactions",
    "legal",
    "login",
    "logout",
    "mail",
    "mailer",
    "matches",
    "me",
    "media",
    "mod",
    "moderation",
    "moderator",
    "moderators",
    "mods",
    "nan",
    "news",
    "nil",
    "nobody",
    "none",
    "noreply",
    "notifications",
    "null",
    "oauth",
    "official",
    "postmaster",
    "posts",
    "privacy",
    "purrline",
    "purrlineofficial",
    "purrlinesupport",
    "purrlineteam",
    "reports",
    "root",
    "search",
    "security",
    "settings",
    "signin",
    "signup",
    "staff",
    "support",
    "sysadmin",
    "system",
    "tags",
    "team",
    "terms",
    "true",
    "undefined",
    "unknown",
    "uploads",
    "user",
    "users",
    "webmaster",
    "www",
];

/// A handle: 3 to 30 of `a-z 0-9 _ .`. Users can choose only some of them: see [`Handle::choose`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Handle(String);

impl Handle {
    /// Parses a handle that a user wants, without its `@`: it must begin and end with a letter or digit, so that a full
    /// stop at the end of a sentence is not taken for a part of the handle, and must not be reserved.
    pub fn choose(text: &str) -> Result<Self, Reason> {
        let handle = Self::parse(text)?;
        let ends = [text.bytes().next(), text.bytes().next_back()];
        let is_alphanumeric =
            |end: Option<u8>| end.is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !ends.into_iter().all(is_alphanumeric) {
            return Err(Reason::new("must begin and end with a letter or digit"));
        }
        let undivided = text.replace(['.', '_'], "");
        if RESERVED.binary_search(&undivided.as_str()).is_ok() {
            return Err(Reason::new("is reserved"));
        }
        Ok(handle)
    }

    /// Parses a handle, without its `@`, that a user may have: chosen, generated, or chosen under older rules.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.')
        };
        if (3..=30).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Reason::new("must be 3 to 30 of a-z 0-9 _ ."))
        }
    }

    /// Returns the handle under which a user without a profile is shown: `cat_` and 13 digits made of the first 63 bits
    /// of the id's SHA-256, so that it is the same everywhere without being stored.
    pub fn generated(id: &UserId) -> Self {
        let hash = Sha256::digest(id.as_str().as_bytes());
        let bits = hash
            .first_chunk()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let digits = Id::from_u64(bits >> 1)
            .map(|id| id.to_string())
            .unwrap_or_default();
        Self(format!("{GENERATED}{digits}"))
    }

    /// Returns whether a user may take the handle: one that looks generated is kept for the user it is generated for.
    pub fn is_open_to(&self, user: &UserId) -> bool {
        !self.looks_generated() || *self == Self::generated(user)
    }

    /// Returns whether the handle has the form of generated ones.
    pub fn looks_generated(&self) -> bool {
        let digits = self.0.strip_prefix(GENERATED);
        digits.is_some_and(Id::is_made_of_digits)
    }
}

impl TryFrom<String> for Handle {
    type Error = Reason;
    fn try_from(text: String) -> Result<Self, Reason> {
        Self::parse(&text)
    }
}

text_type!(Handle);

/// A user as a path names them: by id, or by handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// `nabi`
    Id(UserId),
    /// `@nabi`
    Handle(Handle),
}

impl UserRef {
    /// Parses an id, or an `@` with a handle in any case.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        match text.strip_prefix('@') {
            Some(handle) => Handle::parse(&handle.to_ascii_lowercase()).map(Self::Handle),
            None => UserId::parse(text).map(Self::Id),
        }
    }
}

/// A user: the profile, if there is one, and the exact counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The user.
    pub id: UserId,
    /// The chosen handle.
    pub handle: Option<Handle>,
    /// The chosen name.
    pub name: Option<Name>,
    /// The chosen self-description.
    pub bio: Option<Bio>,
    /// The chosen avatar.
    pub avatar: Option<Picture>,
    /// The number of users who follow this one.
    pub followers: u64,
    /// The number of users whom this one follows.
    pub following: u64,
    /// The number of this user's posts.
    pub posts: u64,
    /// The time of the user's first activity.
    pub created_at: Timestamp,
    /// Whether the user has withdrawn: hidden from everyone, and about to be erased.
    pub withdrawn: bool,
}

impl Profile {
    /// Creates the profile of a user who has left no trace yet.
    pub const fn new(id: UserId, created_at: Timestamp) -> Self {
        Self {
            id,
            handle: None,
            name: None,
            bio: None,
            avatar: None,
            followers: 0,
            following: 0,
            posts: 0,
            created_at,
            withdrawn: false,
        }
    }
}

/// The relation between a caller and another user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relation {
    /// Whether the caller follows the user.
    pub followed: bool,
    /// Whether the user follows the caller.
    pub follows_me: bool,
}

/// A change of the caller's profile by `PUT` or `PATCH`: `None` leaves a field, and `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileEdit {
    /// The new handle.
    pub handle: Option<Handle>,
    /// The new name.
    pub name: Option<Name>,
    /// The new self-description.
    pub bio: Option<Option<Bio>>,
    /// The new avatar.
    pub avatar: Option<Option<Picture>>,
}

/// A user in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "User"))]
pub struct UserView {
    /// The user's id.
    pub id: UserId,
    /// The handle, chosen or generated.
    pub handle: Handle,
    /// The name, or the handle if no name was chosen.
    pub name: String,
    /// The self-description.
    pub bio: Option<Bio>,
    /// The URL of the avatar.
    pub avatar_url: Option<String>,
    /// The number of followers, including those hidden from the caller.
    pub followers: u64,
    /// The number of followed users, including those hidden from the caller.
    pub following: u64,
    /// The number of this user's posts.
    pub posts: u64,
    /// Whether the caller follows this user.
    pub followed: bool,
    /// Whether this user follows the caller.
    pub follows_me: bool,
    /// The time of the user's first activity.
    pub created_at: Timestamp,
}

/// A user whom the caller blocks: enough to recognise and unblock them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "BlockedUser"))]
pub struct BlockedView {
    /// The user's id.
    pub id: UserId,
    /// The handle, chosen or generated.
    pub handle: Handle,
    /// The name, or the handle if no name was chosen.
    pub name: String,
    /// Always true.
    pub blocked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn generated_handles_are_open_only_to_their_users(
            nabi in "[0-9A-Za-z_-]{1,40}", other in "[0-9A-Za-z_-]{1,40}",
        ) {
            let [nabi, other] = [nabi, other].map(|id| UserId::parse(&id).unwrap());
            let handle = Handle::generated(&nabi);
            prop_assert_eq!(Handle::choose(handle.as_str()), Ok(handle.clone()));
            prop_assert!(handle.is_open_to(&nabi));
            prop_assert_eq!(handle.is_open_to(&other), nabi == other);
        }
    }

    #[test]
    fn only_handles_of_the_generated_form_are_closed_to_other_users() {
        let nabi = UserId::parse("nabi").unwrap();
        let is_open = |handle: &str| Handle::parse(handle).unwrap().is_open_to(&nabi);
        for kept in [
            "cat_0000000000000",
            "cat_zzzzzzzzzzzzz",
            "cat_0123456789abc",
        ] {
            assert!(!is_open(kept), "{kept}");
        }
        // i, l, o and u are no digits.
        for open in [
            "cat_",
            "cat_000000000000",
            "cat_00000000000000",
            "cat_000000000000u",
            "dog_0000000000000",
        ] {
            assert!(is_open(open), "{open}");
        }
    }

    #[test]
    fn paths_name_users_by_id_or_handle() {
        let parsed = UserRef::parse;
        assert_eq!(
            parsed("nabi"),
            Ok(UserRef::Id(UserId::parse("nabi").unwrap()))
        );
        assert_eq!(
            parsed("@n.a_b"),
            Ok(UserRef::Handle(Handle::parse("n.a_b").unwrap()))
        );
        assert_eq!(parsed("@N.a_B"), parsed("@n.a_b"));
        for bad in ["", "@", "@ab", "@@nabi", "n.a", "@na-bi", "@\u{212a}itty"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn chosen_handles_begin_and_end_with_a_letter_or_digit() {
        for good in ["abc", "a.b", "1_2", "7up", "a.._.b", "na.bi_01"] {
            assert!(Handle::choose(good).is_ok(), "{good}");
        }
        for bad in ["...", "nabi.", ".nabi", "_nabi", "nabi_", "___", "a._"] {
            let refused = Handle::choose(bad).unwrap_err().to_string();
            assert!(refused.contains("begin and end"), "{bad}: {refused}");
            // Users who chose it earlier are still found by it.
            assert!(Handle::parse(bad).is_ok(), "{bad}");
        }
    }

    #[test]
    fn reserved_handles_are_refused_with_any_separators() {
        assert!(RESERVED.is_sorted());
        for reserved in RESERVED {
            assert!(Handle::choose(reserved).is_err(), "{reserved}");
        }
        for bad in [
            "ad.min",
            "a_d.m_i_n",
            "null",
            "m.e",
            "a.p.i",
            "purr_line",
            "root",
            "s.upport",
        ] {
            let refused = Handle::choose(bad).unwrap_err().to_string();
            assert!(refused.contains("reserved"), "{bad}: {refused}");
        }
        for good in [
            "admin1",
            "cat",
            "mimi",
            "nulla",
            "nabi.support",
            "purrliner",
        ] {
            assert!(Handle::choose(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn handles_of_a_wrong_alphabet_or_length_are_refused() {
        for good in ["abc", "a_.", &"x".repeat(30)] {
            assert!(Handle::parse(good).is_ok(), "{good}");
        }
        for bad in ["ab", &"x".repeat(31), "Abc", "a-b", "나비야"] {
            assert!(Handle::parse(bad).is_err(), "{bad}");
        }
    }
}
