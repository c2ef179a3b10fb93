//! Users: profiles and their exact counts.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::ReturnValue;

use super::item::{Item, Read, item, n, s};
use super::{Error, Store};
use crate::domain::{Bio, Handle, ImageKey, Name, Profile, Timestamp, UserId};

/// What each write sets that may be the first trace of a user: since when there is the user, and the handle to
/// show and to be found by until one is chosen.
pub(super) const FIRST_TRACE: &str = "created_at = if_not_exists(created_at, :seen), \
     generated_handle = if_not_exists(generated_handle, :generated)";

/// The handle that is generated for the user with that key.
pub(super) fn generated_handle(key: &Item) -> Result<Handle, Error> {
    let id = UserId::parse(key.text("id")?).map_err(Error::broken)?;
    Ok(Handle::generated(&id))
}

fn profile(row: &Item) -> Result<Profile, Error> {
    Ok(Profile {
        id: UserId::parse(row.text("id")?).map_err(Error::broken)?,
        handle: row
            .maybe_text("handle")
            .map(Handle::parse)
            .transpose()
            .map_err(Error::broken)?,
        name: row.maybe_text("name").map(Name::stored),
        bio: row.maybe_text("bio").map(Bio::stored),
        avatar: row
            .maybe_text("avatar")
            .map(ImageKey::parse)
            .transpose()
            .map_err(Error::broken)?,
        followers: row.count("followers")?,
        following: row.count("following")?,
        posts: row.count("posts")?,
        created_at: Timestamp::from_millis(row.number("created_at")?),
        withdrawn: row.contains_key("withdrawn_at"),
    })
}

impl Store {
    /// A user who has left a trace here: called, posted, followed or been followed.
    pub async fn profile(&self, id: &UserId) -> Result<Option<Profile>, Error> {
        Ok(self.profiles(std::slice::from_ref(id)).await?.remove(id))
    }

    /// Those of these users who have left a trace here.
    pub async fn profiles(&self, ids: &[UserId]) -> Result<HashMap<UserId, Profile>, Error> {
        let keys = ids.iter().map(|id| item([("id", s(id))])).collect();
        let rows = self.batch_get(&self.tables.users, keys, None).await?;
        rows.iter()
            .map(|row| profile(row).map(|profile| (profile.id.clone(), profile)))
            .collect()
    }

    /// The user, who is thereby known from now on.
    pub async fn sign_in(&self, id: &UserId) -> Result<Profile, Error> {
        if let Some(known) = self.profile(id).await? {
            return Ok(known);
        }
        let output = self
            .client
            .update_item()
            .table_name(&self.tables.users)
            .key("id", s(id))
            .update_expression(format!("SET {FIRST_TRACE}"))
            .expression_attribute_values(":seen", n(Timestamp::now().millis()))
            .expression_attribute_values(":generated", s(Handle::generated(id)))
            .return_values(ReturnValue::AllNew)
            .send()
            .await?;
        profile(&output.attributes.unwrap_or_default())
    }
}
