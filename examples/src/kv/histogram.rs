//! How long things took: a histogram of durations, each known to about three in a hundred.

use std::time::Duration;

/// Bits of a duration that are kept below its highest one.
const BITS: u32 = 5;

/// Counts by nanoseconds: exact below 32, then 32 classes for each power of two, as in Gil Tene's HdrHistogram.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; class(u64::MAX) + 1], total: 0 }
    }
}

fn class(nanoseconds: u64) -> usize {
    let shift = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(BITS + 1);
    ((u64::from(shift) << BITS) + (nanoseconds >> shift)) as usize
}

/// The longest of a class.
fn longest(class: usize) -> u64 {
    let class = class as u64;
    let shift = (class >> BITS).saturating_sub(1);
    let begin = (class - (shift << BITS)) << shift;
    begin + ((1 << shift) - 1)
}

impl Histogram {
    /// Notes one.
    pub fn note(&mut self, time: Duration) {
        self.counts[class(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))] += 1;
        self.total += 1;
    }

    /// Adds another one's.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// What `part` of them, of a thousand, took at most. Zero if there are none.
    #[must_use]
    pub fn permille(&self, part: u64) -> Duration {
        let wanted = (self.total * part).div_ceil(1000).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        Duration::from_nanos(found.map_or(0, longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_order_and_narrow() {
        let mut last = 0;
        for exponent in 0..64 {
            for near in [0_u64, 1, 7, 1000] {
                let n = (1_u64 << exponent) + near * ((1 << exponent) / 1001);
                let (class, longest) = (class(n), longest(class(n)));
                assert!(class >= last && longest >= n && longest - n <= n >> BITS, "{n}: {class}, {longest}");
                last = class;
            }
        }
        assert_eq!((class(0), class(31), class(32), longest(class(u64::MAX))), (0, 31, 32, u64::MAX));
    }

    #[test]
    fn parts_of_a_thousand() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        assert_eq!((one.permille(500), one.is_empty()), (Duration::ZERO, true));
        (1..=500).for_each(|n| one.note(Duration::from_nanos(n)));
        (501..=1000).for_each(|n| other.note(Duration::from_nanos(n)));
        one.merge(&other);
        assert_eq!(one.len(), 1000);
        for part in [1, 500, 990, 999, 1000] {
            let found = one.permille(part).as_nanos() as u64;
            assert!((part..=part + part / 32).contains(&found), "{part}: {found}");
        }
    }
}
