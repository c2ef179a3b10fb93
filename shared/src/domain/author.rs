//! Authors, as they are shown with what they made.

use serde::{Deserialize, Serialize};

use super::{Handle, Name, PictureName, Profile, UserId};

/// An author, as the cache keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The user.
    pub id: UserId,
    /// The handle, chosen or generated.
    pub handle: Handle,
    /// The name, or the handle if no name was chosen.
    pub name: String,
    /// The name of the avatar's picture.
    pub avatar: Option<PictureName>,
}

/// An author in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Author"))]
pub struct AuthorView {
    /// The user.
    pub id: UserId,
    /// The handle, chosen or generated.
    pub handle: Handle,
    /// The name, or the handle if no name was chosen.
    pub name: String,
    /// The URL of the avatar.
    pub avatar_url: Option<String>,
}

impl Author {
    /// Creates an author, with or without a profile.
    pub fn of(id: &UserId, profile: Option<&Profile>) -> Self {
        let handle = profile
            .and_then(|p| p.handle.clone())
            .unwrap_or_else(|| Handle::generated(id));
        let name = profile
            .and_then(|p| p.name.as_ref())
            .map_or_else(|| handle.as_str(), Name::as_str)
            .to_owned();
        Self {
            id: id.clone(),
            handle,
            name,
            avatar: profile
                .and_then(|p| p.avatar.as_ref())
                .map(|avatar| avatar.name.clone()),
        }
    }
}
