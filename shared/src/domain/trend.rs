//! Trending tags: those that the most authors of the last hours used.
//!
//! An author of a hundred posts counts once. To count each author once over many hours, an author is counted for a tag
//! in the hour of their latest post with the tag: a newer post moves the author to a later hour, and a deletion moves
//! them back ([`AuthorHours`]). So the sum over any hours up to now counts exactly the different authors.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text::text_type;
use super::{Tag, TagView, Timestamp, UserId};

/// The number of hours whose posts are counted: the current hour, and those before it.
pub const TREND_HOURS: u8 = 24;
/// The number of hours for which an author's posts are remembered: slightly more than are counted, since clocks differ.
const REMEMBERED_HOURS: i64 = 26;
/// The maximum number of authors of a tag who are told apart: a tag with no more authors than this may be hidden from a
/// caller altogether.
pub const FEW_AUTHORS: usize = 8;

/// An hour of posts, in UTC, as `2026-11-22T08`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrendHour(String);

impl TrendHour {
    /// Returns the hour of a moment.
    pub fn of(at: Timestamp) -> Self {
        Self(at.to_string().chars().take(13).collect())
    }

    /// Returns the hours that count now, latest first.
    pub fn all(now: Timestamp) -> impl Iterator<Item = Self> {
        (0..TREND_HOURS).map(move |back| Self::of(now.plus_seconds(-3600 * i64::from(back))))
    }
}

text_type!(TrendHour, stored);

/// A mark that tells an author apart from others without naming them: 72 bits of the id's SHA-256. Rows with it outlive
/// an account by two days.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorMark(String);

impl AuthorMark {
    /// Returns the mark of a user.
    pub fn of(user: &UserId) -> Self {
        let digest = Sha256::digest(user.as_str().as_bytes());
        Self(URL_SAFE_NO_PAD.encode(digest.into_iter().take(9).collect::<Vec<u8>>()))
    }

    /// Returns the number of the partition, from 0 to `of - 1`, that counts the author's posts.
    pub fn shard(&self, of: u8) -> u8 {
        let sum = self
            .0
            .bytes()
            .fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        sum.checked_rem(of).unwrap_or_default()
    }
}

text_type!(AuthorMark, stored);

/// The change of a tag's counts in an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrendDelta {
    /// The change of the number of posts.
    pub posts: i64,
    /// The change of the number of authors.
    pub authors: i64,
}

/// The number of an author's posts with one tag in each of the last hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorHours(BTreeMap<TrendHour, u64>);

impl AuthorHours {
    /// Restores the stored hours.
    pub fn stored(hours: impl IntoIterator<Item = (TrendHour, u64)>) -> Self {
        Self(hours.into_iter().collect())
    }

    /// Returns each hour with its number of posts, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&TrendHour, u64)> {
        self.0.iter().map(|(hour, posts)| (hour, *posts))
    }

    /// Forgets the hours that are no longer remembered.
    pub fn forget_before(&mut self, now: Timestamp) {
        let first = TrendHour::of(now.plus_seconds(-3600 * REMEMBERED_HOURS));
        self.0.retain(|hour, _| *hour >= first);
    }

    /// Adds a post of an hour, or removes one. Returns the changes of the counts, by hour.
    pub fn count(&mut self, hour: &TrendHour, added: bool) -> BTreeMap<TrendHour, TrendDelta> {
        let before = self.latest().cloned();
        let posts = self.0.remove(hour).unwrap_or_default();
        let posts = if added {
            posts.saturating_add(1)
        } else {
            posts.saturating_sub(1)
        };
        if posts > 0 {
            self.0.insert(hour.clone(), posts);
        }
        let after = self.latest().cloned();
        let mut moves: BTreeMap<TrendHour, TrendDelta> = BTreeMap::new();
        moves.entry(hour.clone()).or_default().posts += if added { 1 } else { -1 };
        if before != after {
            for (hour, by) in [(before, -1), (after, 1)] {
                if let Some(hour) = hour {
                    moves.entry(hour).or_default().authors += by;
                }
            }
        }
        moves
    }

    fn latest(&self) -> Option<&TrendHour> {
        self.0.last_key_value().map(|(hour, _)| hour)
    }
}

/// A trending tag, or a tag's counts in some hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trend {
    /// The tag.
    pub tag: Tag,
    /// The number of authors who used it.
    pub authors: u64,
    /// The number of posts with it.
    pub posts: u64,
    /// The marks of all of its authors, if they are few; otherwise empty.
    pub few: Vec<AuthorMark>,
}

impl Trend {
    /// Returns the tag as everybody sees it.
    pub fn view(self) -> TagView {
        TagView {
            tag: self.tag,
            posts: self.posts,
        }
    }
}

