//! Users: profiles and their exact counts.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::ReturnValue;
use futures::{StreamExt, TryStreamExt};

use super::item::{Item, Read, item, n, s};
use super::leaving::Accounts;
use super::picture_row::maybe_picture;
use super::{Error, Readable, Store};
use crate::domain::{Bio, Change, Handle, Name, Profile, Timestamp, UserId};

/// The number of users of one batch who are created at a time.
const AT_ONCE: usize = 16;

/// The expression in each write that may be the first trace of a user: it sets the time of creation, and the handle to
/// show and be found by until one is chosen.
pub(super) const FIRST_TRACE: &str = "created_at = if_not_exists(created_at, :seen), \
     generated_handle = if_not_exists(generated_handle, :generated)";

/// Returns the handle that is generated for the user with that key.
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
        avatar: maybe_picture(row, "avatar")?,
        followers: row.count("followers")?,
        following: row.count("following")?,
        posts: row.count("posts")?,
        created_at: Timestamp::from_millis(row.number("created_at")?),
        withdrawn: row.contains_key("withdrawn_at"),
    })
}

impl Store {
    /// Returns a user's profile, if the user exists: has signed in, posted, liked or followed.
    pub async fn profile(&self, id: &UserId) -> Result<Option<Profile>, Error> {
        Ok(self.profiles(std::slice::from_ref(id)).await?.remove(id))
    }

    /// Returns the profiles of these users, as far as the users exist.
    pub async fn profiles(&self, ids: &[UserId]) -> Result<HashMap<UserId, Profile>, Error> {
        let keys = ids.iter().map(|id| item([("id", s(id))])).collect();
        let rows = self.batch_get(&self.tables.users, keys, None).await?;
        rows.iter()
            .map(|row| profile(row).map(|profile| (profile.id.clone(), profile)))
            .collect()
    }

    /// Returns the profiles of these users, as far as the users exist, and the ids of those that can't be read.
    pub async fn readable_profiles(
        &self,
        ids: &[UserId],
    ) -> Result<Readable<HashMap<UserId, Profile>, UserId>, Error> {
        let keys = ids.iter().map(|id| item([("id", s(id))])).collect();
        let batch = self.batch_get_readable(&self.tables.users, keys).await?;
        let profiles = batch.items.iter();
        let profiles =
            profiles.map(|row| profile(row).map(|profile| (profile.id.clone(), profile)));
        let unread = batch.unread.iter();
        let unread = unread.map(|key| UserId::parse(key.text("id")?).map_err(Error::broken));
        Ok(Readable {
            found: profiles.collect::<Result<_, _>>()?,
            unread: unread.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the user's profile. The user exists from now on.
    pub async fn sign_in(&self, id: &UserId) -> Result<Profile, Error> {
        match self.profile(id).await? {
            Some(known) => Ok(known),
            None => self.create_user(id).await,
        }
    }

    /// Creates a user. If the user returns, restores the blocks against them before anybody can see anything of theirs.
    async fn create_user(&self, id: &UserId) -> Result<Profile, Error> {
        self.restore_blocks(id).await?;
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

    /// Creates the users whose first change this is, before it takes effect; void changes create nobody. Returns whether
    /// it created any: then blocks may be back that did not exist before.
    pub(super) async fn create_new_users<'u>(
        &self,
        accounts: &Accounts,
        changes: impl Iterator<Item = (&'u UserId, Change)>,
    ) -> Result<bool, Error> {
        let new = changes.filter(|(user, change)| {
            change.active && !accounts.exists(user) && !accounts.voids(user, *change)
        });
        let new: HashSet<&UserId> = new.map(|(user, _)| user).collect();
        let creations: Vec<_> = new.into_iter().map(|user| self.create_user(user)).collect();
        let any = !creations.is_empty();
        futures::stream::iter(creations)
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        Ok(any)
    }
}
