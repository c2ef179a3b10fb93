//! Visibility: the one rule of who may see what, for every list, however its entries were read.
//!
//! A viewer sees what an author made (posts, comments, cats, likes, follows, and the profile itself) unless
//!
//! - the author has withdrawn: that is hidden from everybody, the author included;
//! - one of the two blocks the other;
//! - the list is a feed, and the viewer doesn't follow the author.
//!
//! Deleted things are hidden from everybody, because neither the store nor the cache has them. A viewer is signed in:
//! an anonymous request is refused before anything is read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Author, AuthorMark, Post, PostId, Profile, Timestamp, Trend, UserId};

/// The facts about a viewer and an author that decide whether the viewer sees what the author made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether the author has withdrawn.
    pub withdrawn: bool,
    /// Whether the viewer blocks the author, or the author the viewer.
    pub blocked: bool,
    /// Whether only followed authors are shown, and the viewer doesn't follow this one.
    pub unfollowed: bool,
}

/// Returns whether a viewer sees what an author made.
pub fn may_see(viewer: &UserId, author: &UserId, standing: Standing) -> bool {
    let apart = standing.blocked || standing.unfollowed;
    !standing.withdrawn && (viewer == author || !apart)
}

/// Returns whether a viewer sees a tag that trends; `blocked` tells whether there is a block between the viewer and an
/// author. A tag of few authors is hidden if all of them are blocked; a tag of many authors is shown to everybody.
pub fn may_see_trend(trend: &Trend, blocked: impl Fn(&AuthorMark) -> bool) -> bool {
    trend.few.is_empty() || trend.few.iter().any(|author| !blocked(author))
}

/// The visibility of some users to a viewer.
#[derive(Debug, Clone)]
pub struct Visibility {
    viewer: UserId,
    profiles: HashMap<UserId, Profile>,
    withdrawn: HashSet<UserId>,
    blocked: HashSet<UserId>,
    /// The authors that a feed shows; `None` outside a feed.
    followed: Option<HashSet<UserId>>,
}

impl Visibility {
    /// Creates a visibility from users' profiles and the users with whom there is a block, in either direction.
    pub fn new(
        viewer: &UserId,
        profiles: HashMap<UserId, Profile>,
        blocked: HashSet<UserId>,
    ) -> Self {
        let withdrawn = profiles.values().filter(|profile| profile.withdrawn);
        let withdrawn = withdrawn.map(|profile| profile.id.clone()).collect();
        Self {
            viewer: viewer.clone(),
            profiles,
            withdrawn,
            blocked,
            followed: None,
        }
    }

    /// Creates the visibility of a feed from the authors that the cache holds and those of them whom the viewer
    /// follows. A block ends the follows between two users, so there is none between the viewer and those authors.
    pub fn of_feed(
        viewer: &UserId,
        authors: &HashMap<UserId, Option<Arc<Author>>>,
        followed: HashSet<UserId>,
    ) -> Self {
        let withdrawn = authors.iter().filter(|(_, author)| author.is_none());
        Self {
            withdrawn: withdrawn.map(|(id, _)| id.clone()).collect(),
            ..Self::new(viewer, HashMap::new(), HashSet::new()).in_feed(followed)
        }
    }

    /// Restricts the visibility to followed authors and the viewer.
    #[must_use]
    pub fn in_feed(mut self, followed: HashSet<UserId>) -> Self {
        self.followed = Some(followed);
        self
    }

    /// Returns whether the viewer sees what this author made.
    pub fn allows(&self, author: &UserId) -> bool {
        let followed = self.followed.as_ref();
        let standing = Standing {
            withdrawn: self.withdrawn.contains(author),
            blocked: self.blocked.contains(author),
            unfollowed: followed.is_some_and(|followed| !followed.contains(author)),
        };
        may_see(&self.viewer, author, standing)
    }

