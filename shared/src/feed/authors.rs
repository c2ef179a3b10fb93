//! A feed from its authors' own lists in the store.
//!
//! What each of them wrote of late comes a hundred authors a read. Only of those who wrote more of what is asked
//! for than that tells, the list itself is read: for the newest 200 posts these are four at most, since each has
//! fifty posts among them (those who deleted many of their newest fifty come on top); for a page far down, those who
//! wrote more than fifty posts.
//!
//! A post is among what its author wrote of late once it is fanned out, and is in the author's own feed before that:
//! so of the caller, the list itself is read.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};

use crate::domain::{PostId, PostWindow, UserId};
use crate::planted::planted;
use crate::store::{self, Delivery, RECENT, Recent, Store};

/// How many authors' lists are read at a time.
const LISTS_AT_ONCE: usize = 32;

/// Those whose posts a feed shows, and what they wrote of late.
#[derive(Debug)]
pub(super) struct Authors {
    following: Vec<UserId>,
    ids: HashSet<UserId>,
    recent: HashMap<UserId, Recent>,
}

impl Authors {
    /// Those whom the caller follows, and the caller.
    pub(super) async fn of(store: &Store, caller: &UserId) -> Result<Self, store::Error> {
        let following = store.following(caller).await?;
        let ids: HashSet<UserId> = following.iter().chain([caller]).cloned().collect();
        let (mut recent, posts) = futures::try_join!(
            store.recent_posts(&following),
            newest_by(store, caller, None, RECENT)
        )?;
        // Nobody's own posts are merged in.
        let delivery = Delivery::Pushed;
        recent.insert(caller.clone(), Recent { posts, delivery });
        Ok(Self {
            following,
            ids,
            recent,
        })
    }

    /// Their ids.
    pub(super) const fn ids(&self) -> &HashSet<UserId> {
        &self.ids
    }

    /// Those whom the caller follows.
    pub(super) fn following(&self) -> &[UserId] {
        &self.following
    }

    /// Those whose posts are merged in, not pushed. Nobody's own: those are always pushed.
    pub(super) fn merged(&self) -> Vec<UserId> {
        let merged = |(_, recent): &(&UserId, &Recent)| {
            !planted("unmarked-rebuild") && recent.delivery != Delivery::Pushed
        };
        let merged = self.recent.iter().filter(merged);
        merged.map(|(author, _)| author.clone()).collect()
    }

    /// The newest posts of all of them that are older than a position: at most so many.
    pub(super) async fn newest(
        &self,
        store: &Store,
        before: Option<PostId>,
        most: usize,
    ) -> Result<PostWindow, store::Error> {
        let older =
            |posts: &PostWindow| PostWindow::new(posts.after(before).to_vec(), posts.floor());
        let recent = self.recent.iter();
        let mut lists: HashMap<UserId, PostWindow> = recent
            .map(|(author, recent)| (author.clone(), older(&recent.posts)))
            .collect();
        let last = last_of_newest(lists.values(), most);
        let short = lists.iter().filter(|(_, list)| list.floor() > last);
        let short: Vec<UserId> = short.map(|(author, _)| author.clone()).collect();
        let read = futures::stream::iter(short)
            .map(|author| async move {
                let newest = newest_by(store, &author, before, most).await?;
                Ok::<_, store::Error>((author, newest))
            })
            .buffer_unordered(LISTS_AT_ONCE);
        lists.extend(read.try_collect::<Vec<_>>().await?);
        Ok(PostWindow::merged(lists.into_values()).cut(most))
    }
}

/// The last of the newest so many posts of these lists, as far as they are known; nothing if there are fewer.
/// A list with a floor above it may have others among them.
fn last_of_newest<'a>(lists: impl Iterator<Item = &'a PostWindow>, most: usize) -> Option<PostId> {
    let mut ids: Vec<PostId> = lists.flat_map(PostWindow::ids).copied().collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    most.checked_sub(1).and_then(|last| ids.get(last)).copied()
}

/// The newest posts of an author that are older than a position: at most so many.
pub(super) async fn newest_by(
    store: &Store,
    author: &UserId,
    before: Option<PostId>,
    most: usize,
) -> Result<PostWindow, store::Error> {
    // One more tells where they end.
    let ids = store
        .posts_by(author, before, most.saturating_add(1))
        .await?;
    Ok(PostWindow::new(ids, None).cut(most))
}
