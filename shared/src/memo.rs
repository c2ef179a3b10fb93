//! Results that are remembered together with the sources that they were made from.
//!
//! A result is used again only while its source is the same, so it is never stale.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// The weight of an entry in addition to its content: the entry itself, its key, and its place in the list.
const ENTRY_WEIGHT: usize = 256;

/// Results by keys, the last used ones, up to a total weight in bytes.
pub(crate) struct Memo<K, S, R> {
    entries: Mutex<Entries<K, S, R>>,
    capacity: usize,
}

struct Entries<K, S, R> {
    by_key: LruCache<K, Entry<S, R>>,
    weight: usize,
}

struct Entry<S, R> {
    source: S,
    result: R,
    weight: usize,
}

impl<K: Hash + Eq, S, R: Clone> Memo<K, S, R> {
    /// Creates a memo that holds results of at most `capacity` bytes in all.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: Mutex::new(Entries {
                by_key: LruCache::unbounded(),
                weight: 0,
            }),
            capacity,
        }
    }

    /// Returns the result for a key, if it was made from the same source.
    pub(crate) fn get(&self, key: &K, is_same: impl FnOnce(&S) -> bool) -> Option<R> {
        let mut entries = self.entries();
        let entry = entries.by_key.get(key)?;
        is_same(&entry.source).then(|| entry.result.clone())
    }

    /// Remembers a result, with the weight of its source and itself in bytes, in place of an earlier one.
    pub(crate) fn put(&self, key: K, source: S, result: R, weight: usize) {
        let mut entries = self.entries();
        let weight = weight.saturating_add(ENTRY_WEIGHT);
        let entry = Entry {
            source,
            result,
            weight,
        };
        let replaced = entries.by_key.put(key, entry);
        let replaced = replaced.map_or(0, |entry| entry.weight);
        entries.weight = entries
            .weight
            .saturating_sub(replaced)
            .saturating_add(weight);
        while entries.weight > self.capacity {
            let Some((_, oldest)) = entries.by_key.pop_lru() else {
                break;
            };
            entries.weight = entries.weight.saturating_sub(oldest.weight);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries<K, S, R>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, S, R> std::fmt::Debug for Memo<K, S, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_used_only_for_its_source() {
        let memo = Memo::new(10_000);
        memo.put(1, "a", 10, 0);
        assert_eq!(memo.get(&1, |source| *source == "a"), Some(10));
        assert_eq!(memo.get(&1, |source| *source == "b"), None);
        assert_eq!(memo.get(&2, |_| true), None);
        memo.put(1, "b", 20, 0);
        assert_eq!(memo.get(&1, |source| *source == "a"), None);
        assert_eq!(memo.get(&1, |source| *source == "b"), Some(20));
    }

    #[test]
    fn the_longest_unused_results_make_room() {
        let memo = Memo::new(3 * (ENTRY_WEIGHT + 100));
        for key in 0..3 {
            memo.put(key, (), key, 100);
        }
        assert_eq!(memo.get(&0, |()| true), Some(0));
        // Replacing a result takes no more room.
        memo.put(2, (), 2, 100);
        memo.put(3, (), 3, 100);
        let kept: Vec<i32> = (0..4)
            .filter(|key| memo.get(key, |()| true).is_some())
            .collect();
        assert_eq!(kept, [0, 2, 3]);
        memo.put(4, (), 4, 4000);
        assert!((0..5).all(|key| memo.get(&key, |()| true).is_none()));
    }
}
