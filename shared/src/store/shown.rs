//! Who is there for whom: the one place that decides whether a caller sees a user at all, and so the
//! user's posts, comments and cats.
//!
//! Hidden are users who have left, from everybody, and users between whom and the caller one blocks the
//! other.

use std::collections::{HashMap, HashSet};

use super::kept_blocks::WhoLeft;
use super::{Error, Readable, Store};
use crate::domain::{Author, Profile, Timestamp, UserId};

/// Some users as far as a caller may see them.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    profiles: HashMap<UserId, Profile>,
    hidden: HashSet<UserId>,
}

impl Shown {
    /// Whether the caller sees the user.
    pub fn sees(&self, user: &UserId) -> bool {
        !self.hidden.contains(user)
    }

    /// The user as shown with what they wrote; nothing if the caller doesn't see them.
    pub fn author(&self, user: &UserId) -> Option<Author> {
        self.sees(user)
            .then(|| Author::of(user, self.profiles.get(user)))
    }

    /// The user; nothing if the caller doesn't see them. Somebody who left no trace but an edge has been
    /// known `since` then.
    pub fn profile(&self, user: &UserId, since: Timestamp) -> Option<Profile> {
        let profile = self.profiles.get(user).cloned();
        self.sees(user)
            .then(|| profile.unwrap_or_else(|| Profile::new(user.clone(), since)))
    }

    /// The user, who has left a trace of their own; nothing if not, or if the caller doesn't see them.
    pub fn known(&self, user: &UserId) -> Option<&Profile> {
        self.profiles.get(user).filter(|_| self.sees(user))
    }

    /// Whether the user has left, and is being erased.
    pub fn has_left(&self, user: &UserId) -> bool {
        let profile = self.profiles.get(user);
        profile.is_some_and(|profile| profile.withdrawn)
    }
}

impl Store {
    /// These users as far as the caller may see them, and the caller. One that can't be read is an error.
    pub async fn shown(&self, caller: &UserId, users: &[UserId]) -> Result<Shown, Error> {
        let Readable { found, unread } = self.readable_shown(caller, users).await?;
        if unread.is_empty() {
            Ok(found)
        } else {
            let why = "throttled: a user can't be read";
            Err(Error::Unavailable(why.to_owned()))
        }
    }

    /// These users as far as the caller may see them, and the caller, for a page that shows others too: of whom nothing
    /// can be read, it isn't known whether they have left, so they are hidden.
    pub async fn shown_on_page(&self, caller: &UserId, users: &[UserId]) -> Result<Shown, Error> {
        let Readable { found, unread } = self.readable_shown(caller, users).await?;
        if !unread.is_empty() {
            let unread = unread.len();
            tracing::warn!(unread, "users that can't be read are left out");
        }
        Ok(found)
    }

    /// The same, with the users that can't be read, who are hidden.
    pub(super) async fn readable_shown(
        &self,
        caller: &UserId,
        users: &[UserId],
    ) -> Result<Readable<Shown, UserId>, Error> {
        let everybody: HashSet<&UserId> = users.iter().chain([caller]).collect();
        let everybody: Vec<UserId> = everybody.into_iter().cloned().collect();
        let (Readable { found, unread }, mut hidden) = futures::try_join!(
            self.readable_profiles(&everybody),
            self.blocked_between(caller, users)
        )?;
        hidden.extend(self.kept_apart(caller, users, &found).await?);
        let left = found.values().filter(|profile| profile.withdrawn);
        hidden.extend(left.map(|profile| profile.id.clone()));
        hidden.extend(unread.iter().filter(|user| *user != caller).cloned());
        let profiles = found;
        Ok(Readable {
            found: Shown { profiles, hidden },
            unread,
        })
    }

    /// Those of these users between whom and the caller one blocks the other, and one does not exist: that block may
    /// stand under the name for those who left.
    async fn kept_apart(
        &self,
        caller: &UserId,
        users: &[UserId],
        profiles: &HashMap<UserId, Profile>,
    ) -> Result<HashSet<UserId>, Error> {
        // An erasure may have moved the blocks already of a caller who has left.
        let caller_left = profiles.get(caller).is_none_or(|caller| caller.withdrawn);
        let unsure = users.iter().filter(|user| *user != caller);
        let unsure = unsure.filter(|user| caller_left || !profiles.contains_key(*user));
        let unsure: Vec<&UserId> = unsure.collect();
        if unsure.is_empty() {
            return Ok(HashSet::new());
        }
        let who_left = if caller_left {
            WhoLeft::User
        } else {
            WhoLeft::Others
        };
        let mut kept = self.kept_between(caller, who_left, &unsure).await?;
        // It moves back when they return: then it is under the id by now.
        let unsure: Vec<UserId> = unsure.into_iter().cloned().collect();
        kept.extend(self.blocked_between(caller, &unsure).await?);
        Ok(kept)
    }
}
