//! Reproducible random numbers.

/// A generator with a seed (Steele, Lea and Flood's `SplitMix`).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Returns a generator for one of many purposes.
    pub(crate) const fn new(seed: u64, purpose: u64) -> Self {
        Self(mix(seed) ^ mix(purpose.wrapping_add(1)))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number below a bound; 0 if the bound is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        // The upper half of a product, as Lemire does it: no bias worth mentioning.
        let scaled = (u128::from(self.next()) * u128::from(bound)) >> 64;
        u32::try_from(scaled).unwrap_or_default()
    }

    /// Returns a number between two.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = f64::from(self.below(u32::MAX)) / f64::from(u32::MAX);
        low + (high - low) * unit
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
