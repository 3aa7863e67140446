//! Medians, spreads, and whether two sets of runs differ.
//!
//! Times of runs are skewed and sometimes have two modes, so nothing here assumes a normal distribution.

/// The middle and the ends of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self { min: *sorted.first()?, median: middle(&sorted), max: *sorted.last()? })
    }
}

/// The median; NaN of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted)
}

fn middle(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => sorted[n / 2 - 1].midpoint(sorted[n / 2]),
    }
}

/// The geometric mean, the right one for ratios.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logs / values.len() as f64).exp())
}

/// A 99 % confidence interval of the ratio of two medians, new over old, by the percentile bootstrap (Efron, 1979):
/// both sets are drawn anew, with replacement, some thousand times. The draws are seeded, so the verdict on the same
/// files is the same. With under five runs a side the interval is too narrow to be believed.
pub(crate) fn ratio_interval(old: &[f64], new: &[f64]) -> Option<(f64, f64)> {
    const DRAWS: usize = 4000;
    if old.is_empty() || new.is_empty() {
        return None;
    }
    let mut random = Random(0x00c0_ffee);
    let mut draw = |from: &[f64]| {
        let drawn: Vec<f64> = from.iter().map(|_| from[random.below(from.len())]).collect();
        median(&drawn)
    };
    let mut ratios: Vec<f64> = (0..DRAWS).map(|_| draw(new) / draw(old)).collect();
    ratios.sort_by(f64::total_cmp);
    let tail = DRAWS / 200;
    Some((ratios[tail], ratios[DRAWS - 1 - tail]))
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_nothing() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(Spread::of(&[]), None);
        let spread = Spread::of(&[5.0, 1.0, 9.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 5.0, 9.0));
    }

    #[test]
    fn geometric_means() {
        assert_eq!(geometric_mean(&[]), None);
        assert!((geometric_mean(&[2.0, 8.0]).unwrap() - 4.0).abs() < 1e-12);
    }

    #[test]
    fn intervals_hold_the_ratio_and_narrow_with_the_spread() {
        let old = [10.0, 10.1, 9.9, 10.0, 10.2, 9.8, 10.0];
        let twice: Vec<f64> = old.iter().map(|value| value * 2.0).collect();
        let (low, high) = ratio_interval(&old, &twice).unwrap();
        assert!(low <= 2.0 && 2.0 <= high && high - low < 0.2, "{low} {high}");
        let wide = [5.0, 20.0, 10.0, 40.0, 8.0, 30.0, 10.0];
        let (wide_low, wide_high) = ratio_interval(&old, &wide).unwrap();
        assert!(wide_high - wide_low > high - low);
        assert_eq!(ratio_interval(&old, &wide), ratio_interval(&old, &wide));
        assert_eq!(ratio_interval(&[], &old), None);
    }

    #[test]
    fn draws_stay_below() {
        let mut random = Random(1);
        assert!((0..1000).all(|_| random.below(3) < 3));
    }
}
