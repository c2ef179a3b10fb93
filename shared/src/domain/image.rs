//! Uploads: their media types, sizes and keys.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{Reason, UserId};

/// The largest upload: 10 MiB.
pub const UPLOAD_MAX_BYTES: u64 = 10 * 1024 * 1024;

/// The reason for refusing a key that isn't the caller's, or has no object.
pub const NOT_UPLOADED: Reason = Reason::new("is not an image that you uploaded");

/// The media types that may be uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
}

impl ContentType {
    /// All media types.
    pub const ALL: [Self; 3] = [Self::Jpeg, Self::Png, Self::Webp];

    /// Parses a media type, exactly as api.md spells it.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        const BAD: Reason = Reason::new("must be image/jpeg, image/png or image/webp");
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(BAD)
    }

    /// Returns the media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

/// An upload's size: 1 byte to 10 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadSize(u64);

impl UploadSize {
    /// Creates a size; returns `None` for 0 bytes and above the limit.
    pub const fn new(bytes: u64) -> Option<Self> {
        if bytes >= 1 && bytes <= UPLOAD_MAX_BYTES {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// Returns the size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// An upload's key, `uploads/<user>/<22 characters>.<jpg|png|webp>`: bound to its owner, and impossible to guess, with
/// 128 random bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageKey {
    key: String,
    owner: UserId,
}

impl ImageKey {
    /// Mints a new key for an upload of this user's.
    pub fn mint(owner: &UserId, kind: ContentType) -> Self {
        let name = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let key = format!("{}{name}.{}", Self::prefix(owner), kind.extension());
        Self {
            key,
            owner: owner.clone(),
        }
    }

    /// Parses a key that this service handed out.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        const BAD: Reason = Reason::new("not the key of an upload");
        let (owner, file) = text
            .strip_prefix("uploads/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(BAD)?;
        let (name, extension) = file.split_once('.').ok_or(BAD)?;
        let owner = UserId::parse(owner).map_err(|_| BAD)?;
        let random = URL_SAFE_NO_PAD.decode(name).map_err(|_| BAD)?;
        if random.len() != 16
            || !ContentType::ALL
                .iter()
                .any(|kind| kind.extension() == extension)
        {
            return Err(BAD);
        }
        Ok(Self {
            key: text.to_owned(),
            owner,
        })
    }

    /// Parses a key that a user sent, if it is one of theirs. A key that this service never handed out is refused like
    /// somebody else's. Only the bucket knows whether there is an object.
    pub fn sent_by(user: &UserId, text: &str) -> Result<Self, Reason> {
        Self::parse(text)
            .ok()
            .filter(|key| key.owner() == user)
            .ok_or(NOT_UPLOADED)
    }

    /// Returns the prefix of all keys of a user's uploads, and of no others.
    pub fn prefix(owner: &UserId) -> String {
        format!("uploads/{owner}/")
    }

    /// Returns the user who uploaded it.
    pub const fn owner(&self) -> &UserId {
        &self.owner
    }

    /// Returns the key's text.
    pub fn as_str(&self) -> &str {
        &self.key
    }
}

/// Instructions for an upload: send the file's bytes to this URL with exactly these headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Upload {
    /// The image's key from then on.
    pub key: ImageKey,
    /// The HTTP method: `PUT`.
    pub method: String,
    /// The URL to send it to.
    pub url: String,
    /// The headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The time at which it expires.
    // The time as text, as it was sent: two such texts compare as their times do.
    pub expires_at: String,
}

impl TryFrom<String> for ImageKey {
    type Error = Reason;
    fn try_from(text: String) -> Result<Self, Reason> {
        Self::parse(&text)
    }
}

impl From<ImageKey> for String {
    fn from(key: ImageKey) -> Self {
        key.key
    }
}

impl fmt::Display for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_name_their_owner() {
        let owner = UserId::parse("nabi").unwrap();
        let key = ImageKey::mint(&owner, ContentType::Webp);
        assert_eq!(ImageKey::parse(key.as_str()), Ok(key.clone()));
        assert_eq!(key.owner(), &owner);
    }

    #[test]
    fn malformed_keys_are_refused() {
        for bad in [
            "",
            "uploads/nabi",
            "uploads/nabi/x.jpg",
            "uploads/../AAAAAAAAAAAAAAAAAAAAAA.jpg",
            "other/nabi/AAAAAAAAAAAAAAAAAAAAAA.jpg",
            "uploads/nabi/AAAAAAAAAAAAAAAAAAAAAA.gif",
        ] {
            assert!(ImageKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_accepted_only_from_their_owner() {
        let [nabi, other] = ["nabi", "other"].map(|id| UserId::parse(id).unwrap());
        let key = ImageKey::mint(&nabi, ContentType::Png);
        assert_eq!(ImageKey::sent_by(&nabi, key.as_str()), Ok(key.clone()));
        assert_eq!(ImageKey::sent_by(&other, key.as_str()), Err(NOT_UPLOADED));
        assert_eq!(
            ImageKey::sent_by(&nabi, "uploads/nabi/x.png"),
            Err(NOT_UPLOADED)
        );
    }

    #[test]
    fn upload_sizes_outside_the_limits_are_refused() {
        assert!(UploadSize::new(0).is_none());
        assert!(UploadSize::new(1).is_some());
        assert!(UploadSize::new(UPLOAD_MAX_BYTES).is_some());
        assert!(UploadSize::new(UPLOAD_MAX_BYTES + 1).is_none());
    }
}
