//! Many short lists of numbers in little memory.

use crate::numbers::index;

/// A list of numbers for each index, stored one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    ends: Vec<u64>,
    all: Vec<u32>,
}

impl Lists {
    /// Groups pairs by their first number, which is below `many`; each list keeps the order of the pairs.
    pub(crate) fn of(many: u32, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut ends = vec![0_u64; index(many.into())];
        let mut slots: Vec<u64> = ends.clone();
        let mut total = 0_u64;
        for (one, _) in pairs.clone() {
            if let Some(end) = ends.get_mut(index(one.into())) {
                *end = end.saturating_add(1);
                total = total.saturating_add(1);
            }
        }
        let mut sum = 0_u64;
        for (end, slot) in ends.iter_mut().zip(&mut slots) {
            *slot = sum;
            sum = sum.saturating_add(*end);
            *end = sum;
        }
        let mut all = vec![0_u32; index(total)];
        for (one, other) in pairs {
            if let Some(slot) = slots.get_mut(index(one.into())) {
                if let Some(place) = all.get_mut(index(*slot)) {
                    *place = other;
                }
                *slot = slot.saturating_add(1);
            }
        }
        Self { ends, all }
    }

    /// Returns the total length of all lists.
    pub(crate) const fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns one list.
    pub(crate) fn get(&self, of: u32) -> &[u32] {
        let end = |of: u32| self.ends.get(index(of.into())).copied().unwrap_or(0);
        let start = of.checked_sub(1).map_or(0, end);
        self.all
            .get(index(start)..index(end(of)))
            .unwrap_or_default()
    }

    /// Returns all pairs, ordered by their first number.
    pub(crate) fn pairs(&self, many: u32) -> impl Iterator<Item = (u32, u32)> + Clone + '_ {
        (0..many).flat_map(|one| self.get(one).iter().map(move |other| (one, *other)))
    }
}