    /// Returns the posts of `ids` that exist and that the viewer sees, in the order of `ids`.
    pub fn visible_posts<'p>(
        &self,
        ids: &[PostId],
        posts: &'p HashMap<PostId, Arc<Post>>,
    ) -> impl Iterator<Item = &'p Arc<Post>> {
        let posts = ids.iter().filter_map(|id| posts.get(id));
        posts.filter(|post| self.allows(&post.author))
    }

    /// Returns the author to show with what they made, if the viewer sees it.
    pub fn author(&self, user: &UserId) -> Option<Author> {
        self.allows(user)
            .then(|| Author::of(user, self.profiles.get(user)))
    }

    /// Returns the user's profile, if the viewer sees them. A user of whom only an edge is stored has existed
    /// `since` that edge.
    pub fn profile(&self, user: &UserId, since: Timestamp) -> Option<Profile> {
        let profile = self.profiles.get(user).cloned();
        self.allows(user)
            .then(|| profile.unwrap_or_else(|| Profile::new(user.clone(), since)))
    }

    /// Returns the user's profile, if they exist and the viewer sees them.
    pub fn existing(&self, user: &UserId) -> Option<&Profile> {
        self.profiles.get(user).filter(|_| self.allows(user))
    }

    /// Returns whether the viewer finds the lists of this user: always the viewer's own, and those of existing users
    /// whom the viewer sees.
    pub fn finds(&self, user: &UserId) -> bool {
        self.viewer == *user || self.existing(user).is_some()
    }

    /// Returns whether the user has withdrawn and is being erased.
    pub fn has_withdrawn(&self, user: &UserId) -> bool {
        self.withdrawn.contains(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Draft, PostText, Tag};

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn profile(id: &str, withdrawn: bool) -> (UserId, Profile) {
        let profile = Profile {
            withdrawn,
            ..Profile::new(user(id), Timestamp::from_millis(0))
        };
        (user(id), profile)
    }

    #[test]
    fn the_rule_holds_for_every_combination_of_facts() {
        let table = [
            // withdrawn, blocked, unfollowed: own, somebody else's
            ((false, false, false), (true, true)),
            ((false, false, true), (true, false)),
            ((false, true, false), (true, false)),
            ((false, true, true), (true, false)),
            ((true, false, false), (false, false)),
            ((true, false, true), (false, false)),
            ((true, true, false), (false, false)),
            ((true, true, true), (false, false)),
        ];
        for ((withdrawn, blocked, unfollowed), expected) in table {
            let standing = Standing {
                withdrawn,
                blocked,
                unfollowed,
            };
            let nabi = user("nabi");
            let seen = ["nabi", "mimi"].map(|author| may_see(&nabi, &user(author), standing));
            assert_eq!((seen[0], seen[1]), expected, "{standing:?}");
        }
    }

    #[test]
    fn users_are_hidden_by_a_block_or_their_withdrawal() {
        let users = [
            profile("nabi", false),
            profile("mimi", false),
            profile("blocked", false),
            profile("gone", true),
        ];
        let visibility = Visibility::new(&user("nabi"), users.into(), [user("blocked")].into());
        let since = Timestamp::from_millis(0);
        // Seen, and found.
        let table = [
            ("nabi", true, true),
            ("mimi", true, true),
            ("nobody", true, false),
            ("blocked", false, false),
            ("gone", false, false),
        ];
        for (id, seen, found) in table {
            let id = user(id);
            assert_eq!(visibility.allows(&id), seen, "{id}");
            assert_eq!(visibility.author(&id).is_some(), seen, "{id}");
            assert_eq!(visibility.profile(&id, since).is_some(), seen, "{id}");
            assert_eq!(visibility.existing(&id).is_some(), found, "{id}");
            assert_eq!(visibility.finds(&id), found, "{id}");
        }
        assert!(visibility.has_withdrawn(&user("gone")));
        assert!(!visibility.has_withdrawn(&user("mimi")));
    }

    #[test]
    fn users_find_their_own_lists_before_they_exist_and_after_withdrawal() {
        for profiles in [HashMap::new(), [profile("nabi", true)].into()] {
            let visibility = Visibility::new(&user("nabi"), profiles, HashSet::new());
            assert!(visibility.finds(&user("nabi")));
        }
    }

    /// The same feed, by the cache and by the store.
    #[test]
    fn feed_shows_existing_posts_of_the_viewer_and_followed_authors() {
        let nabi = user("nabi");
        let authors = ["nabi", "mimi", "stranger", "gone", "deleted"];
        let ids: Vec<PostId> = (1..=authors.len())
            .map(|n| PostId::parse(&format!("{n:013}")).unwrap())
            .collect();
        let post = |(id, author): (&PostId, &&str)| Post {
            id: *id,
            author: user(author),
            draft: Draft::new(PostText::parse("meow").unwrap(), vec![], vec![]).unwrap(),
            edited_at: None,
        };
        let posts = ids.iter().zip(&authors).map(post);
        let mut posts: HashMap<PostId, Arc<Post>> =
            posts.map(|post| (post.id, Arc::new(post))).collect();
        posts.remove(&ids[4]);
        let followed = HashSet::from(["mimi", "gone", "deleted"].map(user));
        let card = |id: &str| {
            let author = (id != "gone").then(|| Author::of(&user(id), None));
            (user(id), author.map(Arc::new))
        };
        let by_cache = Visibility::of_feed(&nabi, &authors.map(card).into(), followed.clone());
        let profiles = authors.map(|id| profile(id, id == "gone"));
        let by_store = Visibility::new(&nabi, profiles.into(), HashSet::new()).in_feed(followed);
        for visibility in [by_cache, by_store] {
            let visible = visibility.visible_posts(&ids, &posts);
            let authors: Vec<&str> = visible.map(|post| post.author.as_str()).collect();
            assert_eq!(authors, ["nabi", "mimi"]);
        }
    }

    #[test]
    fn trend_is_hidden_if_all_of_its_few_authors_are_blocked() {
        let mark = |n: &u8| AuthorMark::of(&user(&format!("user{n}")));
        let trend = |few: &[u8]| Trend {
            tag: Tag::parse("cats").unwrap(),
            authors: 2,
            posts: 9,
            few: few.iter().map(mark).collect(),
        };
        let blocked = |author: &AuthorMark| [mark(&1), mark(&2)].contains(author);
        assert!(!may_see_trend(&trend(&[1]), blocked));
        assert!(!may_see_trend(&trend(&[1, 2]), blocked));
        assert!(may_see_trend(&trend(&[1, 3]), blocked));
        assert!(may_see_trend(&trend(&[]), blocked));
        assert!(may_see_trend(&trend(&[1]), |_| false));
    }
}
