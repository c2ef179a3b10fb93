//! Who is there for whom: the one place that decides whether a caller sees a user at all, and so the
//! user's posts, comments and cats.
//!
//! Hidden are users who have left, from everybody, and users between whom and the caller one blocks the
//! other.

use std::collections::{HashMap, HashSet};

use super::{Error, Store};
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
}

impl Store {
    /// These users as far as the caller may see them.
    pub async fn shown(&self, caller: &UserId, users: &[UserId]) -> Result<Shown, Error> {
        let (profiles, mut hidden) =
            futures::try_join!(self.profiles(users), self.blocked_between(caller, users))?;
        let left = profiles.values().filter(|profile| profile.withdrawn);
        hidden.extend(left.map(|profile| profile.id.clone()));
        Ok(Shown { profiles, hidden })
    }
}