/// Returns the tags with the most authors, at most `most` of them: most authors first, then most posts, then by name.
/// The partial counts come in any order, and each author is counted in one of them.
pub fn most_used(counts: impl IntoIterator<Item = Trend>, most: usize) -> Vec<Trend> {
    let mut sums: HashMap<Tag, Trend> = HashMap::new();
    for part in counts {
        match sums.entry(part.tag.clone()) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(part);
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let sum = entry.get_mut();
                sum.authors = sum.authors.saturating_add(part.authors);
                sum.posts = sum.posts.saturating_add(part.posts);
                sum.few.extend(part.few);
            }
        }
    }
    let mut trends: Vec<Trend> = sums.into_values().filter(|trend| trend.posts > 0).collect();
    for trend in &mut trends {
        let all = u64::try_from(trend.few.len()).is_ok_and(|few| few == trend.authors);
        if !all || trend.few.len() > FEW_AUTHORS {
            trend.few.clear();
        }
    }
    trends.sort_unstable_by(|a, b| {
        let order = (b.authors, b.posts).cmp(&(a.authors, a.posts));
        order.then_with(|| a.tag.cmp(&b.tag))
    });
    trends.truncate(most);
    trends
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn tag(n: u8) -> Tag {
        Tag::parse(&format!("t{n}")).unwrap()
    }

    fn mark(n: u8) -> AuthorMark {
        AuthorMark::of(&UserId::parse(&format!("user{n}")).unwrap())
    }

    fn hour(n: u8) -> TrendHour {
        TrendHour::stored(&format!("2026-11-22T{n:02}"))
    }

    /// The counts of each hour, moved one post after another as they are stored: with marks of all authors.
    #[derive(Default)]
    struct Counts {
        authors: HashMap<(u8, u8), AuthorHours>,
        hours: HashMap<(u8, TrendHour), (i64, i64, Vec<AuthorMark>)>,
    }

    impl Counts {
        fn count(&mut self, author: u8, of: u8, at: u8, added: bool) {
            let moves = self
                .authors
                .entry((author, of))
                .or_default()
                .count(&hour(at), added);
            assert!(moves.len() <= 2 || added);
            for (hour, moved) in moves {
                let (authors, posts, marks) = self.hours.entry((of, hour)).or_default();
                *authors += moved.authors;
                *posts += moved.posts;
                assert!(*authors >= 0 && *posts >= *authors);
                match moved.authors {
                    1 => marks.push(mark(author)),
                    -1 => marks.retain(|known| *known != mark(author)),
                    _ => {}
                }
            }
        }

        fn parts(&self, from: u8) -> Vec<Trend> {
            let counted = self.hours.iter().filter(|((_, at), _)| *at >= hour(from));
            let part = |((of, _), (authors, posts, few)): (
                &(u8, TrendHour),
                &(i64, i64, Vec<AuthorMark>),
            )| Trend {
                tag: tag(*of),
                authors: u64::try_from(*authors).unwrap(),
                posts: u64::try_from(*posts).unwrap(),
                few: few.clone(),
            };
            counted.map(part).collect()
        }
    }

    proptest! {
        /// Compares the counters with a fresh count of the existing posts, starting at any hour.
        #[test]
        fn authors_and_posts_are_counted_exactly(
            events in prop::collection::vec((0..12_u8, 0..5_u8, 0..6_u8, any::<prop::sample::Index>(), prop::bool::weighted(0.3)), 0..120),
            from in 0..6_u8, most in 0..7_usize,
        ) {
            let mut counts = Counts::default();
            let mut posts: Vec<(u8, u8, u8)> = Vec::new();
            for (author, of, at, which, remove) in events {
                if remove && !posts.is_empty() {
                    let (author, of, at) = posts.swap_remove(which.index(posts.len()));
                    counts.count(author, of, at, false);
                } else {
                    counts.count(author, of, at, true);
                    posts.push((author, of, at));
                }
            }
            posts.retain(|(_, _, at)| *at >= from);
            let mut model: Vec<Trend> = (0..5).map(|n| {
                let used: Vec<u8> = posts.iter().filter(|(_, of, _)| *of == n).map(|(author, _, _)| *author).collect();
                let authors: HashSet<AuthorMark> = used.iter().map(|author| mark(*author)).collect();
                let mut few: Vec<AuthorMark> = authors.iter().cloned().collect();
                few.sort_unstable();
                few.truncate(if few.len() <= FEW_AUTHORS { few.len() } else { 0 });
                let (authors, posts) = (u64::try_from(authors.len()).unwrap(), u64::try_from(used.len()).unwrap());
                Trend { tag: tag(n), authors, posts, few }
            }).collect();
            model.retain(|trend| trend.posts > 0);
            // A text sorts as its tag does.
            model.sort_by(|a, b| b.authors.cmp(&a.authors).then(b.posts.cmp(&a.posts)).then(a.tag.cmp(&b.tag)));
            model.truncate(most);
            let mut found = most_used(counts.parts(from), most);
            for trend in &mut found {
                trend.few.sort_unstable();
            }
            prop_assert_eq!(found, model);
        }
    }

    #[test]
    fn hours_outside_the_window_are_forgotten() {
        let now = Timestamp::from_millis(1_795_249_800_123);
        let back = |hours: i64| TrendHour::of(now.plus_seconds(-3600 * hours));
        let mut hours = AuthorHours::stored([(back(27), 1), (back(26), 1), (back(0), 2)]);
        hours.forget_before(now);
        assert_eq!(
            hours
                .iter()
                .map(|(hour, _)| hour.clone())
                .collect::<Vec<_>>(),
            [back(26), back(0)]
        );
    }

    #[test]
    fn authors_are_spread_over_all_partitions() {
        let shards: HashSet<u8> = (0..200).map(|n| mark(n).shard(16)).collect();
        assert_eq!(shards.len(), 16);
        assert_eq!(mark(1).as_str().len(), 12);
    }

    #[test]
    fn day_has_24_hours_including_the_current_one() {
        // 2026-11-21T08:30:00.123Z.
        let now = Timestamp::from_millis(1_795_249_800_123);
        let hours: Vec<TrendHour> = TrendHour::all(now).collect();
        let mut texts = hours.iter().map(TrendHour::as_str);
        assert_eq!(texts.next(), Some("2026-11-21T08"));
        assert_eq!(texts.next_back(), Some("2026-11-20T09"));
        assert_eq!(hours.len(), 24);
        assert!(hours.contains(&TrendHour::of(now.plus_seconds(-8 * 3600))));
    }
}
