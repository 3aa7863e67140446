//! The generator behind a simulation's choices.
//!
//! Promise: the same seed gives the same numbers, on any machine and in any build; neighbouring seeds have nothing in common.
//!
//! How: SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014). The seed is mixed
//! first, so that the streams of 1, 2, 3, .. are not one stream at different places.
//!
//! Gives up: secrets, and a period above 2^64.

/// The golden ratio's fraction, odd: SplitMix64's step.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

/// Spreads what `value` says over all bits: one to one.
pub(crate) const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// One of `0..n`; zero for an empty range. For an `n` of 2^32 some are likelier than others by one in 2^32.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_published_ones() {
        // The reference implementation's first outputs from the state 1234567.
        let mut rng = Rng(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| rng.next()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn ranges_are_filled_evenly() {
        let mut rng = Rng::new(0);
        let mut seen = [0_u32; 7];
        (0..70_000).for_each(|_| seen[rng.below(7) as usize] += 1);
        assert!(seen.iter().all(|&count| (9_500..10_500).contains(&count)), "{seen:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }

    #[test]
    fn neighbouring_seeds_differ() {
        let firsts: std::collections::BTreeSet<u64> = (0..1000).map(|seed| Rng::new(seed).next()).collect();
        assert_eq!(firsts.len(), 1000);
        assert!(!(0..100).any(|_| Rng::new(1).next() == Rng::new(2).next()));
    }
}
