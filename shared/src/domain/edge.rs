//! Edges: who likes what, who follows whom.
//!
//! A change of an edge ("like", "unlike") is queued, and may be delivered late, twice or out of order. Each change
//! carries the version at which an endpoint accepted it; the latest wins. An undone edge stays as a tombstone, so that
//! an older change delivered afterwards is known to be older.

use std::collections::HashMap;
use std::hash::Hash;

use super::{PostId, UserId, Version};

/// The maximum number of users that one user follows, unless the deployment sets another.
pub const MAX_FOLLOWING: i64 = 7_500;

/// A user's like of a post.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Like {
    /// The user who likes.
    pub user: UserId,
    /// The post.
    pub post: PostId,
}

/// A user's following of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Follow {
    /// The user who follows.
    pub follower: UserId,
    /// The user who is followed.
    pub followee: UserId,
}

/// A change of one edge, as the caller requested it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Whether the edge is to exist.
    pub active: bool,
    /// The version at which an endpoint accepted the change.
    pub version: Version,
}

/// An edge as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Whether the edge exists; `false` for a tombstone.
    pub active: bool,
    /// The version of the latest change.
    pub version: Version,
    /// The version at which the edge last came into existence. Lists of edges are ordered by this version.
    pub since: Version,
}

/// The effect of a change on an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No effect: the version of the stored change is the same or later.
    Stale,
    /// The edge becomes `edge`, and its counters move by `delta`: -1, 0 or 1.
    Becomes {
        /// The edge to store.
        edge: Edge,
        /// The number to add to each counter of the edge.
        delta: i64,
    },
}

impl Edge {
    /// Returns the effect of a change on an edge, stored or not.
    pub fn after(stored: Option<Self>, change: Change) -> Outcome {
        let Change { active, version } = change;
        let stale = stored.is_some_and(|edge| edge.version >= version);
        if stale {
            return Outcome::Stale;
        }
        let was_active = stored.is_some_and(|edge| edge.active);
        let since = match stored {
            Some(edge) if edge.active => edge.since,
            _ => version,
        };
        Outcome::Becomes {
            edge: Self {
                active,
                version,
                since,
            },
            delta: i64::from(active) - i64::from(was_active),
        }
    }
}

/// Returns the latest change of each edge in a batch; of two with the same version, the first.
pub fn latest_changes<K: Eq + Hash>(
    changes: impl IntoIterator<Item = (K, Change)>,
) -> HashMap<K, Change> {
    let mut latest: HashMap<K, Change> = HashMap::new();
    for (key, change) in changes {
        latest
            .entry(key)
            .and_modify(|known| {
                if change.version > known.version {
                    *known = change;
                }
            })
            .or_insert(change);
    }
    latest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Checks that the last change of a history wins, and that the deltas sum up to it, in whatever order and
        /// however often the changes are applied.
        #[test]
        fn last_change_wins_in_any_delivery_order(
            states in prop::collection::vec(any::<bool>(), 1..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let change = |at: usize| Change {
                active: states[at],
                version: Version::from_micros(i64::try_from(at).unwrap()),
            };
            let deliveries = order.iter().map(|index| index.index(states.len())).chain(0..states.len());
            let (mut stored, mut count) = (None, 0);
            for at in deliveries {
                if let Outcome::Becomes { edge, delta } = Edge::after(stored, change(at)) {
                    stored = Some(edge);
                    count += delta;
                }
            }
            let last = states[states.len() - 1];
            prop_assert_eq!(stored.map(|edge| edge.active), Some(last));
            prop_assert_eq!(count, i64::from(last));
        }

        #[test]
        fn batch_collapses_to_the_latest_change_of_each_edge(batch in prop::collection::vec((0..4_u8, any::<bool>(), 0..9_i64), 0..30)) {
            let changes = batch.iter().map(|&(key, active, at)| (key, Change { active, version: Version::from_micros(at) }));
            for (key, change) in latest_changes(changes) {
                let latest = batch.iter().filter(|w| w.0 == key).map(|w| w.2).max();
                prop_assert_eq!(Some(change.version.micros()), latest);
            }
        }
    }

    #[test]
    fn repeated_like_keeps_the_time_of_the_first() {
        let like = |at| Change {
            active: true,
            version: Version::from_micros(at),
        };
        let Outcome::Becomes { edge, .. } = Edge::after(None, like(1)) else {
            panic!()
        };
        let Outcome::Becomes { edge, delta } = Edge::after(Some(edge), like(2)) else {
            panic!()
        };
        assert_eq!(
            (edge.since.micros(), edge.version.micros(), delta),
            (1, 2, 0)
        );
    }
}
