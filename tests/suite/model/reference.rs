//! The reference model: the meaning of posts, follows, likes and feeds, as simply as possible.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A post's id: a later post's is greater.
pub(super) type PostId = String;
/// A user, by number.
pub(super) type User = usize;

/// A post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Post {
    pub(super) author: User,
    pub(super) text: String,
}

/// A user's last request about an edge: its time, and whether it was positive.
type LastRequest = (i64, bool);

/// All posts, follows and likes.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    posts: BTreeMap<PostId, Post>,
    follows: HashMap<(User, User), LastRequest>,
    likes: HashMap<(User, PostId), LastRequest>,
}

/// Records a request. The latest wins, in whatever order requests come.
fn record<K: std::hash::Hash + Eq>(
    requests: &mut HashMap<K, LastRequest>,
    edge: K,
    at: i64,
    on: bool,
) {
    let last = requests.entry(edge).or_insert((at, on));
    if at > last.0 {
        *last = (at, on);
    }
}

impl Model {
    pub(super) fn post(&mut self, id: &str, author: User, text: &str) {
        self.posts.insert(
            id.to_owned(),
            Post {
                author,
                text: text.to_owned(),
            },
        );
    }

    pub(super) fn follow(&mut self, by: User, whom: User, at: i64, on: bool) {
        record(&mut self.follows, (by, whom), at, on);
    }

    pub(super) fn like(&mut self, user: User, post: &str, at: i64, on: bool) {
        record(&mut self.likes, (user, post.to_owned()), at, on);
    }

    pub(super) fn get(&self, id: &str) -> Option<&Post> {
        self.posts.get(id)
    }

    /// Returns all posts, oldest first.
    pub(super) fn posts(&self) -> impl Iterator<Item = (&PostId, &Post)> {
        self.posts.iter()
    }

    pub(super) fn follows(&self, by: User, whom: User) -> bool {
        self.follows.get(&(by, whom)).is_some_and(|last| last.1)
    }

    pub(super) fn likes(&self, user: User, post: &str) -> bool {
        self.likes
            .get(&(user, post.to_owned()))
            .is_some_and(|last| last.1)
    }

    pub(super) fn like_count(&self, post: &str) -> usize {
        self.likes
            .iter()
            .filter(|((_, liked), last)| liked == post && last.1)
            .count()
    }

    pub(super) fn followers(&self, user: User) -> BTreeSet<User> {
        let followers = self
            .follows
            .iter()
            .filter(|((_, followee), last)| *followee == user && last.1);
        followers.map(|((follower, _), _)| *follower).collect()
    }

    pub(super) fn following(&self, user: User) -> BTreeSet<User> {
        let following = self
            .follows
            .iter()
            .filter(|((follower, _), last)| *follower == user && last.1);
        following.map(|((_, followee), _)| *followee).collect()
    }

    /// Returns whether the user's feed shows that author's posts.
    pub(super) fn shows(&self, user: User, author: User) -> bool {
        user == author || self.follows(user, author)
    }

    /// Returns an author's posts, newest first.
    pub(super) fn posts_of(&self, author: User) -> Vec<PostId> {
        self.posts
            .iter()
            .rev()
            .filter(|(_, post)| post.author == author)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Returns a user's feed, newest first.
    pub(super) fn feed(&self, user: User) -> Vec<PostId> {
        let shown = self
            .posts
            .iter()
            .rev()
            .filter(|(_, post)| self.shows(user, post.author));
        shown.map(|(id, _)| id.clone()).collect()
    }
}
