//! The facts about users that decide who may see what; [`Visibility`] has the rule.

use std::collections::{HashMap, HashSet};

use super::kept_blocks::WhoLeft;
use super::{Error, Readable, Store};
use crate::domain::{Post, PostId, Profile, UserId, Visibility};

impl Store {
    /// Reads the facts about these users, and the viewer. Fails if a user can't be read.
    pub async fn visibility(&self, viewer: &UserId, users: &[UserId]) -> Result<Visibility, Error> {
        let Readable { found, unread } = self.readable_visibility(viewer, users).await?;
        if unread.is_empty() {
            Ok(found)
        } else {
            let why = "throttled: a user can't be read";
            Err(Error::Unavailable(why.to_owned()))
        }
    }

    /// Reads the facts about these users, and the viewer, for a page that has other entries too: a user who can't be
    /// read is hidden.
    pub async fn visibility_on_page(
        &self,
        viewer: &UserId,
        users: &[UserId],
    ) -> Result<Visibility, Error> {
        let Readable { found, unread } = self.readable_visibility(viewer, users).await?;
        if !unread.is_empty() {
            let unread = unread.len();
            tracing::warn!(unread, "users that can't be read are left out");
        }
        Ok(found)
    }

    /// Reads the facts about these users, and the viewer. Users who can't be read may have left, so they are hidden.
    pub(super) async fn readable_visibility(
        &self,
        viewer: &UserId,
        users: &[UserId],
    ) -> Result<Readable<Visibility, UserId>, Error> {
        let everybody: HashSet<&UserId> = users.iter().chain([viewer]).collect();
        let everybody: Vec<UserId> = everybody.into_iter().cloned().collect();
        let (Readable { found, unread }, mut hidden) = futures::try_join!(
            self.readable_profiles(&everybody),
            self.blocked_between(viewer, users)
        )?;
        hidden.extend(self.kept_apart(viewer, users, &found).await?);
        hidden.extend(unread.iter().cloned());
        Ok(Readable {
            found: Visibility::new(viewer, found, hidden),
            unread,
        })
    }

    /// Returns a post, if it exists and the viewer may see it.
    pub async fn visible_post(&self, viewer: &UserId, id: PostId) -> Result<Option<Post>, Error> {
        let visible = self.visible_post_with(viewer, id).await?;
        Ok(visible.map(|(post, _)| post))
    }

    /// Returns a post, if it exists and the viewer may see it, with the facts about its author and the viewer.
    pub async fn visible_post_with(
        &self,
        viewer: &UserId,
        id: PostId,
    ) -> Result<Option<(Post, Visibility)>, Error> {
        let Some(post) = self.post(id).await? else {
            return Ok(None);
        };
        let author = std::slice::from_ref(&post.author);
        let visibility = self.visibility(viewer, author).await?;
        let visible = visibility.allows(&post.author);
        Ok(visible.then_some((post, visibility)))
    }

    /// Returns the users, among these, who block the viewer or whom the viewer blocks, if either of the two does not
    /// exist: such a block may be stored under the name for those who left.
    async fn kept_apart(
        &self,
        viewer: &UserId,
        users: &[UserId],
        profiles: &HashMap<UserId, Profile>,
    ) -> Result<HashSet<UserId>, Error> {
        // If the viewer has left, an erasure may have moved their blocks already.
        let viewer_left = profiles.get(viewer).is_none_or(|viewer| viewer.withdrawn);
        let unsure = users.iter().filter(|user| *user != viewer);
        let unsure = unsure.filter(|user| viewer_left || !profiles.contains_key(*user));
        let unsure: Vec<&UserId> = unsure.collect();
        if unsure.is_empty() {
            return Ok(HashSet::new());
        }
        let who_left = if viewer_left {
            WhoLeft::User
        } else {
            WhoLeft::Others
        };
        let mut kept = self.kept_between(viewer, who_left, &unsure).await?;
        // A block moves back when the user returns: it may be under the id again.
        let unsure: Vec<UserId> = unsure.into_iter().cloned().collect();
        kept.extend(self.blocked_between(viewer, &unsure).await?);
        Ok(kept)
    }
}
