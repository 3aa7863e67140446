//! How long an actor waits before it is made anew.
//!
//! Promise: never less than the first wait nor more than the last; between them it doubles with each restart, and its upper
//! half is chance, so that what failed together does not come back together.

use std::time::Duration;

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    /// Restarts in a row.
    streak: u32,
    chance: Chance,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max, streak: 0, chance: Chance(seed) }
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        // Twice the first wait, then twice as much each time: below 2^32 times, so that nothing overflows unseen.
        let factor = 2_u32.checked_pow(self.streak + 1);
        let most = factor.and_then(|factor| self.min.checked_mul(factor)).map_or(self.max, |most| most.min(self.max));
        self.streak = (self.streak + 1).min(u32::BITS);
        let least = (most / 2).max(self.min);
        let spread = u64::try_from((most - least).as_nanos()).unwrap_or(u64::MAX);
        least + Duration::from_nanos(self.chance.below(spread))
    }

    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.streak = 0;
    }
}

/// SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number Generators*, 2014): any seed will do.
#[derive(Debug, Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// At most `most`, about evenly: the upper half of a product is biased by one part in 2^64 / `most`.
    fn below(&mut self, most: u64) -> u64 {
        let product = u128::from(self.next()) * (u128::from(most) + 1);
        (product >> 64) as u64
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn grows_between_its_bounds() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(10 * MS, 1000 * MS, seed);
            let mut least = 10 * MS;
            for _ in 0..6 {
                let wait = backoff.next();
                assert!(least <= wait && wait <= 2 * least, "{seed}: {wait:?} after {least:?}");
                least *= 2;
            }
            for _ in 0..100 {
                let wait = backoff.next();
                assert!(500 * MS <= wait && wait <= 1000 * MS, "{seed}: {wait:?}");
            }
            backoff.reset();
            assert!(backoff.next() <= 20 * MS);
        }
    }

    #[test]
    fn ends_of_the_range() {
        let mut none = Backoff::new(Duration::ZERO, Duration::ZERO, 1);
        let mut one = Backoff::new(MS, MS, 1);
        let mut far = Backoff::new(Duration::from_nanos(1), Duration::MAX, 1);
        for _ in 0..100 {
            assert_eq!(none.next(), Duration::ZERO);
            assert_eq!(one.next(), MS);
            assert!(far.next() <= Duration::MAX);
        }
        assert!(Backoff::new(Duration::MAX, Duration::MAX, 1).next() == Duration::MAX);
    }

    #[test]
    fn chance_differs_and_repeats() {
        let waits = |seed| {
            let mut backoff = Backoff::new(MS, 1000 * MS, seed);
            (0..8).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
        let mut chance = Chance(3);
        let draws: Vec<u64> = (0..1000).map(|_| chance.below(3)).collect();
        for value in 0..=3 {
            let count = draws.iter().filter(|&&draw| draw == value).count();
            assert!((150..350).contains(&count), "{value}: {count} of 1000");
        }
    }
}
