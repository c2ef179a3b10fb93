//! Lists of posts: fan-out pushes posts onto them, and readers rebuild missing lists.
//!
//! The elements of a list, in any order except for the first; posts are pushed at the end, where that costs least:
//!
//! | element | means |
//! |---|---|
//! | `?` and a token | the first: the process that knows the token is rebuilding the list |
//! | `-` and 8 bytes | the floor: posts up to this id may be missing (see [`PostWindow`]) |
//! | `.` | there is no floor; needed because Redis has no empty lists |
//! | `@merged:<author>` | the author's timeline is to be merged in |
//! | 8 bytes | the id of a post |

use super::lease::Lease;
use super::{Cache, Error, count_round_trip, scripts};
use crate::domain::{PostId, PostWindow, UserId};

/// The lifetime of a list, read or not: a day. Within that time, every list recovers from errors (a cache that lost
/// some writes at a failover, a change whose consumer could not reach the cache).
pub(super) const TTL_SECONDS: u64 = 24 * 60 * 60;
/// The time that a rebuild may take before another may start.
pub(super) const REBUILD_SECONDS: u64 = 15;
/// A list is trimmed only when it is a seventh too long, so that most pushes cost one command.
const SLACK: usize = 7;
/// The maximum number of authors that are merged into a feed in the cache. Users who follow more such authors read from
/// the store, where a hundred cost one read; each author merged here is another list to read for every page.
pub const MAX_MERGED: usize = 200;

const MERGED: &str = "@merged:";

/// An attempt at rebuilding a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuild {
    /// The caller rebuilds the list: read the store, then finish.
    Ours(Lease),
    /// Another process is rebuilding it, and will finish soon.
    Others,
    /// The list exists.
    Done,
}

/// A list of posts, and the authors whose timelines are to be merged into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostsAndMerged {
    /// The posts.
    pub posts: PostWindow,
    /// The authors whose timelines are to be merged in.
    pub merged: Vec<UserId>,
}

impl PostsAndMerged {
    /// Parses a list's elements; `None` if the list does not exist or is being rebuilt.
    pub(super) fn read(list: &[Vec<u8>]) -> Option<Self> {
        if list.first()?.first() == Some(&b'?') {
            return None;
        }
        let id = |raw: &[u8]| PostId::at_position(raw);
        let floors = list.iter().filter_map(|raw| id(raw.strip_prefix(b"-")?));
        let mut merged: Vec<UserId> = list
            .iter()
            .filter_map(|raw| std::str::from_utf8(raw.strip_prefix(MERGED.as_bytes())?).ok())
            .filter_map(|author| UserId::parse(author).ok())
            .collect();
        merged.sort_unstable();
        merged.dedup();
        Some(Self {
            posts: PostWindow::new(
                list.iter().filter_map(|raw| id(raw)).collect(),
                floors.max(),
            ),
            merged,
        })
    }

    fn elements(&self) -> Vec<Vec<u8>> {
        let ids = self.posts.ids().iter().map(|&post| element(post));
        let floor = self
            .posts
            .floor()
            .map(|floor| [b"-", &element(floor)[..]].concat());
        let merged = self.merged.iter().map(merged_mark);
        ids.chain(floor).chain(merged).collect()
    }
}

/// Returns the element for a post.
pub(super) fn element(post: PostId) -> Vec<u8> {
    post.0.to_bytes().to_vec()
}

/// Returns the element that says to merge an author's timeline in.
pub(super) fn merged_mark(author: &UserId) -> Vec<u8> {
    format!("{MERGED}{author}").into_bytes()
}

impl Cache {
    /// Returns the length at which a list is trimmed.
    pub(super) fn trim_at(&self) -> usize {
        self.feed_length
            .saturating_add(self.feed_length.div_ceil(SLACK))
    }

    /// Trims a list that has become too long.
    pub(super) async fn trim(&self, list: &str) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let mut trim = scripts::TRIM.key(list);
        trim.arg(self.feed_length);
        Ok(trim.invoke_async(&mut connection).await?)
    }

    /// Starts to rebuild the list at the first key; the other keys belong to it.
    pub(super) async fn begin(&self, keys: &[String]) -> Result<Rebuild, Error> {
        count_round_trip();
        let lease = Lease::new();
        let mut begin = scripts::BEGIN_REBUILD.arg(lease.token());
        begin.arg(REBUILD_SECONDS);
        for key in keys {
            begin.key(key);
        }
        let mut connection = self.connection.clone();
        Ok(match begin.invoke_async(&mut connection).await? {
            1 => Rebuild::Ours(lease),
            0 => Rebuild::Done,
            _ => Rebuild::Others,
        })
    }

    /// Puts a rebuilt list in place. Returns false, and changes nothing, if its sources changed meanwhile or the cache
    /// lost the placeholder.
    pub(super) async fn commit(
        &self,
        keys: &[String],
        lease: &Lease,
        list: &PostsAndMerged,
        seconds: u64,
    ) -> Result<bool, Error> {
        let elements = list.elements();
        count_round_trip();
        let mut commit = scripts::COMMIT_REBUILD.arg(lease.token());
        commit.arg(self.feed_length).arg(seconds);
        for key in keys {
            commit.key(key);
        }
        for element in elements {
            commit.arg(element);
        }
        let mut connection = self.connection.clone();
        Ok(commit.invoke_async::<i64>(&mut connection).await? == 1)
    }
}
