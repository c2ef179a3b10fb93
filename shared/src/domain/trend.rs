//! Trending tags: those that the most posts of the last hours have.

use std::collections::HashMap;

use super::{Tag, TagView, Timestamp};

/// Of how many hours posts are counted: the hour that runs, and those before it.
pub const TREND_HOURS: u8 = 24;

/// An hour of posts, in UTC, as `2026-11-22T08`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendHour(String);

impl TrendHour {
    /// The hour of a moment.
    pub fn of(at: Timestamp) -> Self {
        Self(at.to_string().chars().take(13).collect())
    }

    /// The hours that count now, latest first.
    pub fn all(now: Timestamp) -> impl Iterator<Item = Self> {
        (0..TREND_HOURS).map(move |back| Self::of(now.plus_seconds(-3600 * i64::from(back))))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The tags with the most posts, by partial counts of any order: at most so many, most posts first, then
/// by their names.
pub fn most_used(counts: impl IntoIterator<Item = (Tag, u64)>, most: usize) -> Vec<TagView> {
    let mut sums: HashMap<Tag, u64> = HashMap::new();
    for (tag, posts) in counts {
        let sum = sums.entry(tag).or_default();
        *sum = sum.saturating_add(posts);
    }
    let mut trends: Vec<TagView> = sums
        .into_iter()
        .filter(|(_, posts)| *posts > 0)
        .map(|(tag, posts)| TagView { tag, posts })
        .collect();
    trends.sort_unstable_by(|a, b| b.posts.cmp(&a.posts).then_with(|| a.tag.cmp(&b.tag)));
    trends.truncate(most);
    trends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(n: u8) -> Tag {
        Tag::parse(&format!("t{n}")).unwrap()
    }

    proptest! {
        /// Against counting one post after another.
        #[test]
        fn the_most_used_are_those_with_the_most_posts(posts in prop::collection::vec((0..12_u8, 0..5_u8), 0..200), most in 0..15_usize) {
            let mut windows: HashMap<(u8, u8), u64> = HashMap::new();
            let mut model: Vec<(u64, String)> = (0..12).map(|n| (0, tag(n).to_string())).collect();
            for (n, window) in posts {
                *windows.entry((n, window)).or_default() += 1;
                model[usize::from(n)].0 += 1;
            }
            model.retain(|(posts, _)| *posts > 0);
            // A text sorts as its tag does.
            model.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            model.truncate(most);
            let counts = windows.into_iter().map(|((n, _), posts)| (tag(n), posts));
            let found = most_used(counts, most).into_iter();
            let found: Vec<(u64, String)> = found.map(|trend| (trend.posts, trend.tag.to_string())).collect();
            prop_assert_eq!(found, model);
        }
    }

    #[test]
    fn a_day_has_24_hours_the_current_one_among_them() {
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
